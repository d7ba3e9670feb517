"""One client's connection: gunicorn's HTTP, with deadlines, bounds and a short way.

gunicorn's protocol parses, decides about keep-alive and runs the application. This
class adds what a port needs that anybody may reach: a request is dispatched when its
last byte is there, so that a slow client holds no thread and no memory beyond its own
share; every phase has a deadline; and `POST /mutate` is answered at once, below Flask,
by the function that Flask's view calls.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from gunicorn.asgi.protocol import (
    ASGIProtocol,
    BodyReceiver,
    _get_cached_date_header,
    _get_cached_status_line,
)

from webhook.injection.reasons import Rejection
from webhook.server.answer import BODY_LIMIT, Answer, error
from webhook.server.app import MUTATE
from webhook.telemetry import Phase

if TYPE_CHECKING:
    from webhook.server.worker import AdmissionWorker

# gunicorn looks for the C parser on first use, and for the result on its own class.
ASGIProtocol._check_h1c_protocol_available()

SECONDS: Final = {
    Phase.FIRST_REQUEST: 10.0,
    Phase.REQUEST: 10.0,
    Phase.ANSWER: 10.0,
    Phase.IDLE: 120.0,
    Phase.CLOSING: 2.0,
}
"""Deadlines. kube-apiserver waits 3 s for us and at most 30 s for any webhook: what
takes 10 s is no use to it. It keeps idle connections for 90 s, so we must keep them
longer: only the client can close one without losing a request of its own. A closed peer
gets 2 s to read its last answer."""

SMALL_BODY: Final = 64 << 10
"""Bytes of a body that is always taken. A real pod has about 10 KB."""

LARGE_BODIES: Final = 64 << 20
"""Bytes that all larger bodies may hold together, whoever sends them."""

_BANNER: Final = b"Server: gunicorn/asgi\r\n"
_HEAD: Final = b"Content-Type: application/json\r\nContent-Length: "


class _RefusedError(Exception):
    """Raised inside the parser's callbacks: the request is answered at once."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Connection(ASGIProtocol):  # type: ignore[misc] # gunicorn ships no types
    """A client's connection, from its accept to its end.

    Attributes:
        phase: What it is doing.
        deadline: When that has taken too long, on the loop's clock.
        held: Bytes of the unanswered request's body.
    """

    # gunicorn's, without which types know nothing of them.
    transport: Any
    _current_request: Any
    _body_receiver: Any
    _flow_control: Any
    _callback_parser: Any
    _response_buffer: Any
    _task: Any

    def __init__(self, worker: "AdmissionWorker", *, probes: bool) -> None:
        """Prepare for a client of the serving port, or of the probes' port."""
        super().__init__(worker)
        self.phase = Phase.FIRST_REQUEST
        self.deadline = float("inf")
        self.held = 0
        self.handshake: asyncio.Task[None] | None = None
        self._known_head: Any = None
        self._known_request: Any = None
        self._probes = probes
        if probes:
            self.app = worker.probes
        # The last request's size is bounded below, and nothing is read past it.
        self._max_buffer_size = 2 * BODY_LIMIT

    # -- the transport's side ----------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The handshake is done, or there is none."""
        super().connection_made(transport)
        self._enter(Phase.FIRST_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: forget the connection and what it held."""
        super().connection_lost(exc)
        self._release()
        self.worker.left(self)
        # They refer back to this object, and to buffers that should not wait for the
        # collector of cycles.
        self.transport = self.writer = self.handshake = self._flow_control = None
        self._callback_parser = self._body_receiver = None
        self._current_request = self._known_request = None

    def data_received(self, data: bytes) -> None:
        """Bytes of the client's, in whatever pieces they come."""
        if self.phase is Phase.CLOSING:
            return
        if self.phase is Phase.IDLE:
            self._enter(Phase.REQUEST)
        super().data_received(data)

    def pause_writing(self) -> None:
        """The client does not read its answers: read none of its requests."""
        super().pause_writing()
        self._pause_reading()
        self._enter(Phase.ANSWER)

    def resume_writing(self) -> None:
        """The client has read; go on where we stopped."""
        super().resume_writing()
        if self._task is None and self.phase is Phase.ANSWER:
            self._after_answer()

    def expire(self) -> None:
        """The phase's deadline has passed."""
        self.worker.webhook.metrics.deadlines.labels(self.phase).inc()
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

    def leave(self) -> None:
        """End as soon as everything is written."""
        if self.transport is not None:
            self._close_transport()
        else:
            self.abort()

    # -- the parser's side -------------------------------------------------------

    def _start_http1(self, buffered: bytes = b"") -> None:
        """Parse, without the task that gunicorn keeps for every connection."""
        del buffered
        self._setup_callback_parser()

    def _on_headers_complete(self) -> bool:
        self._take_head()
        self._enter(Phase.REQUEST, renew=False)
        if self._current_request.content_length > BODY_LIMIT:
            self._refuse_body()
        if self._body_receiver.expect_continue:
            self._body_receiver.expect_continue = False
            self._safe_write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return False

    def _take_head(self) -> None:
        """Make the request of its head.

        kube-apiserver sends the same head again and again, but for the body's length,
        which the parser has judged by itself. gunicorn's checks of the rest cost a
        tenth of a request: what passed them before passes them again.
        """
        parser = self._callback_parser
        fields = [one for one in parser.asgi_headers if one[0] != b"content-length"]
        head = (parser.method, parser.path, parser.http_version, fields)
        if head == self._known_head:
            self._known_request.content_length = parser.content_length or 0
            self._current_request = self._known_request
            self._body_receiver = BodyReceiver(self._known_request, self)
            return
        super()._on_headers_complete()
        if self._is_review():  # an application would see the other length
            self._known_head, self._known_request = head, self._current_request

    def _is_review(self) -> bool:
        request = self._current_request
        return (
            request.raw_path == _MUTATE
            and request.method == "POST"
            and not self._probes
        )

    def _on_body(self, chunk: bytes) -> None:
        super()._on_body(chunk)
        before, self.held = self.held, self.held + len(chunk)
        if self.held > BODY_LIMIT:
            self._refuse_body()
        if self.held > SMALL_BODY:
            self.worker.large_bodies += self.held - max(before, SMALL_BODY)
            if self.worker.large_bodies > LARGE_BODIES:
                raise _RefusedError(error(503))

    def _refuse_body(self) -> None:
        raise _RefusedError(self.worker.webhook.reject(Rejection.TOO_LARGE))

    def _handle_h1c_exception(self, exc: Exception) -> bool:
        if isinstance(exc, _RefusedError):
            self._refuse(exc.answer)
            return True
        return bool(super()._handle_h1c_exception(exc))

    def _is_websocket_upgrade(self, request: Any) -> bool:
        del request
        return False

    # -- answers -----------------------------------------------------------------

    def _feed_callback_parser(self, data: bytes) -> bool:
        """Parse, and answer each request that is complete."""
        while True:
            if not super()._feed_callback_parser(data):
                return False
            if not self._callback_parser.is_complete or self.phase is Phase.ANSWER:
                return True
            self._enter(Phase.ANSWER)
            request = self._current_request
            if not self._is_review():
                self._pause_reading()
                self._task = self.worker.loop.create_task(self._run_app(request))
                return True
            self._answer_review(request)
            if self._flow_control.write_paused:
                return True
            data = self._next_request()
            if not data:
                return not self._closed

    def _answer_review(self, request: Any) -> None:
        content_type = ""
        for name, value in request.headers_bytes:
            if name == b"content-type":
                content_type = value.decode("latin-1")
        chunks = self._body_receiver._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        status, answer = self.worker.webhook.answer(body, content_type)
        close = self._will_close(request, response_requires_close=False)
        self._safe_write(
            b"".join(
                (
                    _get_cached_status_line(request.version, status),
                    _HEAD,
                    b"%d\r\n" % len(answer),
                    _get_cached_date_header(),
                    b"Connection: close\r\n\r\n" if close else b"\r\n",
                    answer,
                )
            )
        )
        self.worker.nr += 1
        if close:
            self._close_transport()

    async def _run_app(self, request: Any) -> None:
        """Let gunicorn run the application for everything but reviews."""
        get = self.transport.get_extra_info
        keep = await self._handle_http_request(
            request, get("sockname"), get("peername")
        )
        self._task = None
        self.worker.nr += 1
        if self.transport is None:
            return
        if not keep:
            self._close_transport()
        elif not self._flow_control.write_paused:
            self._after_answer()

    def _after_answer(self) -> None:
        """Go on with the next request, which may be here already."""
        rest = self._next_request()
        self._resume_reading()
        if rest and not self._closed:
            self.data_received(rest)

    def _next_request(self) -> bytes:
        """Forget the answered request; return the bytes that came after it."""
        parser = self._callback_parser
        if parser.remaining_truncated:
            # More pipelined than the parser keeps: to hear such a peer out before
            # the end would only cost the others their turns.
            self.abort()
        if self._closed:
            return b""
        rest: bytes = parser.remaining()
        parser.reset()
        self._current_request = self._body_receiver = None
        self._release()
        self._enter(Phase.IDLE)
        self.worker.answered(self)
        return rest

    def _refuse(self, answer: Answer) -> None:
        """Answer what never became a request, and close."""
        self._safe_write(
            b"".join(
                (
                    _get_cached_status_line((1, 1), answer.status),
                    _HEAD,
                    b"%d\r\nConnection: close\r\n" % len(answer.body),
                    b"Retry-After: 1\r\n\r\n" if answer.status == 503 else b"\r\n",
                    answer.body,
                )
            )
        )
        self._close_transport()

    def _send_error_response(
        self, status: int, message: str, extra_headers: Any = ()
    ) -> None:
        """Gunicorn's refusals, as JSON and without a quotation of the request."""
        del message, extra_headers
        self._refuse(error(status))

    def _send_response_start(self, *args: Any, **kwargs: Any) -> None:
        super()._send_response_start(*args, **kwargs)
        self._response_buffer = self._response_buffer.replace(_BANNER, b"", 1)

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        return self.worker.webhook.draining or bool(
            super()._will_close(request, response_requires_close)
        )

    def _close_transport(self) -> None:
        if not self._closed:
            self._enter(Phase.CLOSING)
            self._release()
        super()._close_transport()

    # -- bookkeeping -------------------------------------------------------------

    def _enter(self, phase: Phase, *, renew: bool = True) -> None:
        if renew or self.phase is not phase:
            self.phase = phase
            self.deadline = self.worker.loop.time() + SECONDS[phase]

    def _release(self) -> None:
        if self.held > SMALL_BODY:
            self.worker.large_bodies -= self.held - SMALL_BODY
        self.held = 0


_MUTATE: Final = MUTATE.encode()
