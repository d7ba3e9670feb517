"""A gunicorn worker with one epoll loop, made for a port that anybody may reach.

It accepts by itself, so that a connection counts from its first packet: handshakes have
a deadline and a counter, a full house makes room, each connection gets the certificate
of its moment, and a stopping process goes on accepting until it is quiet.
"""

import contextlib
import ctypes
import errno
import os
import socket
import time
from email.utils import formatdate
from select import EPOLLIN, epoll
from typing import Any, Final

from gunicorn.workers.base import Worker

from webhook.server.connection import Work
from webhook.server.limits import CROWD, DRAIN_LIMIT, QUIET_SECONDS
from webhook.server.metrics import Handshake, Phase
from webhook.server.peer import Loop, Peer
from webhook.server.renderer import Renderer
from webhook.server.responses import error

TICK_SECONDS: Final = 1.0
"""Between looks at deadlines, at the certificate's files and at the parent."""

BUSY: Final = frozenset({Phase.HANDSHAKE, Phase.REQUEST, Phase.ANSWER, Phase.CLOSING})
"""What a stopping process waits for, as each has its deadline."""


class AdmissionWorker(Worker):  # type: ignore[misc] # gunicorn ships no types
    """The one process that answers."""

    def load_wsgi(self) -> None:
        """Take the applications that were made before the fork."""
        super().load_wsgi()
        self.handler = self.app.handler
        self._loop = Loop(
            handler=self.handler, app=self.wsgi, probes=self.app.probes, epoll=epoll()
        )
        self._next_tick, self._crowd = 0.0, 0

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: drain. SIGINT and SIGQUIT stop now, as gunicorn has it."""
        del sig, frame
        self.handler.draining = True

    # -- the process -------------------------------------------------------------

    def run(self) -> None:
        """Serve until a signal, then drain."""
        self._start()
        while self.alive and not self.handler.draining:
            self._turn(TICK_SECONDS)
        self._drain()
        for listener in self.sockets:
            self._loop.epoll.unregister(listener.fileno())
            while self._accept(listener):
                continue  # who was in the queue already is served as well
            listener.close()
        while self.alive and any(
            one.phase in BUSY for one in self._loop.peers.values()
        ):
            self._turn(0.05)

    def _start(self) -> None:
        metrics, peers = self.handler.metrics, self._loop.peers
        metrics.connections.set_function(lambda: len(peers))
        unanswered = {Phase.REQUEST, Phase.ANSWER}
        metrics.in_flight.set_function(
            lambda: sum(one.phase in unanswered for one in list(peers.values()))
        )
        self._listeners = {one.fileno(): one for one in self.sockets}
        for listener in self.sockets:
            listener.setblocking(False)
        for descriptor in (*self._listeners, self.PIPE[0]):
            self._loop.epoll.register(descriptor, EPOLLIN)
        self._renderer = Renderer(lambda: os.write(self.PIPE[1], b"r"))

    def _drain(self) -> None:
        """Serve until nobody asks any more.

        kube-apiserver learns late that this replica is leaving: until then a closed
        listener would be a refused connection, and a failed call.
        """
        self.log.info("Draining")
        settled = time.monotonic() + self.app.settings.drain_seconds
        while self.alive and (now := time.monotonic()) < settled + DRAIN_LIMIT:
            if now >= max(settled, self._loop.last_answer + QUIET_SECONDS):
                break
            self._turn(0.1)

    # -- the loop ----------------------------------------------------------------

    def _turn(self, seconds: float) -> None:
        """Give everybody who is ready a turn, then one request that takes longer."""
        loop = self._loop
        if time.monotonic() >= self._next_tick:
            self._tick()
        for descriptor, events in loop.epoll.poll(0 if loop.working else seconds):
            peer = loop.peers.get(descriptor)
            if peer is not None:
                try:
                    peer.ready(events)
                except Exception as problem:  # noqa: BLE001 - it ends one connection
                    self._fail(peer, problem)
            elif descriptor in self._listeners:
                self._accept(self._listeners[descriptor])
            else:
                self._woken()
        if loop.working:
            peer = loop.working.popleft()
            try:
                self._work_for(peer)
            except Exception as problem:  # noqa: BLE001 - as above
                self._fail(peer, problem)

    def _fail(self, peer: Peer, problem: Exception) -> None:
        self.handler.failed(problem)
        peer.drop()

    def _woken(self) -> None:
        """Something was rendered, or there was a signal."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)
        for peer, response in self._renderer.finished():
            if peer.is_open:
                peer.proceed(response)

    def _work_for(self, peer: Peer) -> None:
        if not peer.is_open:
            return
        if self._loop.large_bodies:
            self._crowd = 2 * CROWD  # they swell the heap as well
        if peer.work is Work.LATER:
            peer.proceed(peer.respond())
        elif not self._renderer.takes(peer):
            peer.refuse(error(503))
            peer.flush()

    def _tick(self) -> None:
        """Look after everything once."""
        now = time.monotonic()
        self._next_tick = now + TICK_SECONDS
        self.notify()
        if self.ppid != os.getppid():
            self.log.info("The parent is gone")
            self.alive = False
        self._loop.date = formatdate(usegmt=True).encode()
        for peer in list(self._loop.peers.values()):
            if peer.deadline < now:
                peer.expire()
        self.handler.reload_certificate()
        self._give_back()

    def _give_back(self) -> None:
        """Return freed heap to the OS after a burst (glibc keeps it otherwise).

        Other C libraries keep less, and have no such call.
        """
        now = len(self._loop.peers)
        self._crowd = max(self._crowd, now)
        if self._crowd > CROWD and now < self._crowd // 2:
            self._crowd = now
            with contextlib.suppress(AttributeError):
                ctypes.CDLL(None).malloc_trim(0)

    # -- connections -------------------------------------------------------------

    def _accept(self, listener: Any) -> bool:
        """Take one connection a turn, so that others get their turns."""
        try:
            client, _ = listener.accept()
        except OSError as problem:
            if problem.errno in {errno.EMFILE, errno.ENFILE}:
                self._make_room()
            return False
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._loop.peers) >= self.cfg.worker_connections:
            self._make_room()
        probes = listener is not self.sockets[0]
        if not probes and not (client := self._wrapped(client)):
            return True
        Peer(client, self._loop, probes=probes)
        return True

    def _wrapped(self, client: socket.socket) -> socket.socket | None:
        """Make a TLS socket, its handshake to come; `None` when that is no use."""
        watcher, result = self.handler.certificates, Handshake.NO_CERTIFICATE
        if watcher.current:
            result = Handshake.DISCONNECTED
            with contextlib.suppress(OSError):
                wrapped: socket.socket = watcher.current.context.wrap_socket(
                    client, server_side=True, do_handshake_on_connect=False
                )
                return wrapped
        client.close()
        self.handler.metrics.handshakes.labels(result).inc()
        return None

    def _make_room(self) -> None:
        """End the connection that matters least: the oldest that never asked.

        Where all have asked, it is the one whose last answer is longest ago.
        """
        peers = self._loop.peers.values()
        if peers:
            self.handler.metrics.evictions.inc()
            min(peers, key=lambda one: one.last_answer).drop(Handshake.EVICTED)
