"""Connects to a cluster: from inside a pod, or by kubeconfig and context.

The service account's token file is read again whenever the kubelet has replaced it.
"""

import logging
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.config.kube_config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    KubeConfigLoader,
    KubeConfigMerger,
)
from urllib3.util.ssl_ import create_urllib3_context
from yaml import YAMLError

from webhook.cluster.rest import RestClient

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts a pod's credential."""

_SERVERS: Final = ("http", "https")
_PROXIES: Final = (*_SERVERS, "socks4", "socks4a", "socks5", "socks5h")
"""The schemes that the client dials."""
_USUAL: Final = "~/.kube/config"
"""Where kubectl looks where nothing else is said."""
_CONNECTIONS: Final = 32
"""Idle connections kept: each watch holds one, and writers share the rest."""


_LONGEST: Final = 200
"""Characters of what a credential plugin says of its failure."""


class NoAccessError(Exception):
    """There is no usable credential; the message says which one was looked for."""


@dataclass(frozen=True, slots=True)
class ClusterConnection:
    """A connected cluster.

    Attributes:
        resources: reads and writes objects.
        namespace: the pod's own namespace, or the kubeconfig context's.
        origin: where the credential comes from, such as `context a of FILE`.
        server: the API server's URL.
    """

    resources: RestClient
    namespace: str
    origin: str = ""
    server: str = ""


class TokenFile:
    """Bearer token kept equal to its file; the last good one outlives a bad moment."""

    def __init__(self, path: Path) -> None:
        """Prepare; the file is read at the first request."""
        self._path = path
        self._seen: tuple[int, int] | None = None

    def __call__(self, configuration: Configuration) -> None:
        """Set the token anew if its file changed; called before every request."""
        try:
            found = self._path.stat()
            seen = found.st_ino, found.st_mtime_ns
            if seen == self._seen:
                return
            token = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return
        if token and _is_sendable(token):
            configuration.api_key["BearerToken"] = f"Bearer {token}"
            self._seen = seen


def load_in_cluster(
    environ: Mapping[str, str], *, manager: str, folder: Path
) -> ClusterConnection:
    """Connect as the pod's service account.

    Args:
        environ: the process environment (`KUBERNETES_SERVICE_HOST` and `_PORT`).
        manager: the field manager for writes.
        folder: where `token`, `ca.crt` and `namespace` lie.

    Raises:
        NoAccessError: the process does not run in a pod, or its token is not mounted.
    """
    configuration = _configuration()
    try:
        InClusterConfigLoader(
            token_filename=str(folder / "token"),
            cert_filename=str(folder / "ca.crt"),
            environ=environ,
            try_refresh_token=False,  # it looks once a minute; ours at every request
        ).load_and_set(configuration)
        hook: Any = TokenFile(folder / "token")
        configuration.refresh_api_key_hook = hook
        namespace = (folder / "namespace").read_text().strip()
    except (ConfigException, OSError) as error:
        raise NoAccessError(f"no service account in {folder}: {error}") from error
    return _connect(configuration, namespace, manager, "the pod's service account")


def load_kubeconfig(
    *, manager: str, path: Path | None = None, context: str | None = None
) -> ClusterConnection:
    """Connect as a person does.

    Args:
        manager: the field manager for writes.
        path: a kubeconfig; None means `$KUBECONFIG`, then `~/.kube/config`.
        context: the context by name; None means the current one.

    Raises:
        NoAccessError: there is no kubeconfig, or no such context in it.
    """
    configuration = _configuration()
    origin = _kubeconfig_path(path)
    with _reading(origin):
        with _logged_here() as said:
            loader = _loader(origin, context)
            loader.load_and_set(configuration)
        found = loader.current_context
        namespace = found["context"].get("namespace") or "default"
        named = f"context {found['name']} of {origin}"
        _check_plugin(loader, configuration, named, said)
    if not all(map(_is_sendable, configuration.api_key.values())):
        # The library would say so by quoting it.
        raise NoAccessError(f"{named}: its token has a character that no header takes")
    return _connect(configuration, namespace, manager, named)


def context_names(path: Path | None = None) -> tuple[str, ...]:
    """Return the name of every context of a kubeconfig.

    Raises:
        NoAccessError: there is no kubeconfig, or it cannot be read.
    """
    origin = _kubeconfig_path(path)
    with _reading(origin):
        contexts = KubeConfigMerger(origin).config.value["contexts"]
        return tuple(dict.fromkeys(one.value["name"] for one in contexts))


@contextmanager
def _reading(origin: str) -> Iterator[None]:
    """Say of a kubeconfig why it cannot be read, and quote nothing of it."""
    try:
        yield
    except (ConfigException, OSError) as error:
        # Behind a brace it quotes the file, credentials among it.
        why = str(error).partition("{")[0]
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = f"it is not YAML at line {mark.line + 1}" if mark else "it is not YAML"
    except (AttributeError, KeyError, TypeError, ValueError):
        why = "it cannot be read as one"
    else:
        return
    raise NoAccessError(f"kubeconfig {origin}: {why}") from None


def _kubeconfig_path(path: Path | None) -> str:
    """Return the files to read; of several, those that are missing are passed over.

    Raises:
        NoAccessError: none of them is there.
    """
    # An empty $KUBECONFIG is none to kubectl, and a place to the library.
    usual = KUBE_CONFIG_DEFAULT_LOCATION or _USUAL
    found = usual if path is None else os.fspath(path)
    parts = [Path(part).expanduser() for part in found.split(os.pathsep) if part]
    if not any(part.exists() for part in parts):
        raise NoAccessError(f"kubeconfig {found}: there is no such file")
    return found


def _loader(origin: str, context: str | None) -> KubeConfigLoader:
    merged = KubeConfigMerger(origin)
    return KubeConfigLoader(
        config_dict=merged.config,
        active_context=context,
        config_base_path=None,
        config_persister=merged.save_changes,
    )


class _Said(logging.Filter):
    """Keeps what this thread logs, from everybody else too: it may quote the file.

    The official client logs where it should have raised.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread:
            return True
        self.lines.append(record.getMessage())
        return False


@contextmanager
def _logged_here() -> Iterator[list[str]]:
    """Give what this thread logs to the root logger meanwhile."""
    said, root = _Said(), logging.getLogger()
    root.addFilter(said)
    try:
        yield said.lines
    finally:
        root.removeFilter(said)


def _check_plugin(
    loader: KubeConfigLoader, configuration: Configuration, named: str, said: list[str]
) -> None:
    """Raise where a credential plugin gave none: the client only logs that."""
    user = loader._user
    plugin = user.safe_get("exec") if user else None
    if plugin is None or configuration.api_key or configuration.cert_file:
        return
    command = plugin.get("command")
    # Behind a brace it quotes the file, credentials among it.
    told = said[-1].partition("\n")[0].partition("{")[0] if said else ""
    why = told[:_LONGEST] or "it gave no credential"
    if "NoneType" in told:
        # The client reads what a terminal has been shown already.
        why = "it failed; what it said is above"
    if command and shutil.which(command) is None:
        why = "there is no such program"
    raise NoAccessError(f"{named}: credential plugin {command}: {why}")


def _is_sendable(token: str) -> bool:
    """Return whether a header can carry it; one with a line's end cannot."""
    return token.isascii() and token.isprintable()


def _configuration() -> Configuration:
    configuration = Configuration()
    # Whoever calls decides what a failure means; urllib3 would sleep on a 429 by itself
    # and send a write a second time.
    configuration.retries = False
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.keep_alive = True
    return configuration


def _connect(
    configuration: Configuration, namespace: str, manager: str, origin: str
) -> ClusterConnection:
    if not _is_url(configuration.host):
        raise NoAccessError(f"{origin}: its server is no URL such as https://HOST:PORT")
    if configuration._proxy_from_env and _is_loopback(configuration.host):
        configuration.proxy = None
    if configuration.proxy and "://" not in configuration.proxy:
        configuration.proxy = f"http://{configuration.proxy}"  # as kubectl reads it
    if configuration.proxy and not _is_url(configuration.proxy, _PROXIES):
        raise NoAccessError(f"{origin}: its proxy is no URL such as http://HOST:PORT")
    client = ApiClient(configuration)
    client.user_agent = manager
    _share_tls(client)
    return ClusterConnection(
        resources=RestClient(client, manager=manager),
        namespace=namespace,
        origin=origin,
        server=configuration.host,
    )


def _is_url(text: str, schemes: tuple[str, ...] = _SERVERS) -> bool:
    """Return whether the client can dial it; without a scheme it takes `http`."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        _ = parts.port  # raises ValueError where it is none
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def _is_loopback(server: str) -> bool:
    """Return whether kubectl would ask no proxy of the environment for a server."""
    host = urlsplit(server).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _share_tls(client: ApiClient) -> None:
    """Let all connections have one TLS context, of which each else keeps its own.

    Each reads the roots anew all the same, so that a new one is soon trusted. With a
    client's certificate, which is a person's, nothing is shared: the few connections
    would read that anew as well, while others use it.
    """
    settings = client.rest_client.pool_manager.connection_pool_kw
    if settings["cert_file"]:
        return
    context = create_urllib3_context(cert_reqs=settings["cert_reqs"])
    if not (settings["ca_certs"] or settings["ca_cert_data"]):
        context.load_default_certs()
    settings["ssl_context"] = context
