"""Into a pod, over a WebSocket: a program's output by `exec`, a port by `port-forward`.

Each needs rights of its own (`get` on `pods/exec` or `pods/portforward`, and from
Kubernetes 1.35 on `create`) and a node that answers. The client's generated methods
would do the same, and cost every command a second: they import a class for each kind.
"""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kubernetes.client import ApiClient
from kubernetes.stream.ws_client import (
    PortForward,
    WSClient,
    create_websocket,
    get_websocket_url,
)
from websocket import WebSocketBadStatusException, WebSocketException

from webhook.cluster import json_bytes
from webhook.cluster.errors import ClusterError, Unavailable, from_status
from webhook.cluster.resources import POD

_MOST: Final = 1 << 16
"""Characters of output after which no end is waited for; asked for are a few lines."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Reaches into pods through the API server.

    Attributes:
        client: connected.
    """

    client: ApiClient

    def connect(self, namespace: str, pod: str, port: int) -> socket.socket:
        """Return a connection to a pod's port.

        Raises:
            OSError: there is none.
        """
        url, headers = self._address((namespace, pod), "portforward", ("ports", port))
        try:
            websocket = create_websocket(self.client.configuration, url, headers)
        except (WebSocketException, OSError) as error:
            raise ConnectionError(str(_meant(error, "port-forward", pod))) from None
        wrapped: Any = PortForward(websocket, [port]).socket(port)
        # The wrapper is no context manager; it guards an option that TLS never sets.
        connection: socket.socket = wrapped._socket
        return connection

    def run(
        self,
        pod: tuple[str, str],
        container: str,
        command: Sequence[str],
        *,
        given: str,
        seconds: float,
    ) -> str:
        """Return what a program in a container prints.

        Args:
            pod: namespace and name.
            container: in which it runs.
            command: the program and its arguments; they are in the URL, which proxies
                and audit logs cut.
            given: what it can read; the end of it is not told.
            seconds: how long it may take.

        Raises:
            ClusterError: it cannot be run, or takes too long.
        """
        _, name = pod
        words = [("command", word) for word in command]
        options = [("container", container), ("stdin", "true"), ("stdout", "true")]
        url, headers = self._address(pod, "exec", *words, *options)
        until = time.monotonic() + seconds
        try:
            session = WSClient(
                self.client.configuration, url, headers, capture_all=False
            )
            session.write_stdin(given)
            said: str = ""
            while session.is_open() and len(said) < _MOST and time.monotonic() < until:
                session.update(timeout=1)
                said += session.read_stdout(timeout=0)
            said += session.read_stdout(timeout=0)
            ended = not session.is_open()
            session.close()
            # After the peer's own close, the library takes that for done.
            session.sock.shutdown()
        except (WebSocketException, OSError) as error:
            raise _meant(error, "exec", name) from None
        if not ended:
            raise Unavailable(f"exec {name}: no end within {seconds:.0f} s")
        return said

    def _address(
        self, pod: tuple[str, str], what: str, *query: tuple[str, Any]
    ) -> tuple[str, dict[str, str]]:
        """Return the URL of a pod's subresource, and the headers that it takes."""
        _, url, headers, _, _ = self.client.param_serialize(
            "GET",
            f"{POD.path(*pod)}/{what}",
            query_params=list(query),
            auth_settings=["BearerToken"],
        )
        return get_websocket_url(url), headers


def _meant(error: Exception, verb: str, pod: str) -> ClusterError:
    """Return what a refused upgrade means, or a connection that broke."""
    what = f"{verb} {pod}"
    if isinstance(error, WebSocketBadStatusException):
        status = json_bytes.parse_status(error.resp_body or b"")
        return from_status(error.status_code, status, what=what)
    return Unavailable(f"{what}: {type(error).__name__}")
