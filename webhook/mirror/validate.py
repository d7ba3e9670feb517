"""Which keys may become variables of a task container, and which values.

Pure. A key that fails is left out with a reason, so that one bad key never keeps the
others from the tasks.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import urlsplit

from webhook.mirror.reasons import KeyReason
from webhook.secret_bytes import SecretBytes

_VARIABLE: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]{0,252}")
"""The strictest rule of a kubelet still in use; newer ones take every key of a Secret,
also with a digit in front. What passes here reaches the task on every node."""

_NEVER: Final = re.compile(r"PATH|HOME|PYTHONPATH|PYTHONHOME|LD_.*")
"""Programs are not found or load something else."""
_UNLESS_LISTED: Final = re.compile(r"(KUBERNETES|RAY|SPARK|MA)_.*")
"""Belong to the platform underneath the task."""

_URI_KEY: Final = re.compile(r".*_(URI|URL|ENDPOINT)", re.IGNORECASE)
# fmt: off
_SCHEMES: Final = frozenset((
    "http", "https", "file", "databricks", "databricks-uc", "uc", "mlflow-artifacts",
    "runs", "models", "aim", "sqlite", "mysql", "postgresql", "mssql", "s3", "s3a",
    "gs", "r2", "abfs", "abfss", "wasb", "wasbs", "dbfs", "hdfs", "viewfs", "ftp",
    "sftp", "socks5", "socks5h", "grpc", "grpcs", "ray", "redis", "rediss",
))
# fmt: on
"""What tracking servers, their artifact stores and proxies are addressed by."""


def rejection(name: str, listed: Collection[str]) -> KeyReason | None:
    """Return why a variable of that name must not reach a task; None where it may.

    Args:
        name: with the source's prefix.
        listed: names that the release allows although they look like the platform's.
    """
    if not _VARIABLE.fullmatch(name) or name.startswith(".."):
        return KeyReason.KEY_NOT_A_VARIABLE
    if name == ".":
        return KeyReason.KEY_NOT_A_VARIABLE
    if _NEVER.fullmatch(name):
        return KeyReason.KEY_RESERVED
    if _UNLESS_LISTED.fullmatch(name) and name not in listed:
        return KeyReason.KEY_RESERVED
    return None


def is_text(value: SecretBytes) -> bool:
    """Return whether a container can have it: runtimes take UTF-8 without NUL only."""
    try:
        return "\0" not in value.reveal().decode()
    except UnicodeDecodeError:
        return False


def warnings(name: str, value: SecretBytes) -> Iterator[KeyReason]:
    """Yield what looks wrong about a value that is mirrored all the same."""
    text = value.reveal().decode()
    if text.endswith("\n") and "\n" not in text.rstrip("\r\n"):
        yield KeyReason.TRAILING_NEWLINE
    text = text.strip()
    if not _URI_KEY.fullmatch(name):
        return
    if re.search(r"\s", text):
        yield KeyReason.URI_WITH_SPACE
        return
    scheme, separator, _ = text.partition("://")
    if not separator:
        return
    if scheme.lower().split("+")[0] not in _SCHEMES:
        yield KeyReason.URI_UNKNOWN_SCHEME
    if _has_credentials(text):
        yield KeyReason.URI_WITH_CREDENTIALS


def _has_credentials(uri: str) -> bool:
    try:
        return "@" in urlsplit(uri).netloc
    except ValueError:
        return "@" in uri
