"""Connects to a cluster: from inside a pod, or by kubeconfig and context.

The service account's token file is read again whenever the kubelet has replaced it.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.config.kube_config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    KubeConfigLoader,
    KubeConfigMerger,
)
from yaml import YAMLError

from webhook.cluster.rest import RestClient

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts a pod's credential."""

_CONNECTIONS: Final = 32
"""Idle connections kept: each watch holds one, and writers share the rest."""


class NoAccessError(Exception):
    """There is no usable credential; the message says which one was looked for."""


@dataclass(frozen=True, slots=True)
class ClusterConnection:
    """A connected cluster.

    Attributes:
        resources: reads and writes objects.
        namespace: the pod's own namespace, or the kubeconfig context's.
    """

    resources: RestClient
    namespace: str


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
        except OSError:
            return
        if token:
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
    return _connect(configuration, namespace, manager)


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
    found = KUBE_CONFIG_DEFAULT_LOCATION if path is None else os.fspath(path)
    try:
        merged = KubeConfigMerger(found)
        loader = KubeConfigLoader(
            config_dict=merged.config,
            active_context=context,
            config_base_path=None,
            config_persister=merged.save_changes,
        )
        with _said() as said:
            loader.load_and_set(configuration)
        namespace = loader.current_context["context"].get("namespace") or "default"
    except (ConfigException, OSError) as error:
        # Behind a brace it quotes the file, credentials among it.
        raise NoAccessError(f"kubeconfig: {str(error).partition('{')[0]}") from None
    except (YAMLError, AttributeError, KeyError, TypeError, ValueError):
        raise NoAccessError(f"kubeconfig: {found} cannot be read as one") from None
    if said and not configuration.api_key and not configuration.cert_file:
        # Of a plugin that fails the library says why, and goes on without.
        raise NoAccessError(f"kubeconfig: {said[-1].partition('{')[0]}")
    if not all(map(_is_sendable, configuration.api_key.values())):
        # The library would say so by quoting it.
        raise NoAccessError(f"kubeconfig: a token in {found} has a character too many")
    return _connect(configuration, namespace, manager)


@contextmanager
def _said() -> Iterator[list[str]]:
    """Keep what the library logs, which quotes the file, from standard error."""
    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        said.append(record.getMessage())
        return False

    logger = logging.getLogger()
    logger.addFilter(keep)
    try:
        yield said
    finally:
        logger.removeFilter(keep)


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
    configuration: Configuration, namespace: str, manager: str
) -> ClusterConnection:
    client = ApiClient(configuration)
    client.user_agent = manager
    return ClusterConnection(RestClient(client, manager=manager), namespace)
