"""An API server's front that can shed load: it answers 429 to everything for a while.

Plain HTTP on loopback in front, the real API server behind; the caller's own token goes
through.
"""

import threading
from collections.abc import Iterator
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
