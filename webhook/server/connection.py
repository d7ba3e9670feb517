"""One client's HTTP, without its socket: bytes in, answers out.

gunicorn's C parser reads heads and frames bodies. This class adds what a port needs
that anybody may reach: a request is answered when its last byte is there, so that a
slow client holds nothing but its own share of memory; every phase has a deadline; and
`POST /mutate` is answered at once, below Flask, by the function that its view calls.
"""

import re
import time
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from typing import Any, Final

from flask import Flask
from gunicorn_h1c import (  # type: ignore[import-untyped] # it ships no types
    H1CProtocol,
    LimitRequestHeaders,
    LimitRequestLine,
)

from webhook.injection.reasons import Rejection
from webhook.injection.review import SMALL_BODY
from webhook.server.app import METRICS, MUTATE
from webhook.server.handler import AdmissionHandler
from webhook.server.limits import (
    BODY_LIMIT,
    HEAD_LIMITS,
    LARGE_BODIES,
    PIPELINED,
    SECONDS,
)
from webhook.server.metrics import Phase
from webhook.server.responses import CLOSE, Answer, error, on_the_wire
from webhook.server.wsgi import call, environ_of

_REVIEW: Final = (b"POST", MUTATE.encode())
_METRICS: Final = METRICS.encode()
_NOT_A_TARGET: Final = re.compile(rb"[^\x21-\x7e]").search
_BEFORE_REQUEST: Final = frozenset({Phase.FIRST_REQUEST, Phase.IDLE})


class Work(Enum):
    """What a request needs beyond its client's turn."""

    LATER = auto()
    """A turn of its own, once everybody has had one: it is large, or came too early."""
    RENDER = auto()
    """Rendering, which takes too long for the event loop."""


@dataclass(slots=True, kw_only=True)
class Shared:
    """What all connections share.

    Attributes:
        handler: What answers reviews.
        app: The serving port's application.
        probes: The plain port's.
        date: The time now, as HTTP has it.
        large_bodies: Bytes held by bodies beyond their always granted part.
        last_answer: When anybody was last answered, on the monotonic clock.
    """

    handler: AdmissionHandler
    app: Flask
    probes: Flask
    date: bytes = b"Thu, 01 Jan 1970 00:00:00 GMT"
    large_bodies: int = 0
    last_answer: float = 0.0


class _RefusedError(Exception):
    """Ends the parser's work: the request was answered before its last byte."""


class Connection:
    """A client's requests and answers, from the handshake to the end.

    Attributes:
        phase: What it is doing.
        deadline: When that has taken too long, on the monotonic clock.
        last_answer: When it was last answered, on the same clock; 0 for never.
        out: What is to be written.
        work: What its next request waits for.
    """

    def __init__(self, shared: Shared, *, probes: bool) -> None:
        """Prepare for a client of the serving port, or of the probes' port."""
        self.shared = shared
        self.phase, self.deadline = Phase.HANDSHAKE, inf
        self.last_answer = 0.0
        self.out = bytearray()
        self.work: Work | None = None
        self._reviews = not probes
        self._app = shared.probes if probes else shared.app
        self._body, self._held = bytearray(), 0
        self._method, self._target, self._keeps_alive = b"", b"", True
        self._is_last, self._pipelined = False, 0
        self._parser: Any = None

    # -- bytes in ----------------------------------------------------------------

    def opened(self) -> None:
        """The handshake is done, or there is none."""
        self._parser = H1CProtocol(
            on_headers_complete=self._on_headers_complete,
            on_body=self._on_body,
            **HEAD_LIMITS,
        )
        self.enter(Phase.FIRST_REQUEST)

    def receive(self, data: bytes) -> None:
        """Bytes of the client's, at most `PIECE`, in whatever pieces they come."""
        if self.phase is Phase.CLOSING:
            return
        answered = self.last_answer
        self._feed(data)
        self.advance()
        if self.last_answer == answered and self.phase in _BEFORE_REQUEST:
            self.enter(Phase.REQUEST)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except _RefusedError:
            pass
        except LimitRequestLine:
            self.refuse(error(414))
        except LimitRequestHeaders:
            self.refuse(error(431))
        except ValueError:  # of the parser's two unrelated classes, each is one
            self.refuse(error(400))

    def _on_headers_complete(self) -> bool:
        parser = self._parser
        get, version = parser.get_header, parser.http_version
        self._method, self._target = parser.method, parser.path
        # What the parser would let pass, and gunicorn refuses.
        unframed = get(b"transfer-encoding") is not None and not parser.is_chunked
        if unframed or _NOT_A_TARGET(self._target):
            self.refuse(error(400))
            raise _RefusedError
        if (parser.content_length or 0) > BODY_LIMIT:
            self._refuse_body()
        if (get(b"expect") or b"").lower() == b"100-continue" and version >= (1, 1):
            self.out += b"HTTP/1.1 100 Continue\r\n\r\n"
        connection = (get(b"connection") or b"").lower()
        self._keeps_alive = (
            parser.should_keep_alive
            and self._method != b"CONNECT"
            and connection != b"close"
            and (version >= (1, 1) or connection == b"keep-alive")
        )
        return False

    def _on_body(self, chunk: bytes) -> None:
        # In one piece: chunks of one byte would cost fifty times what is counted.
        self._body += chunk
        size = len(self._body)
        if size > BODY_LIMIT:
            self._refuse_body()
        if size > SMALL_BODY:
            self.shared.large_bodies += size - SMALL_BODY - self._held
            self._held = size - SMALL_BODY
            if self.shared.large_bodies > LARGE_BODIES:
                self.refuse(error(503))
                raise _RefusedError

    # -- answers out -------------------------------------------------------------

    def advance(self) -> None:
        """Answer the requests that are whole, in order, as far as they can be now."""
        while self.phase is not Phase.CLOSING and self._parser.is_complete:
            if self._pipelined or len(self._body) > SMALL_BODY:
                self.work = Work.LATER
            elif not self._reviews and self._path() == _METRICS:
                self.work = Work.RENDER
            if self.work:
                self.enter(Phase.ANSWER)
                return
            self.finish(self.respond())

    def respond(self) -> bytes:
        """The whole answer to the request that is next."""
        handler, parser, date = self.shared.handler, self._parser, self.shared.date
        self._is_last = handler.draining or not self._keeps_alive
        end = CLOSE if self._is_last else b""
        try:
            if self._reviews and (self._method, self._path()) == _REVIEW:
                content_type = parser.get_header(b"content-type") or b""
                answer = handler.answer(self._body, content_type.decode("latin-1"))
                return on_the_wire(answer, date, end)
            environ = environ_of(
                self._method, self._target, parser.asgi_headers, bytes(self._body)
            )
            return call(self._app, environ, b"Date: %s\r\n%s" % (date, end))
        except Exception as problem:  # noqa: BLE001 - it ends one connection
            self._is_last = True
            return on_the_wire(handler.failed(problem), date, CLOSE)

    def finish(self, response: bytes) -> None:
        """Send an answer, and turn to what the client sent after its request."""
        self.out += response
        self.work = None
        self._release()
        now = time.monotonic()
        self.last_answer = self.shared.last_answer = now
        self.phase, self.deadline = Phase.IDLE, now + SECONDS[Phase.IDLE]
        parser = self._parser
        data = parser.remaining()
        parser.reset()
        self._pipelined = self._pipelined + 1 if data else 0
        if self._is_last or self._pipelined > PIPELINED:
            self.close()
        elif data:
            self.enter(Phase.REQUEST)
            self._feed(data)

    def close(self) -> None:
        """Take no more requests; what is to be written still is."""
        self.enter(Phase.CLOSING)
        self.work = None
        self._release()

    def enter(self, phase: Phase) -> None:
        """Begin a phase, and its deadline."""
        self.phase = phase
        self.deadline = time.monotonic() + SECONDS[phase]

    def _path(self) -> bytes:
        return self._target.partition(b"?")[0]

    def _refuse_body(self) -> None:
        self.refuse(self.shared.handler.reject(Rejection.TOO_LARGE))
        raise _RefusedError

    def refuse(self, answer: Answer) -> None:
        """Answer what never became a request, and close."""
        retry = b"Retry-After: 1\r\n" if answer.status == 503 else b""
        self.out += on_the_wire(answer, self.shared.date, retry + CLOSE)
        self.close()

    def _release(self) -> None:
        if self._held:
            self.shared.large_bodies -= self._held
            self._held = 0
        self._body.clear()
