"""What each tracker's own client reads, beside the two names of Michelangelo's guide.

Pure. Read in the clients: MLflow 3.17, Comet 3.58, W&B 0.31, azureml-mlflow 1.62,
ClearML 2.1, Neptune 1.14, Aim 3.29.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ALWAYS: Final = ""
"""Stands for the preset itself among the keys that need others."""

_URI: Final = "TRACKING_URI"
_KEY: Final = "TRACKING_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerPreset:
    """One tracker.

    Attributes:
        aliases: A variable of its client, and the key that it stands for.
        needs: A key, and those that its client wants beside it.
        certificate: The variable that names its server's CA to its client, and to
            nothing else in the container; empty where it has none.
        insecure: A key beside which its client refuses that variable.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    certificate: str = ""
    insecure: str = ""


TOKEN_AUTH: Final = "MLFLOW_TRACKING_AUTH"  # noqa: S105 - a name, not a password
_WITH_TOKEN: Final = (b"kubernetes", b"kubernetes-namespaced")


def shows_pods_token(auth: bytes) -> bool:
    """Return whether MLflow's client shows the token that its pod has mounted.

    Args:
        auth: the value of `TOKEN_AUTH`; the name of a plugin of MLflow's.
    """
    return auth in _WITH_TOKEN


_CERTIFICATE: Final = "MLFLOW_TRACKING_SERVER_CERT_PATH"
_INSECURE: Final = "MLFLOW_TRACKING_INSECURE_TLS"
_BOTH: Final = {
    "MLFLOW_TRACKING_USERNAME": ("MLFLOW_TRACKING_PASSWORD",),
    "MLFLOW_TRACKING_PASSWORD": ("MLFLOW_TRACKING_USERNAME",),
}

PRESETS: Final[Mapping[str, TrackerPreset]] = {
    "mlflow": TrackerPreset(
        aliases={"MLFLOW_TRACKING_URI": _URI, "MLFLOW_TRACKING_TOKEN": _KEY},
        needs={ALWAYS: ("MLFLOW_TRACKING_URI",), **_BOTH},
        certificate=_CERTIFICATE,
        insecure=_INSECURE,
    ),
    "comet": TrackerPreset(
        aliases={"COMET_API_KEY": _KEY},
        needs={ALWAYS: ("COMET_API_KEY",)},
    ),
    "wandb": TrackerPreset(
        aliases={"WANDB_BASE_URL": _URI, "WANDB_API_KEY": _KEY},
        needs={ALWAYS: ("WANDB_API_KEY",)},
    ),
    "databricks": TrackerPreset(
        aliases={"DATABRICKS_HOST": _URI, "DATABRICKS_TOKEN": _KEY},
        needs={
            ALWAYS: ("MLFLOW_TRACKING_URI", "DATABRICKS_HOST"),
            "DATABRICKS_CLIENT_ID": ("DATABRICKS_CLIENT_SECRET",),
            "DATABRICKS_CLIENT_SECRET": ("DATABRICKS_CLIENT_ID",),
        },
    ),
    "azureml": TrackerPreset(
        aliases={"MLFLOW_TRACKING_URI": _URI},
        needs={
            ALWAYS: ("MLFLOW_TRACKING_URI",),
            "AZURE_CLIENT_ID": ("AZURE_TENANT_ID",),
            "AZURE_CLIENT_SECRET": ("AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
        },
    ),
    "clearml": TrackerPreset(
        aliases={"CLEARML_API_HOST": _URI},
        needs={
            ALWAYS: (
                "CLEARML_API_HOST",
                "CLEARML_API_ACCESS_KEY",
                "CLEARML_API_SECRET_KEY",
            )
        },
        # A switch by its name; what is no boolean goes to its HTTP client as it is.
        certificate="CLEARML_API_HOST_VERIFY_CERT",
    ),
    "neptune": TrackerPreset(
        aliases={"NEPTUNE_API_TOKEN": _KEY},
        needs={ALWAYS: ("NEPTUNE_API_TOKEN",)},
    ),
    "aim": TrackerPreset(
        needs={ALWAYS: (_URI,)}, certificate="__AIM_CLIENT_SSL_CERTIFICATES_FILE__"
    ),
}
"""Every preset by its name in the values."""
