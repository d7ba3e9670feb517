"""gunicorn's asgi worker, made for a port that anybody may reach.

It accepts by itself, so that a connection counts from its first packet: handshakes have
a deadline and a counter, a full house makes room, each connection gets the certificate
of its moment, and a stopping process goes on accepting until it is quiet.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import socket
from functools import partial
from typing import Any, Final

from gunicorn.workers.gasgi import ASGIWorker

from webhook.server.certwatcher import handshake_failure
from webhook.server.connection import Connection
from webhook.server.handler import AdmissionHandler
from webhook.server.limits import (
    CROWD,
    DRAIN_LIMIT,
    HANDSHAKE_SECONDS,
    QUIET_SECONDS,
)
from webhook.server.metrics import Handshake, Phase

TICK_SECONDS: Final = 1.0
"""Between looks at deadlines, at the certificate's files and at the parent."""

BUSY: Final = frozenset({Phase.REQUEST, Phase.ANSWER, Phase.CLOSING})
"""What a stopping process waits for, as each has its deadline."""


class AdmissionWorker(ASGIWorker):  # type: ignore[misc] # gunicorn ships no types
    """The one process that answers.

    Attributes:
        handler: What answers.
        probes: The plain port's application.
        connections: All of them, in the order of their accept.
        large_bodies: Bytes held by bodies beyond their always granted part.
        last_answer: When anybody was last answered, on the loop's clock.
    """

    handler: AdmissionHandler
    probes: Any
    large_bodies = 0
    last_answer = 0.0
    _crowd = 0

    def load_wsgi(self) -> None:
        """Take the applications that were made before the fork."""
        super().load_wsgi()
        self.handler, self.probes = self.app.handler, self.app.probes
        self.connections: dict[Connection, None] = {}

    def handle_exit_signal(self) -> None:
        """SIGTERM: drain. SIGINT and SIGQUIT stop now, as gunicorn has it."""
        self.handler.draining = True

    # -- connections -------------------------------------------------------------

    def _accept(self, listener: socket.socket, *, probes: bool) -> bool:
        """Take one connection a turn, so that others get their turns."""
        try:
            client, _ = listener.accept()
        except OSError as problem:
            if problem.errno in {errno.EMFILE, errno.ENFILE}:
                self._make_room()
            return False
        client.setblocking(False)
        if len(self.connections) >= self.worker_connections:
            self._make_room()
        connection = Connection(self, probes=probes)
        self.connections[connection] = None
        connection.handshake = self.loop.create_task(
            self._open(client, connection, probes=probes)
        )
        return True

    def _make_room(self) -> None:
        """End the connection that matters least: the oldest that never asked.

        Where all have asked, it is the one whose last answer is longest ago.
        """
        if self.connections:
            least = min(self.connections, key=lambda one: one.last_answer)
            self.handler.metrics.evictions.inc()
            del self.connections[least]
            least.abort()

    async def _open(
        self, client: socket.socket, connection: Connection, *, probes: bool
    ) -> None:
        """Bring a connection through its handshake, and say how that ended."""
        watch, result, tls = self.handler.certificates, Handshake.OTHER, {}
        if not probes and watch and watch.current:
            tls = {
                "ssl": watch.current.context,
                "ssl_handshake_timeout": HANDSHAKE_SECONDS,
                "ssl_shutdown_timeout": HANDSHAKE_SECONDS,
            }
        try:
            if probes or tls:
                connect = self.loop.connect_accepted_socket
                await connect(lambda: connection, client, **tls)
                result = Handshake.COMPLETED
            else:
                client.close()
                result = Handshake.NO_CERTIFICATE
        except asyncio.CancelledError:
            result = Handshake.EVICTED
        except (OSError, EOFError) as problem:
            result = handshake_failure(problem)
        finally:
            connection.handshake = None
            if result is not Handshake.COMPLETED:
                self.connections.pop(connection, None)
            if not probes:
                self.handler.metrics.handshakes.labels(result).inc()

    # -- the process -------------------------------------------------------------

    async def _serve(self) -> None:
        self._start()
        listeners = [(one.sock, n > 0) for n, one in enumerate(self.sockets)]
        for listener, probes in listeners:
            listener.setblocking(False)
            accept = partial(self._accept, listener, probes=probes)
            self.loop.add_reader(listener.fileno(), accept)
        while self.alive and not self.handler.draining:
            await self._turn(TICK_SECONDS)
        await self._drain()
        for listener, probes in listeners:
            self.loop.remove_reader(listener.fileno())
            while self._accept(listener, probes=probes):
                continue  # who was in the queue already is served as well
            listener.close()
        while self.alive and any(
            one.handshake or one.phase in BUSY for one in self.connections
        ):
            await self._turn(0.05)

    def _start(self) -> None:
        metrics, connections = self.handler.metrics, self.connections
        metrics.connections.set_function(lambda: len(connections))
        unanswered = {Phase.REQUEST, Phase.ANSWER}
        metrics.in_flight.set_function(
            lambda: sum(one.phase in unanswered for one in connections)
        )

    async def _drain(self) -> None:
        """Serve until nobody asks any more.

        kube-apiserver learns late that this replica is leaving: until then a closed
        listener would be a refused connection, and a failed call.
        """
        self.log.info("Draining")
        settled = self.loop.time() + self.app.settings.drain_seconds
        while self.alive and (now := self.loop.time()) < settled + DRAIN_LIMIT:
            if now >= max(settled, self.last_answer + QUIET_SECONDS):
                break
            await self._turn(0.1)

    async def _turn(self, seconds: float) -> None:
        """Look after everything once, then wait."""
        self.notify()
        if self.ppid != os.getppid():
            self.log.info("The parent is gone")
            self.alive = False
        now = self.loop.time()
        for connection in list(self.connections):
            if connection.deadline < now:
                connection.expire()
        self.handler.reload_certificate()
        self._give_back()
        await asyncio.sleep(seconds)

    def _give_back(self) -> None:
        """Return a crowd's memory once it has left; glibc would keep it for the next.

        A connection has buffers of some 100 KB. Other C libraries keep less, and have
        no such call.
        """
        now = len(self.connections)
        self._crowd = max(self._crowd, now)
        if self._crowd > CROWD and now < self._crowd // 2:
            self._crowd = now
            with contextlib.suppress(AttributeError):
                ctypes.CDLL(None).malloc_trim(0)
