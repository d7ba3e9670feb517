"""Runs a Flask application on the event loop, without a thread.

An application for which this is right never waits: its views answer from memory, and
the request's body is there before it is called. So there is nothing that a slow client
could hold, and no second thread to compete with the loop for the interpreter.
"""

from io import BytesIO
from typing import Any, cast

from a2wsgi.wsgi import build_environ
from flask import Flask
from werkzeug.test import run_wsgi_app


class WsgiOnLoop:
    """An ASGI application made of a Flask one."""

    def __init__(self, app: Flask) -> None:
        """Adapt `app`."""
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one HTTP request."""
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        environ = build_environ(scope, cast("Any", BytesIO(body)))
        # The body has a length now, whichever way it was framed.
        environ["CONTENT_LENGTH"] = str(len(body))
        parts, status, headers = run_wsgi_app(
            self._app, cast("Any", environ), buffered=True
        )
        head = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers
        ]
        code = int(status.split()[0])
        await send({"type": "http.response.start", "status": code, "headers": head})
        await send({"type": "http.response.body", "body": b"".join(parts)})
