"""The companion's plain listener: `/healthz`, `/readyz` and `/metrics`, nothing else.

One thread answers every connection, and each is bounded: in the bytes of its request,
in its time from the first byte to the last, and in how many there may be. A connection
too many closes the oldest, so that silent peers cannot keep a probe out.
"""

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from webhook.companion.controller import Log

_REQUEST_BYTES: Final = 8192
"""Request line and headers; a body is not read."""
_SECONDS: Final = 5.0
"""From accepting a connection to its answer's last byte."""
_CONNECTIONS: Final = 64
_BREATH: Final = 0.1
"""Seconds to wait when no descriptor is free, so as not to ask again without end."""
_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthAnswer:
    """What a path answers."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"

    def encode(self, *, with_body: bool) -> bytes:
        """Return it as HTTP/1.1; the connection ends with it."""
        head = (
            f"HTTP/1.1 {self.status} {self.status.phrase}\r\n"
            f"Content-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + (self.body if with_body else b"")


Page = Callable[[], HealthAnswer]


def pages(
    registry: CollectorRegistry,
    *,
    is_alive: Callable[[], bool],
    is_ready: Callable[[], bool],
) -> dict[str, Page]:
    """Return what each path answers."""

    def check(holds: Callable[[], bool]) -> HealthAnswer:
        if holds():
            return HealthAnswer(status=HTTPStatus.OK, body=b"ok\n")
        return HealthAnswer(status=HTTPStatus.SERVICE_UNAVAILABLE, body=b"not yet\n")

    def metrics() -> HealthAnswer:
        return HealthAnswer(
            status=HTTPStatus.OK,
            body=generate_latest(registry),
            content_type=CONTENT_TYPE_LATEST,
        )

    return {
        "/healthz": lambda: check(is_alive),
        "/readyz": lambda: check(is_ready),
        "/metrics": metrics,
    }


@dataclass(slots=True, eq=False)
class _Peer:
    """A connection, with what it has sent so far and what it has yet to get."""

    socket: socket.socket
    until: float
    request: bytes = b""
    answer: bytes = b""


class HealthServer:
    """Answers pages from a thread of its own."""

    def __init__(self, bind: str, pages: Mapping[str, Page], log: Log) -> None:
        """Bind `ADDRESS:PORT`; port 0 takes a free one.

        `[::]` means every address of both families, or IPv4 alone on a node without
        IPv6.

        Raises:
            OSError: the address cannot be bound.
        """
        self._pages = pages
        self._log = log
        self._socket = _bound(bind)
        self._socket.setblocking(False)
        self._stop, self._stopped = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ, self._accept)
        self._selector.register(self._stopped, selectors.EVENT_READ)
        self._peers: dict[_Peer, None] = {}
        self._thread = threading.Thread(
            target=self._run, name="health-server", daemon=True
        )

    @property
    def port(self) -> int:
        """Return the port that is listened on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Close the listener and every connection."""
        self._stop.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(self._until_late()):
                if key.fileobj is self._stopped:
                    return self._end()
                key.data()
            while self._until_late() == 0:
                self._drop(next(iter(self._peers)))

    def _until_late(self) -> float | None:
        """Return the seconds until the oldest peer's time is over; None without any."""
        for oldest in self._peers:
            return max(0.0, oldest.until - time.monotonic())
        return None

    def _accept(self) -> None:
        try:
            accepted, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return  # the peer has gone
        except OSError:
            time.sleep(_BREATH)
            return
        accepted.setblocking(False)
        peer = _Peer(accepted, time.monotonic() + _SECONDS)
        self._peers[peer] = None
        self._selector.register(accepted, selectors.EVENT_READ)
        self._follow(peer, self._read)
        if len(self._peers) > _CONNECTIONS:
            self._drop(next(iter(self._peers)))

    def _attempt(self, peer: _Peer, act: Callable[[_Peer], bool]) -> None:
        """Read or write; where that ends or fails, drop the peer without a line."""
        if peer not in self._peers:
            return  # it made room in this very round
        goes_on = False
        with contextlib.suppress(OSError):
            goes_on = act(peer)
        if not goes_on:
            self._drop(peer)

    def _read(self, peer: _Peer) -> bool:
        """Take what was sent; return whether the connection goes on."""
        received = peer.socket.recv(_REQUEST_BYTES)
        peer.request += received
        if b"\r\n\r\n" in peer.request:
            peer.answer = self._answered(peer.request)
        elif len(peer.request) > _REQUEST_BYTES:
            peer.answer = _refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if peer.answer:
            self._follow(peer, self._write, selectors.EVENT_WRITE)
        return bool(received)

    def _write(self, peer: _Peer) -> bool:
        """Send on; a peer that has yet to send the rest could miss an early end."""
        peer.answer = peer.answer[peer.socket.send(peer.answer) :]
        if not peer.answer:
            peer.socket.shutdown(socket.SHUT_WR)
            self._follow(peer, self._ignore)
        return True

    def _ignore(self, peer: _Peer) -> bool:
        """Take what else is sent until the peer ends; return whether it has not."""
        return bool(peer.socket.recv(_REQUEST_BYTES))

    def _follow(
        self,
        peer: _Peer,
        act: Callable[[_Peer], bool],
        event: int = selectors.EVENT_READ,
    ) -> None:
        """Call `act` when the peer's socket is ready for it."""
        self._selector.modify(peer.socket, event, partial(self._attempt, peer, act))

    def _drop(self, peer: _Peer) -> None:
        self._selector.unregister(peer.socket)
        peer.socket.close()
        del self._peers[peer]

    def _end(self) -> None:
        for peer in tuple(self._peers):
            self._drop(peer)
        self._selector.close()
        self._stopped.close()
        self._socket.close()

    def _answered(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        if method not in (b"GET", b"HEAD"):
            return _refused(HTTPStatus.METHOD_NOT_ALLOWED)
        path = rest.split(b" ", 1)[0].partition(b"?")[0].decode("latin-1")
        page = self._pages.get(path)
        if page is None:
            return _refused(HTTPStatus.NOT_FOUND)
        try:
            answer = page()
        except Exception as error:  # noqa: BLE001 - a page's error must not end it
            fields = {"path": path, "error": type(error).__name__}
            self._log.line("warning", "health-page-failed", fields)
            return _refused(HTTPStatus.INTERNAL_SERVER_ERROR)
        return answer.encode(with_body=method == b"GET")


def _refused(status: HTTPStatus) -> bytes:
    answer = HealthAnswer(status=status, body=f"{status.phrase}\n".encode())
    return answer.encode(with_body=True)


def _bound(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    if ":" not in host:
        return socket.create_server((host, int(port)))
    host = host.strip("[]")
    try:
        return socket.create_server(
            (host, int(port)), family=socket.AF_INET6, dualstack_ipv6=host == "::"
        )
    except OSError as error:
        if host != "::" or error.errno not in _NO_IPV6:
            raise
        return socket.create_server(("0.0.0.0", int(port)))  # noqa: S104 - as asked
