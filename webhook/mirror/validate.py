"""Which keys may become variables of a task container, and which values.

Pure. A key that fails is left out with a reason, so that one bad key never keeps the
others from the tasks.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from webhook.mirror.reasons import KeyReason
from webhook.secret_bytes import SecretBytes
from webhook.uri import (
    INDIRECT,
    LOCAL,
    PORTS,
    QUOTES,
    MalformedUriError,
    is_path,
    scheme_of,
    servers,
)

_VARIABLE: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]{0,252}")
"""The strictest rule of a kubelet still in use; newer ones take every key of a Secret,
also with a digit in front. What passes here reaches the task on every node."""

RESERVED: Final = {
    "PATH|HOME|SHELL|IFS": "programs and files are not found",
    "LD_.*|GCONV_PATH|LOCPATH|NLSPATH": "every program loads other libraries",
    "BASH_ENV|ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|PROMPT_COMMAND": (
        "every shell runs something else first"
    ),
    "PYTHON(PATH|HOME|STARTUP|USERBASE|INSPECT|EXECUTABLE|PLATLIBDIR|SAFEPATH)": (
        "Python loads something else"
    ),
    "PERL5?(LIB|OPT|DB)|RUBY(LIB|OPT)|R_HOME|LUA_(PATH|CPATH|INIT)": (
        "the interpreter loads something else"
    ),
}
"""Names that never reach a task, and what would happen."""
RESERVED_UNLESS_LISTED: Final = {
    "(KUBERNETES|RAY|SPARK|MA)_.*": "it belongs to the platform underneath the task",
    "JAVA_HOME|CLASSPATH|(JDK_|_)?JAVA(_TOOL)?_OPTIONS|JVM_ARGS": (
        "Java starts otherwise"
    ),
    "PYSPARK_.*|HADOOP_.*|YARN_CONF_DIR|SCALA_HOME": "Spark starts otherwise",
    "NODE_(OPTIONS|PATH)": "Node starts otherwise",
    "VIRTUAL_ENV|CONDA_.*|UV_PYTHON|PIP_(TARGET|PREFIX|USER)": (
        "packages are found elsewhere"
    ),
    "(CUDA|NVIDIA|ROCR|HIP)_VISIBLE_DEVICES|NVIDIA_DRIVER_CAPABILITIES": (
        "devices that the scheduler gave are hidden"
    ),
    "HOSTNAME|USER|LOGNAME|TMPDIR": "it is no more the container's own",
}
"""Names that reach a task only where the release lists them, and what would happen."""
_ALL: Final = {
    re.compile(pattern): why
    for pattern, why in (RESERVED | RESERVED_UNLESS_LISTED).items()
}

_URI_KEY: Final = re.compile(r".*_(URI|URL|ENDPOINT)", re.IGNORECASE)
# fmt: off
_URI_STORES: Final = frozenset((
    "mlflow-artifacts", "runs", "models", "s3", "s3a", "gs", "r2", "abfs", "abfss",
    "wasb", "wasbs", "dbfs", "hdfs", "viewfs", "ftp", "sftp", "grpc", "grpcs", "ray",
    "redis", "rediss", "tcp", "unix",
))
# fmt: on
"""What artifact stores and others are addressed by; none is a tracking server."""


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
    if any(re.fullmatch(pattern, name) for pattern in RESERVED):
        return KeyReason.KEY_RESERVED
    if name not in listed and reserved(name):
        return KeyReason.KEY_RESERVED
    return None


def reserved(name: str) -> str:
    """Return what a variable of a reserved name would do; empty for another."""
    return next((why for one, why in _ALL.items() if one.fullmatch(name)), "")


def size(name: str, value: SecretBytes) -> int:
    """Return the bytes of NAME=VALUE and the NUL behind it."""
    return len(name) + len(value) + 2


def is_text(value: SecretBytes) -> bool:
    """Return whether every node starts a container with it: it is UTF-8 without NUL."""
    try:
        return "\0" not in value.reveal().decode()
    except UnicodeDecodeError:
        return False


def warnings(name: str, value: SecretBytes) -> Iterator[KeyReason]:
    """Yield what looks wrong about a value that is mirrored all the same."""
    text = value.reveal().decode()
    if text.endswith("\n") and "\n" not in text.rstrip("\r\n"):
        yield KeyReason.TRAILING_NEWLINE
    if _URI_KEY.fullmatch(name) and text.strip():
        yield from _uri_warnings(name, text.strip())


def _uri_warnings(name: str, text: str) -> Iterator[KeyReason]:
    scheme = text.lower() if text.lower() in INDIRECT else scheme_of(text)
    elsewhere = LOCAL | INDIRECT | {"azureml"}
    if not name.endswith("TRACKING_URI"):
        elsewhere |= _URI_STORES
    if re.search(r"\s", text):
        yield KeyReason.URI_WITH_SPACE
    elif scheme in PORTS or text.startswith(QUOTES):
        yield from _server_warnings(text)
    elif "://" not in text and not is_path(text) and scheme not in elsewhere:
        yield KeyReason.URI_WITHOUT_SCHEME
    elif scheme and scheme not in elsewhere:
        yield KeyReason.URI_UNKNOWN_SCHEME
        if "@" in text:
            yield KeyReason.URI_WITH_CREDENTIALS


def _server_warnings(text: str) -> Iterator[KeyReason]:
    try:
        if any(one.is_local for one in servers(text)):
            yield KeyReason.URI_OF_THE_POD
    except MalformedUriError:
        yield KeyReason.URI_MALFORMED
    if "@" in text:
        yield KeyReason.URI_WITH_CREDENTIALS
