"""A connection on its non-blocking socket: what the event loop calls.

The socket is read only while its client's requests can be answered: who does not read
its answers, or waits for one that takes a while, is not read either.
"""

import contextlib
import socket
import ssl
from collections import deque
from dataclasses import dataclass, field
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, epoll
from typing import Any, Final

from webhook.server.certwatcher import handshake_failure
from webhook.server.connection import Connection, Shared, Work
from webhook.server.limits import FORGOTTEN, PIECE, READS
from webhook.server.metrics import Handshake, Phase
from webhook.server.responses import error

_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(slots=True, kw_only=True)
class Loop(Shared):
    """What the peers share beyond their connections.

    Attributes:
        epoll: Tells which sockets are ready.
        peers: All of them by their descriptor, in the order of their accept.
        working: Those whose request needs more than their turn.
    """

    epoll: epoll
    peers: dict[int, "Peer"] = field(default_factory=dict)
    working: deque["Peer"] = field(default_factory=deque)


class Peer(Connection):
    """A client's connection, from its accept to its end."""

    def __init__(self, sock: Any, loop: Loop, *, probes: bool) -> None:
        """Take a socket that does not block; a TLS one has its handshake before it."""
        super().__init__(loop, probes=probes)
        self._sock = sock
        self._loop = loop
        is_tls = isinstance(sock, ssl.SSLSocket)
        self._receive = sock.read if is_tls else sock.recv
        self._send = sock.write if is_tls else sock.send
        self._fd, self._mask = sock.fileno(), EPOLLIN
        self._is_shut, self._forgotten = False, 0
        self.enter(Phase.HANDSHAKE)
        loop.peers[self._fd] = self
        loop.epoll.register(self._fd, EPOLLIN)
        if probes:
            self.opened()

    @property
    def is_open(self) -> bool:
        """Whether the socket is."""
        return self._loop.peers.get(self._fd) is self

    def ready(self, events: int) -> None:
        """The socket has something to read, or room to write."""
        if self.phase is Phase.HANDSHAKE:
            self._shake_hands()
        elif events & self._mask & EPOLLIN:
            self._read()
        elif events & EPOLLOUT:
            self.flush()
        elif events & (EPOLLHUP | EPOLLERR):
            self.drop()

    def _shake_hands(self) -> None:
        try:
            self._sock.do_handshake()
        except _NOT_NOW:
            return
        except OSError as problem:
            self.drop(handshake_failure(problem))
            return
        self.shared.handler.metrics.handshakes.labels(Handshake.COMPLETED).inc()
        self.opened()
        self._read()

    def _read(self) -> None:
        """Read one request, or a part of it: others want their turn."""
        for _ in range(READS):
            try:
                data = self._receive(PIECE)
            except _NOT_NOW:
                break
            except OSError:
                data = b""
            self._forgotten += len(data) if self.phase is Phase.CLOSING else 0
            if not data or self._forgotten > FORGOTTEN:
                self.drop()
                return
            self.receive(data)
            if self.out or self.work:
                break
        self.flush()

    def proceed(self, response: bytes) -> None:
        """Send the answer that was waited for, and go on."""
        self.finish(response)
        self.advance()
        self.flush()

    def flush(self) -> None:
        """Write what there is to write, and decide what to wait for."""
        if self.out and not self._write():
            return
        if self.phase is Phase.CLOSING:
            self._shut()
        elif self.work:
            self._wait_for(0)
            self._loop.working.append(self)
        elif self._mask != EPOLLIN:
            if self.phase is Phase.ANSWER:
                self.enter(Phase.IDLE)
            self._wait_for(EPOLLIN)

    def _write(self) -> bool:
        """Return whether that was all."""
        try:
            sent = self._send(self.out)
        except _NOT_NOW:
            sent = 0
        except OSError:
            self.drop()
            return False
        del self.out[:sent]
        if self.out:
            if self.phase is not Phase.CLOSING and self._mask != EPOLLOUT:
                self.enter(Phase.ANSWER)
            self._wait_for(EPOLLOUT)
        return not self.out

    def expire(self) -> None:
        """The phase's deadline has passed."""
        self.shared.handler.metrics.deadlines.labels(self.phase).inc()
        if self.phase in {Phase.HANDSHAKE, Phase.ANSWER, Phase.CLOSING}:
            self.drop(Handshake.TIMED_OUT)
            return
        if self.phase is Phase.REQUEST:
            self.refuse(error(408))
        self.close()
        self.flush()

    def drop(self, result: Handshake = Handshake.DISCONNECTED) -> None:
        """End now, whatever is still to be written."""
        if not self.is_open:
            return
        if self.phase is Phase.HANDSHAKE:
            self.shared.handler.metrics.handshakes.labels(result).inc()
        if self.work is not Work.RENDER:  # a thread may be about to use it
            self._parser = None  # which refers back to this object
        self.close()
        del self._loop.peers[self._fd]
        self._sock.close()

    def _shut(self) -> None:
        """Say that this was all; what the client still sends is read and forgotten.

        A socket that is closed with bytes unread resets the connection, and the client
        may lose its last answer.
        """
        if self._is_shut:
            return
        self._is_shut = True
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.unwrap()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._receive = self._sock.recv  # which needs no TLS any more
        self._wait_for(EPOLLIN)

    def _wait_for(self, mask: int) -> None:
        if self._mask != mask:
            self._mask = mask
            self._loop.epoll.modify(self._fd, mask)
