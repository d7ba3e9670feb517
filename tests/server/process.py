"""The real process, and a client that says what it got."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from tests.server.pairs import HOST, PemPair

COMMAND = str(Path(sys.executable).with_name("tracking-injector"))
JSON_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class Client:
    """One connection, kept alive, as kube-apiserver keeps it."""

    def __init__(self, port: int, pair: PemPair | None, timeout: float = 20.0) -> None:
        """Connect to loopback; trust `pair` alone, or speak plain HTTP."""
        self.sock: socket.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=timeout
        )
        # As Go does: a head must not wait for the acknowledgment of another segment.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if pair is not None:
            self.sock = trusting(pair).wrap_socket(self.sock, server_hostname=HOST)
        self._http = HTTPConnection("127.0.0.1", port)
        self._http.sock = self.sock

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] = {},
    ) -> Reply:
        """Send a request, return the answer."""
        self._http.auto_open = 0
        self._http.request(method, path, body=body, headers=dict(headers))
        answer = self._http.getresponse()
        return Reply(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.getheaders()},
            body=answer.read(),
        )

    def mutate(self, body: Any) -> Reply:
        """Send a review as kube-apiserver does."""
        return self.ask("POST", "/mutate?timeout=3s", body, JSON_TYPE)

    def raw(self, data: bytes) -> bytes:
        """Send bytes, return everything until the server closes."""
        self.sock.sendall(data)
        return self.rest()

    def rest(self) -> bytes:
        """Everything until the server closes."""
        parts = []
        with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
            while part := self.sock.recv(1 << 16):
                parts.append(part)
        return b"".join(parts)


def trusting(pair: PemPair) -> ssl.SSLContext:
    """A client's context that trusts `pair` alone."""
    context = ssl.create_default_context(cadata=pair.crt.decode())
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@dataclass(slots=True, kw_only=True)
class Server:
    """A running `tracking-injector serve`."""

    process: subprocess.Popen[bytes]
    directory: Path
    pair: PemPair
    port: int = 0
    health_port: int = 0
    lines: deque[bytes] = field(default_factory=lambda: deque(maxlen=20_000))
    pause_reading: threading.Event = field(default_factory=threading.Event)

    def client(self, timeout: float = 20.0) -> Client:
        """A new connection to the serving port."""
        return Client(self.port, self.pair, timeout)

    def probe(self, path: str) -> Reply:
        """One request to the plain port."""
        with Client(self.health_port, None) as client:
            return client.ask("GET", path)

    def metric(self, name: str) -> float:
        """The sum of a metric's samples whose text begins with `name`."""
        text = self.probe("/metrics").body.decode()
        lines = [one for one in text.splitlines() if one.startswith(name)]
        return sum(float(one.rpartition(" ")[2]) for one in lines)

    def events(
        self, event: str, *, at_least: int = 1, **fields: str
    ) -> list[dict[str, Any]]:
        """The log's lines of one kind with these fields, once there are enough.

        Lines arrive in order, but some time after the answer that they are about.
        """
        found: list[dict[str, Any]] = []

        def arrived() -> bool:
            lines = (json.loads(line) for line in list(self.lines))
            found[:] = [
                line
                for line in lines
                if line["event"] == event and fields.items() <= line.items()
            ]
            return len(found) >= at_least

        wait_until(arrived)
        return found

    def worker(self) -> int:
        """The process id of the worker."""
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return int(Path(children).read_text().split()[0])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(60)


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for something that takes its time; fail when it takes too much."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@contextlib.contextmanager
def serving(
    directory: Path,
    pair: PemPair,
    *,
    python: tuple[str, ...] = (),
    ready: bool = True,
    **settings: str,
) -> Iterator[Server]:
    """Run the server on free ports of loopback until the block ends."""
    path = os.environ["PATH"]  # noqa: TID251 - a child's environment
    environ = {"PATH": path, "MTI_DRAIN_SECONDS": "0"}
    environ |= {f"MTI_{name.upper()}": value for name, value in settings.items()}
    prefix = (sys.executable, *python, COMMAND) if python else (COMMAND,)
    process = subprocess.Popen(
        [*prefix, "serve", "--cert-dir", str(directory), "--bind", "127.0.0.1:0",
         "--health-bind", "127.0.0.1:0"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    server = Server(process=process, directory=directory, pair=pair)
    reader = threading.Thread(target=_read, args=(server,), daemon=True)
    reader.start()
    try:
        wait_until(lambda: server.health_port or process.poll() is not None)
        assert process.poll() is None, b"".join(server.lines)
        if ready:
            wait_until(lambda: server.probe("/readyz").status == 200)
        yield server
    finally:
        if process.poll() is None:
            server.stop(signal.SIGINT)
        reader.join(5)
        assert process.stdout is not None
        process.stdout.close()


def _read(server: Server) -> None:
    assert server.process.stdout is not None
    for line in server.process.stdout:
        while server.pause_reading.is_set() and server.process.poll() is None:
            time.sleep(0.05)
        server.lines.append(line)
        if b"Listening at" in line:
            ports = re.findall(rb"127\.0\.0\.1:(\d+)", line)
            server.port, server.health_port = int(ports[0]), int(ports[1])
