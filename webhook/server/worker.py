"""gunicorn's asgi worker, made for a port that anybody may reach.

It accepts by itself, so that a connection counts from its first packet: handshakes have
a deadline and a counter, a full house makes room, each connection gets the certificate
of its moment, and a stopping process goes on accepting until it is quiet.
"""

import asyncio
import ctypes
import os
import socket
import ssl
from typing import Any, Final

from gunicorn.workers.gasgi import ASGIWorker

from webhook.server.connection import Connection
from webhook.server.webhook import Webhook
from webhook.telemetry import Handshake, Phase

HANDSHAKE_SECONDS: Final = 5.0
"""Half of what kube-apiserver allows; one takes milliseconds."""

TICK_SECONDS: Final = 1.0
"""Between looks at deadlines, at the certificate's files and at the parent."""

QUIET_SECONDS: Final = 1.0
"""Without a request for this long, a stopping process may close its listener."""

DRAIN_LIMIT: Final = 15.0
"""Beyond the drain's own time, for a client that never stops asking."""

CROWD: Final = 50
"""Connections that are more than a cluster's API servers keep."""

ACCEPTS: Final = 64
"""New connections taken in one turn of the loop, so that others get theirs."""


class AdmissionWorker(ASGIWorker):  # type: ignore[misc] # gunicorn ships no types
    """The one process that answers.

    Attributes:
        webhook: What answers.
        probes: The plain port's application.
        large_bodies: Bytes held by bodies beyond their always granted part.
    """

    webhook: Webhook
    probes: Any
    large_bodies = 0

    def load_wsgi(self) -> None:
        """Take the applications that were made before the fork."""
        super().load_wsgi()
        self.webhook, self.probes = self.app.webhook, self.app.probes
        self._new: dict[Connection, None] = {}
        self._known: dict[Connection, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_answer = 0.0
        self._crowd = 0

    def handle_exit_signal(self) -> None:
        """SIGTERM: drain."""
        self.webhook.draining = True

    def handle_quit_signal(self) -> None:
        """SIGINT, SIGQUIT: stop now."""
        self.webhook.draining = True
        super().handle_quit_signal()

    # -- connections -------------------------------------------------------------

    def left(self, connection: Connection) -> None:
        """A connection has ended."""
        self._new.pop(connection, None)
        self._known.pop(connection, None)

    def answered(self, connection: Connection) -> None:
        """A connection has had an answer: it is the last to make room."""
        self._last_answer = self.loop.time()
        self._new.pop(connection, None)
        self._known.pop(connection, None)
        self._known[connection] = None

    def _connections(self) -> list[Connection]:
        return [*self._new, *self._known]

    def _accept(self, listener: socket.socket, *, probes: bool) -> None:
        for _ in range(ACCEPTS):
            try:
                client, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # out of descriptors: others have to leave first
                self._make_room()
                return
            client.setblocking(False)
            if len(self._new) + len(self._known) >= self.worker_connections:
                self._make_room()
            connection = Connection(self, probes=probes)
            self._new[connection] = None
            task = self.loop.create_task(self._open(client, connection, probes=probes))
            connection.handshake = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _make_room(self) -> None:
        """End the connection that matters least: the oldest that never asked.

        Where all have asked, it is the one whose last answer is longest ago.
        """
        for connection in (*self._new, *self._known):
            self.webhook.metrics.evictions.inc()
            self.left(connection)
            connection.abort()
            return

    async def _open(
        self, client: socket.socket, connection: Connection, *, probes: bool
    ) -> None:
        """Bring a connection through its handshake, and say how that ended."""
        result = Handshake.COMPLETED
        tls: dict[str, Any] = {}
        if not probes:
            watch = self.webhook.certificates
            if watch is None or watch.current is None:
                client.close()
                self.left(connection)
                self._shook_hands(Handshake.NO_CERTIFICATE)
                return
            tls = {
                "ssl": watch.current.context,
                "ssl_handshake_timeout": HANDSHAKE_SECONDS,
                "ssl_shutdown_timeout": HANDSHAKE_SECONDS,
            }
        try:
            await self.loop.connect_accepted_socket(lambda: connection, client, **tls)
        except asyncio.CancelledError:
            result = Handshake.EVICTED
        except (OSError, EOFError) as problem:
            result = _kind(problem)
        if result is not Handshake.COMPLETED:
            self.left(connection)
        if not probes:
            self._shook_hands(result)

    def _shook_hands(self, result: Handshake) -> None:
        self.webhook.metrics.handshakes.labels(result).inc()

    # -- the process -------------------------------------------------------------

    async def _serve(self) -> None:
        self._start()
        listeners = [one.sock for one in self.sockets]
        for index, listener in enumerate(listeners):
            listener.setblocking(False)
            probes = index > 0
            self.loop.add_reader(
                listener.fileno(),
                lambda one=listener, p=probes: self._accept(one, probes=p),
            )
        try:
            while self.alive and not self.webhook.draining:
                self._tick()
                await asyncio.sleep(TICK_SECONDS)
            await self._drain(listeners)
        finally:
            self.webhook.journal.close()

    def _start(self) -> None:
        metrics = self.webhook.metrics
        self.webhook.journal.start()
        metrics.connections.set_function(lambda: len(self._connections()))
        metrics.in_flight.set_function(
            lambda: sum(
                one.phase in {Phase.REQUEST, Phase.ANSWER}
                for one in self._connections()
            )
        )

    def _tick(self) -> None:
        self.notify()
        if self.ppid != os.getppid():
            self.log.info("The parent is gone")
            self.alive = False
        now = self.loop.time()
        for connection in self._connections():
            if connection.deadline < now:
                connection.expire()
        self.webhook.look_at_certificate()
        self._give_back(len(self._new) + len(self._known))

    def _give_back(self, now: int) -> None:
        """Return a crowd's memory once it has left; glibc would keep it for the next.

        A connection has buffers of some 100 KB.
        """
        self._crowd = max(self._crowd, now)
        if self._crowd > CROWD and now < self._crowd // 2:
            self._crowd = now
            if _LIBC is not None:
                _LIBC(0)

    async def _drain(self, listeners: list[socket.socket]) -> None:
        """Serve until nobody asks any more, then stop.

        kube-apiserver learns late that this replica is leaving: until then a closed
        listener would be a refused connection, and a failed call.
        """
        self.log.info("Draining")
        begun = self.loop.time()
        settled = begun + self.app.settings.drain_seconds
        while (
            not self._quick_shutdown
            and (now := self.loop.time()) < settled + DRAIN_LIMIT
        ):
            if now >= settled and now - self._last_answer >= QUIET_SECONDS:
                break
            self._tick()
            await asyncio.sleep(0.1)
        self.alive = False
        for index, listener in enumerate(listeners):
            self.loop.remove_reader(listener.fileno())
            self._accept(listener, probes=index > 0)  # who was in the queue already
            listener.close()
        while not self._quick_shutdown and self._is_busy():
            self._tick()
            await asyncio.sleep(0.05)
        for connection in self._connections():
            connection.leave()
        await asyncio.sleep(0.1)

    def _is_busy(self) -> bool:
        busy = {Phase.REQUEST, Phase.ANSWER, Phase.CLOSING}
        return bool(self._tasks) or any(
            one.phase in busy for one in self._connections()
        )


_LIBC: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc's; other C libraries have none and keep less."""

_KINDS: Final = {
    "HTTP_REQUEST": Handshake.NOT_TLS,
    "WRONG_VERSION_NUMBER": Handshake.NOT_TLS,
    "UNSUPPORTED_PROTOCOL": Handshake.OLD_PROTOCOL,
    "VERSION_TOO_LOW": Handshake.OLD_PROTOCOL,
    "NO_SHARED_CIPHER": Handshake.NO_COMMON_CIPHER,
    "TLSV1_ALERT_UNKNOWN_CA": Handshake.CERTIFICATE_REFUSED,
    "SSLV3_ALERT_BAD_CERTIFICATE": Handshake.CERTIFICATE_REFUSED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": Handshake.CERTIFICATE_REFUSED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": Handshake.CERTIFICATE_REFUSED,
}
"""OpenSSL's reasons, as `ssl.SSLError.reason` has them."""


def _kind(problem: OSError | EOFError) -> Handshake:
    if isinstance(problem, ssl.SSLError):
        return _KINDS.get(problem.reason or "", Handshake.OTHER)
    if isinstance(problem, ConnectionAbortedError):  # uvloop's handshake deadline
        return Handshake.TIMED_OUT
    if isinstance(problem, (ConnectionError, EOFError)):
        return Handshake.DISCONNECTED
    return Handshake.OTHER
