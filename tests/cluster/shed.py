"""An API server's front that can shed load, or see a client die at one of its writes.

Plain HTTP on loopback in front, the real API server behind; the caller's own token goes
through.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import urllib3

_BUSY = b'{"kind": "Status", "code": 429, "reason": "TooManyRequests"}'


class Front(ThreadingHTTPServer):
    """Forwards, or sheds while `storm` is set."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server: str, authority: Path) -> None:
        """Listens on a free port of loopback."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = server
        self.pool = urllib3.PoolManager(
            ca_certs=str(authority), retries=False, maxsize=32
        )
        self.storm = threading.Event()
        self.shed = 0
        self.writes = 0
        self._lock = threading.Lock()
        self._death: tuple[int, bool, Callable[[], object]] | None = None

    def kill_at(self, write: int, kill: Callable[[], object], *, arrives: bool) -> None:
        """At that write, counted from 0, `kill` is called.

        Args:
            write: which of the writes that come from now on.
            kill: ends the client; returns when it is dead.
            arrives: whether the API server still gets the write.
        """
        self.writes, self._death = 0, (write, arrives, kill)

    def count(self, command: str) -> int:
        """The number of this write; -1 for a read."""
        if command == "GET":
            return -1
        with self._lock:
            self.writes += 1
            return self.writes - 1

    def kills(self, write: int, *, arrived: bool) -> bool:
        """Whether the client has just been killed at this write."""
        if self._death is None or self._death[:2] != (write, arrived):
            return False
        self._death[2]()
        return True


class _Handler(BaseHTTPRequestHandler):
    server: Front

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Says nothing."""

    def _forward(self) -> None:
        if self.server.storm.is_set():
            self.server.shed += 1
            self._head(429, {"Retry-After": "1", "Content-Type": "application/json"})
            self.wfile.write(_BUSY)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        write = self.server.count(self.command)
        if self.server.kills(write, arrived=False):
            return
        passed = {
            name: value
            for name, value in self.headers.items()
            if name.lower() in ("authorization", "accept", "content-type")
        }
        answer = self.server.pool.request(
            self.command,
            self.server.upstream + self.path,
            body=body or None,
            headers=passed,
            preload_content=False,
        )
        if self.server.kills(write, arrived=True):
            return
        self._head(answer.status, {"Content-Type": "application/json"})
        with suppress(OSError, urllib3.exceptions.HTTPError):
            for chunk in answer.stream(amt=None):
                self.wfile.write(chunk)
                self.wfile.flush()
        answer.close()

    do_GET = do_POST = do_PATCH = do_DELETE = _forward  # noqa: N815 - the library's names

    def _head(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def front(server: str, authority: Path) -> Iterator[Front]:
    """A front of the server, for the block."""
    one = Front(server, authority)
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.shutdown()
        one.server_close()
        one.pool.clear()
        thread.join(5)
