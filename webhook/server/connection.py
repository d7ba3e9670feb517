"""One client's connection: gunicorn's HTTP, with deadlines, bounds and a short way.

gunicorn's protocol parses, frames, decides about keep-alive and runs Flask. This class
adds what a port needs that anybody may reach: a request is dispatched when its last
byte is there, so that a slow client holds nothing but its own share of memory; every
phase has a deadline; and `POST /mutate` is answered at once, below Flask, by the
function that Flask's view calls.
"""

import asyncio
from math import inf
from typing import TYPE_CHECKING, Any, Final

from gunicorn.asgi import protocol
from gunicorn.asgi.protocol import ASGIProtocol

from webhook.injection.reasons import Rejection
from webhook.server.app import MUTATE
from webhook.server.limits import (
    BODY_LIMIT,
    LARGE_BODIES,
    PIECE,
    PIPELINED,
    SECONDS,
    SMALL_BODY,
)
from webhook.server.metrics import Phase
from webhook.server.responses import Answer, error

if TYPE_CHECKING:
    from webhook.server.worker import AdmissionWorker

# gunicorn looks for the C parser on first use, and for the result on its own class.
ASGIProtocol._check_h1c_protocol_available()
protocol._CACHED_SERVER_HEADER = b""  # a banner tells an attacker what to try

_REVIEW: Final = ("POST", MUTATE.encode())
_HEAD: Final = b"Content-Type: application/json\r\nContent-Length: %d\r\n"
_CLOSE: Final = b"Connection: close\r\n\r\n"


class _RefusedError(Exception):
    """Ends the parser's work: the request was answered before its last byte."""


class Connection(ASGIProtocol):  # type: ignore[misc] # gunicorn ships no types
    """A client's connection, from its accept to its end.

    Attributes:
        phase: What it is doing.
        deadline: When that has taken too long, on the loop's clock.
        last_answer: When it was last answered, on the same clock; 0 for never.
        handshake: Its way in, which `abort` may have to end.
    """

    # gunicorn's, without which types know nothing of them.
    transport: Any
    _request_ready: Any
    _current_request: Any
    _body_receiver: Any
    _callback_parser: Any
    _flow_control: Any
    _known_head: Any
    _known_request: Any

    def __init__(self, worker: "AdmissionWorker", *, probes: bool) -> None:
        """Prepare for a client of the serving port, or of the probes' port."""
        super().__init__(worker)
        self.phase = Phase.FIRST_REQUEST
        self.deadline = inf
        self.last_answer = 0.0
        self.handshake: asyncio.Task[None] | None = None
        self._body, self._held = bytearray(), 0
        self._known_head = self._known_request = None
        self._reviews = not probes
        if probes:
            self.app = worker.probes

    # -- the transport's side ----------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The handshake is done, or there is none."""
        super().connection_made(transport)
        self._enter(Phase.FIRST_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: forget the connection and what it held."""
        super().connection_lost(exc)
        self._release()
        self.worker.connections.pop(self, None)
        # They refer back to this object; their buffers are not to wait for the
        # collector of cycles.
        self.transport = self.writer = self.handshake = self._flow_control = None

    def data_received(self, data: bytes) -> None:
        """Bytes of the client's, in whatever pieces they come."""
        if self.phase is Phase.CLOSING:
            return
        if self.phase is Phase.IDLE or self.phase is Phase.FIRST_REQUEST:
            self._enter(Phase.REQUEST)
        answered = self.worker.nr
        for start in range(0, len(data), PIECE):
            super().data_received(data[start : start + PIECE])
            if self.worker.nr > answered + PIPELINED:
                self.abort()
            if self._closed:
                return

    def pause_writing(self) -> None:
        """The client does not read its answers: read none of its requests."""
        super().pause_writing()
        self._pause_reading()
        self._enter(Phase.ANSWER)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._resume_reading()
        if self.phase is Phase.ANSWER and not self._request_ready.is_set():
            self._enter(Phase.IDLE)

    def expire(self) -> None:
        """The phase's deadline has passed."""
        self.worker.handler.metrics.deadlines.labels(self.phase).inc()
        if self.phase is Phase.REQUEST:
            self._refuse(error(408))
        elif self.phase in {Phase.ANSWER, Phase.CLOSING}:
            self.abort()
        else:
            self._close_transport()

    def abort(self) -> None:
        """End now, whatever is still to be written."""
        self._closed = True
        if self.transport is not None:
            self.transport.abort()
        elif self.handshake is not None:
            self.handshake.cancel()

    # -- the request -------------------------------------------------------------

    def _on_headers_complete(self) -> bool:
        """Make the request of its head, and run nothing before its body is there.

        kube-apiserver sends the same head again and again, but for the body's length,
        which the parser has judged by itself. gunicorn's checks of the rest cost a
        tenth of a request: what passed them before passes them again.
        """
        parser = self._callback_parser
        fields = [one for one in parser.asgi_headers if one[0] != b"content-length"]
        head = (parser.method, parser.path, parser.http_version, fields)
        if head == self._known_head:
            self._current_request = self._known_request
        else:
            # This would run the application now, and let it wait for the body.
            ready, self._request_ready = self._request_ready, None
            try:
                super()._on_headers_complete()
            finally:
                self._request_ready = ready
        if (parser.content_length or 0) > BODY_LIMIT:
            self._refuse_body()
        if self._body_receiver and self._body_receiver.expect_continue:
            self._body_receiver.expect_continue = False
            self._safe_write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif self._is_review():
            self._known_head, self._known_request = head, self._current_request
        return False

    def _is_review(self) -> bool:
        request = self._current_request
        return self._reviews and (request.method, request.raw_path) == _REVIEW

    def _on_body(self, chunk: bytes) -> None:
        # In one piece: chunks of one byte would cost fifty times what is counted.
        self._body += chunk
        before, self._held = self._held, len(self._body)
        if self._held > BODY_LIMIT:
            self._refuse_body()
        if self._held > SMALL_BODY:
            self.worker.large_bodies += self._held - max(before, SMALL_BODY)
            if self.worker.large_bodies > LARGE_BODIES:
                self._refuse(error(503))
                raise _RefusedError

    def _refuse_body(self) -> None:
        self._refuse(self.worker.handler.reject(Rejection.TOO_LARGE))
        raise _RefusedError

    def _handle_h1c_exception(self, exc: Exception) -> bool:
        refused = isinstance(exc, _RefusedError)
        return refused or bool(super()._handle_h1c_exception(exc))

    def _feed_callback_parser(self, data: bytes) -> bool:
        """Parse, and see to each request that is complete."""
        while super()._feed_callback_parser(data):
            parser = self._callback_parser
            if self._request_ready.is_set() or not parser.is_complete:
                return True
            request, body = self._current_request, bytes(self._body)
            self._body.clear()
            if not self._is_review():
                self._enter(Phase.ANSWER)
                self._pause_reading()  # what follows waits in the network
                self._body_receiver.feed(body)
                self._request_ready.set()  # gunicorn goes on from here
                return True
            self._answer_review(request, body)
            self._answered()
            if self._closed:
                return False
            data = parser.remaining()
            parser.reset()
            self._current_request = self._body_receiver = None
            if not data:
                return True
        return False

    def _answer_review(self, request: Any, body: bytes) -> None:
        content_type = ""
        for name, value in request.headers_bytes:
            if name == b"content-type":
                content_type = value.decode("latin-1")
        answer = self.worker.handler.answer(body, content_type)
        close = self._will_close(request, response_requires_close=False)
        self._write(answer, request.version, _CLOSE if close else b"\r\n")
        self.worker.nr += 1
        if close:
            self._close_transport()

    async def _serve_http_request(self, *args: Any) -> bool:
        keep = await super()._serve_http_request(*args)
        self._answered()
        return bool(keep)

    def _is_websocket_upgrade(self, request: Any) -> bool:
        del request
        return False

    def _arm_keepalive_timer(self) -> None:
        """A deadline does this."""

    def _maybe_resume_reading(self) -> None:
        """Not before the answer; then gunicorn reads on in any case."""

    # -- the answer --------------------------------------------------------------

    def _refuse(self, answer: Answer) -> None:
        """Answer what never became a request, and close."""
        retry = b"Retry-After: 1\r\n" if answer.status == 503 else b""
        self._write(answer, (1, 1), retry + _CLOSE)
        self._close_transport()

    def _send_error_response(self, status: int, *_: Any) -> None:
        """Gunicorn's refusals, as JSON and without a quotation of the request."""
        self._refuse(error(status))

    def _write(self, answer: Answer, version: tuple[int, int], end: bytes) -> None:
        """Write an answer as one piece, which TLS makes one record of."""
        line = protocol._get_cached_status_line(version, answer.status)
        head = _HEAD % len(answer.body)
        date = protocol._get_cached_date_header()
        self._safe_write(b"".join((line, head, date, end, answer.body)))

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        return self.worker.handler.draining or bool(
            super()._will_close(request, response_requires_close)
        )

    def _close_transport(self) -> None:
        if not self._closed:
            self._enter(Phase.CLOSING)
            self._release()
        super()._close_transport()

    def _answered(self) -> None:
        self._release()
        self.last_answer = self.worker.last_answer = self.worker.loop.time()
        if self._callback_parser.remaining_truncated:
            # More pipelined than the parser keeps: to hear such a peer out before the
            # end would only cost the others their turns.
            self.abort()
        elif not self._closed:
            unread = self._flow_control.write_paused
            self._enter(Phase.ANSWER if unread else Phase.IDLE)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.deadline = self.worker.loop.time() + SECONDS[phase]

    def _release(self) -> None:
        self.worker.large_bodies -= max(0, self._held - SMALL_BODY)
        self._held = 0
        self._body.clear()
