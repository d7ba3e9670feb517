"""The companion's own plain listener: health, readiness and metrics, nothing else."""

import errno
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATIENCE: Final = 5.0
"""Seconds that a peer may take to ask; whoever is silent holds one thread no longer."""


_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _BothServer(_Server):
    """Serves IPv4 by the same socket."""

    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Says nothing: a probe each second is no news."""


def application(
    registry: CollectorRegistry,
    *,
    is_alive: Callable[[], bool],
    is_ready: Callable[[], bool],
) -> "WSGIApplication":
    """`/healthz`, `/readyz` and `/metrics` as a WSGI application."""
    metrics: WSGIApplication = make_wsgi_app(registry)
    checks = {"/healthz": is_alive, "/readyz": is_ready}

    def answer(
        environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        if path not in checks:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not found\n"]
        good = checks[path]()
        status = "200 OK" if good else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain")])
        return [b"ok\n" if good else b"not yet\n"]

    return answer


def listen(bind: str, app: "WSGIApplication") -> WSGIServer:
    """Serves `app` on `HOST:PORT` from a thread of its own; port 0 takes a free one.

    `[::]` means every address of both families, or IPv4 alone on a node without IPv6.
    """
    host, _, port = bind.rpartition(":")
    try:
        server = _bound(host.strip("[]"), int(port), app)
    except OSError as error:
        if host != "[::]" or error.errno not in _NO_IPV6:
            raise
        server = _bound("0.0.0.0", int(port), app)  # noqa: S104 - as it was asked to
    threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
    return server


def _bound(host: str, port: int, app: "WSGIApplication") -> WSGIServer:
    server = _BothServer if ":" in host else _Server
    return make_server(host, port, app, server_class=server, handler_class=_Handler)
