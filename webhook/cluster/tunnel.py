"""Into a pod: a program's output by `exec`, and a port by `port-forward`.

Both need rights of their own (`create pods/exec`, `create pods/portforward`) and a node
that answers.
"""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream

from webhook.cluster.errors import ClusterError, Unavailable, from_status

_STDERR: Final = 2
_MOST: Final = 1 << 16
"""Characters of output that are read; what is asked for is a few lines."""


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
        api: Any = CoreV1Api(self.client)
        call = api.connect_get_namespaced_pod_portforward
        try:
            forward = portforward(call, pod, namespace, ports=str(port))
        except ApiException as error:
            raise ConnectionError(str(_meant(error, "port-forward", pod))) from None
        except Exception as error:  # the WebSocket library raises kinds of its own
            raise ConnectionError(f"port-forward: {type(error).__name__}") from error
        wrapped: Any = forward.socket(port)
        # The wrapper is no context manager; it guards an option that TLS never sets.
        connection: socket.socket = wrapped._socket
        return connection

    def run(
        self,
        pod: tuple[str, str],
        container: str,
        command: Sequence[str],
        *,
        seconds: float,
    ) -> str:
        """Return what a program in a container prints.

        Args:
            pod: namespace and name.
            container: in which it runs.
            command: the program and its arguments.
            seconds: how long it may take.

        Raises:
            ClusterError: it cannot be run, or takes too long.
        """
        namespace, name = pod
        api: Any = CoreV1Api(self.client)
        try:
            session = stream(
                api.connect_get_namespaced_pod_exec,
                name,
                namespace,
                container=container,
                command=list(command),
                stdin=False,
                stdout=True,
                stderr=False,
                tty=False,
                _preload_content=False,
            )
        except ApiException as error:
            raise _meant(error, "exec", name) from None
        except Exception as error:  # as above
            raise Unavailable(f"exec {name}: {type(error).__name__}") from error
        said, until = "", time.monotonic() + seconds
        while session.is_open() and len(said) < _MOST:
            if time.monotonic() > until:
                session.close()
                raise Unavailable(f"exec {name}: no end within {seconds:.0f} s")
            session.update(timeout=1)
            said += session.read_stdout(timeout=0) if session.peek_stdout() else ""
        said += session.read_stdout(timeout=0) if session.peek_stdout() else ""
        session.close()
        return said[:_MOST]


def _meant(error: ApiException, verb: str, pod: str) -> ClusterError:
    """Return what a refused upgrade means; its answer has no `Status`."""
    reason = str(error.reason or "")
    code = int(error.status or 0)
    for number in (401, 403, 404):
        if f" {number} " in f" {reason} ":
            code = number
    return from_status(code or 503, {"reason": reason}, what=f"{verb} {pod}")
