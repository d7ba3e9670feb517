"""The companion's plain listener: `/healthz`, `/readyz` and `/metrics`, nothing else.

One thread answers every connection, and each is bounded: in the bytes of its request,
in its time from the first byte to the last, and in how many there may be. A connection
too many closes the oldest, so that silent peers cannot keep a probe out.
"""

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from webhook.companion.controller import Log

_REQUEST_BYTES: Final = 8192
"""Request line and headers; a body is not read."""
_SECONDS: Final = 5.0
"""From accepting a connection to its answer's last byte."""
_CONNECTIONS: Final = 64
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
        self._loop = asyncio.new_event_loop()
        self._closed = asyncio.Event()
        self._connections: dict[asyncio.Task[None], None] = {}
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
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())
        self._loop.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(
            self._accept, sock=self._socket, limit=_REQUEST_BYTES, backlog=128
        )
        await self._closed.wait()
        server.close()
        left = list(self._connections)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections[task] = None

        def end(ended: asyncio.Task[None]) -> None:
            del self._connections[ended]
            writer.transport.abort()

        task.add_done_callback(end)
        if len(self._connections) > _CONNECTIONS:
            next(iter(self._connections)).cancel()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one request and close; no peer's mistake is worth a line."""
        with contextlib.suppress(
            OSError, EOFError, TimeoutError, asyncio.CancelledError
        ):
            async with asyncio.timeout(_SECONDS):
                writer.write(await self._answered(reader))
                await writer.drain()
                writer.close()
                await writer.wait_closed()

    async def _answered(self, reader: asyncio.StreamReader) -> bytes:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
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
