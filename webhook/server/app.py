"""The Flask applications: every route, complete under any WSGI server.

`create_app` is what the HTTPS port serves; `create_probe_app` is for the plain port of
probes and metrics. Every answer is JSON, except the metrics' own text format.
"""

from collections.abc import Callable
from datetime import datetime

import orjson
from flask import Flask, Response, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
)

from webhook.injection.reasons import Rejection
from webhook.server.handler import AdmissionHandler, build, to_stdout, utc_now
from webhook.server.limits import BODY_LIMIT
from webhook.server.responses import JSON, Answer, error
from webhook.settings import Settings

MUTATE = "/mutate"
METRICS = "/metrics"

_EXTENSION = "admission"


def create_app(
    settings: Settings,
    handler: AdmissionHandler | None = None,
    *,
    clock: Callable[[], datetime] = utc_now,
    write: Callable[[bytes], object] = to_stdout,
) -> Flask:
    """The application of the serving port.

    Args:
        settings: The operator's.
        handler: What answers; made from `settings` unless given.
        clock: The time now, in UTC.
        write: Takes whole log lines.

    Returns:
        `POST /mutate`, `GET /healthz` and `GET /readyz`.
    """
    app = _empty_app(handler or build(settings, clock=clock, write=write))
    app.add_url_rule(MUTATE, view_func=_mutate, methods=["POST"])
    return app


def create_probe_app(handler: AdmissionHandler) -> Flask:
    """The application of the plain port: probes and `GET /metrics`."""
    app = _empty_app(handler)
    app.add_url_rule(METRICS, view_func=_metrics, methods=["GET"])
    return app


def handler_of(app: Flask) -> AdmissionHandler:
    """What answers in `app`."""
    handler = app.extensions[_EXTENSION]
    assert isinstance(handler, AdmissionHandler)  # noqa: S101 - narrows the type
    return handler


class _Response(Response):
    default_mimetype = JSON


def _empty_app(handler: AdmissionHandler) -> Flask:
    app = Flask("webhook", static_folder=None)
    app.extensions[_EXTENSION] = handler
    app.response_class = _Response
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # their body would be text/html
    app.url_map.merge_slashes = False  # and so would a redirect's
    app.register_error_handler(Exception, _on_error(handler))
    app.add_url_rule("/healthz", view_func=_healthz, methods=["GET"])
    app.add_url_rule("/readyz", view_func=_readyz, methods=["GET"])
    return app


def _on_error(handler: AdmissionHandler) -> Callable[[Exception], Response]:
    def respond(problem: Exception) -> Response:
        if isinstance(problem, RequestEntityTooLarge):
            return _respond(handler.reject(Rejection.TOO_LARGE))
        if not isinstance(problem, HTTPException):
            return _respond(handler.failed(problem))
        response = _respond(error(problem.code or 500))
        if "Allow" in (headers := dict(problem.get_headers())):
            response.headers["Allow"] = headers["Allow"]
        return response

    return respond


def _respond(answer: Answer) -> Response:
    return _Response(answer.body, answer.status)


def _mutate() -> Response:
    handler = _current()
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise
    except BadRequest:  # the client left before its last byte
        return _respond(handler.reject(Rejection.TRUNCATED))
    return _respond(handler.answer(body, request.content_type or ""))


def _healthz() -> Response:
    """Alive: the process answers. Nothing else can make it restart."""
    return _Response(b'{"status":"ok"}')


def _readyz() -> Response:
    handler = _current()
    failures, warnings = handler.readiness_failures(), handler.warnings()
    status = "not ready" if failures else "ready"
    body = orjson.dumps({"status": status, "failures": failures, "warnings": warnings})
    return _Response(body, 503 if failures else 200)


def _metrics() -> Response:
    text = generate_latest(_current().registry)
    return Response(text, content_type=CONTENT_TYPE_LATEST)


def _current() -> AdmissionHandler:
    return handler_of(current_app)
