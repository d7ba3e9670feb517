"""What each tracker's keys say about hosts, as its own client reads them.

Read in the clients: MLflow 3.17, W&B 0.31, Comet 3.58, Neptune 1.14, ClearML 2.1,
DVC Studio 0.23. Aim has no key of its own; its `aim://` URI is a tracking URI.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TRACKING_KEYS: Final = frozenset(
    {"TRACKING_URI", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"}
)
"""Keys whose value may also be a path or a database."""

URL_KEYS: Final = frozenset(
    {
        "MLFLOW_S3_ENDPOINT_URL",
        "WANDB_BASE_URL",
        "COMET_URL_OVERRIDE",
        "COMET_OPTIMIZER_URL",
        "CLEARML_API_HOST",
        "CLEARML_FILES_HOST",
        "TRAINS_API_HOST",
        "TRAINS_FILES_HOST",
        "DVC_STUDIO_URL",
        "STUDIO_ENDPOINT",
        "STORAGE_EMULATOR_HOST",
        "AZURE_STORAGE_ENDPOINT",
    }
)
"""Keys whose value is the URL of a server. `CLEARML_WEB_HOST` is for browsers."""

AZURE_CONNECTION: Final = "AZURE_STORAGE_CONNECTION_STRING"
AZURE_KEYS: Final = frozenset(
    {AZURE_CONNECTION, "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"}
)
"""Keys that name an account, the first label of its store's host."""
AZURE_SETTINGS: Final = frozenset(
    {
        *("accountname", "accountkey", "sharedaccesssignature", "endpointsuffix"),
        *("defaultendpointsprotocol", "usedevelopmentstorage"),
        "developmentstorageproxyuri",
        *(
            f"{service}{which}endpoint"
            for service in ("blob", "dfs", "file", "queue", "table")
            for which in ("", "secondary")
        ),
    }
)
"""What a connection string may set, in lower case: its clients take either."""

INDIRECT_HOSTS: Final[Mapping[str, str]] = {
    "databricks": "set DATABRICKS_HOST",
    "databricks-uc": "set DATABRICKS_HOST",
    "uc": "write uc:https://HOST, or add its hosts to the settings",
    "arn": "add REGION.experiments.sagemaker.aws to the settings",
}
"""What to do about a scheme that names no host."""


def is_url_key(key: str) -> bool:
    """Return whether a key's value is the URL of a server."""
    return key in URL_KEYS or key.startswith("AWS_ENDPOINT_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerDefault:
    """Hosts a client dials when its credential is there and no URL is.

    Attributes:
        credentials: Any of them being there means that the tracker is used.
        unless: Any of them being there means that another host is dialed.
        hosts: HTTPS.
        ask: What to add to the settings, because no key says where its files go.
        embeds: A mark in the credential that says it brings its own URL.
    """

    credentials: tuple[str, ...]
    unless: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ask: str = ""
    embeds: str | None = None

    def applies(self, keys: Mapping[str, str]) -> str | None:
        """Return the credential that brings the hosts in, if one does."""
        if any(keys.get(key) for key in self.unless):
            return None
        trigger = next((key for key in self.credentials if keys.get(key)), None)
        if trigger and self.embeds and self.embeds in keys[trigger]:
            return None
        return trigger


_CLEARML: Final = ("CLEARML_API_ACCESS_KEY", "CLEARML_AUTH_TOKEN")

# W&B's service hands out signed URLs of Google Cloud Storage for files.
_GOOGLE: Final = "storage.googleapis.com"

DEFAULTS: Final = (
    # The default moved between two minor releases: either may be in the image.
    TrackerDefault(
        credentials=("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"),
        unless=("WANDB_BASE_URL",),
        hosts=("api.forge.coreweave.com", "api.wandb.ai", _GOOGLE),
    ),
    TrackerDefault(
        credentials=("WANDB_BASE_URL",),
        ask=f"{_GOOGLE} for W&B's own service, else the server's bucket",
    ),
    TrackerDefault(
        credentials=("COMET_API_KEY",),
        unless=("COMET_URL_OVERRIDE",),
        hosts=("www.comet.com",),
        embeds="*",
    ),
    TrackerDefault(
        credentials=_CLEARML,
        unless=("CLEARML_API_HOST", "TRAINS_API_HOST", "CLEARML_NO_DEFAULT_SERVER"),
        hosts=("api.clear.ml",),
    ),
    TrackerDefault(
        credentials=_CLEARML,
        unless=("CLEARML_FILES_HOST", "TRAINS_FILES_HOST", "CLEARML_NO_DEFAULT_SERVER"),
        hosts=("files.clear.ml",),
    ),
    TrackerDefault(
        credentials=("DVC_STUDIO_TOKEN", "STUDIO_TOKEN"),
        unless=("DVC_STUDIO_URL", "STUDIO_ENDPOINT"),
        hosts=("studio.datachain.ai",),
    ),
    TrackerDefault(
        credentials=("DATABRICKS_HOST",),
        ask="the host of the workspace's cloud storage",
    ),
    TrackerDefault(
        credentials=(
            "AWS_ACCESS_KEY_ID",
            "AWS_ROLE_ARN",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ),
        unless=("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"),
        ask="BUCKET.s3.REGION.amazonaws.com",
    ),
    TrackerDefault(
        credentials=("GOOGLE_APPLICATION_CREDENTIALS",),
        unless=("STORAGE_EMULATOR_HOST",),
        hosts=("oauth2.googleapis.com", _GOOGLE),
    ),
    TrackerDefault(
        credentials=(
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
        ),
        unless=("AZURE_STORAGE_ENDPOINT", *sorted(AZURE_KEYS)),
        ask="ACCOUNT.blob.core.windows.net",
    ),
)
