"""A TCP proxy that can let its connections die without a word."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Forwards to one server; what was connected before `stall` is silent after it."""

    def __init__(self, server: str) -> None:
        """Listens on a free port of loopback."""
        parts = urlsplit(server)
        self._target = parts.hostname or "", parts.port or 443
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.server = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._generation = 0
        self.accepted = 0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def stall(self) -> None:
        """From now on nothing passes on the connections that there are."""
        self._generation += 1

    def close(self) -> None:
        """Ends every connection and accepts no more."""
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                self._sockets.append(client)
                server = socket.create_connection(self._target)
                self._sockets.append(server)
                self._start(self._pump, client, server, self._generation)
                self._start(self._pump, server, client, self._generation)

    def _pump(self, one: socket.socket, other: socket.socket, born: int) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if born == self._generation:
                    other.sendall(data)
                # Else it is swallowed: the sender sees a connection that is well.
            if born == self._generation:
                other.shutdown(socket.SHUT_WR)


@contextmanager
def proxy(server: str) -> Iterator[Proxy]:
    """A proxy in front of the server, for the block."""
    one = Proxy(server)
    try:
        yield one
    finally:
        one.close()
