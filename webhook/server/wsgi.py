"""Calls a WSGI application on the event loop, without a thread.

An application for which this is right never waits: its views answer from memory, and
the request's body is there before it is called. So there is nothing that a slow client
could hold.
"""

import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from flask import Flask


def environ_of(
    method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> dict[str, Any]:
    """Return the environment of one request, as PEP 3333 has it.

    A header's name with `_` is left out: it would pass for another's with `-`.
    """
    path, _, query = target.partition(b"?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method.decode("ascii"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers:
        if b"_" in name:
            continue
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    # The body has a length now, whichever way it was framed.
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def call(app: Flask, environ: dict[str, Any], more: bytes) -> bytes:
    """Run the application and return all of its answer, as HTTP/1.1.

    Args:
        app: The application.
        environ: The request.
        more: Further header lines, each with its end.
    """
    lines: list[str] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _: object = None
    ) -> Callable[[bytes], object]:
        lines[:] = [
            f"HTTP/1.1 {status}",
            *(f"{one}: {value}" for one, value in headers),
        ]
        return len  # PEP 3333's `write`, which Flask does not use

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        getattr(parts, "close", lambda: None)()
    head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
    return b"".join((head, more, b"\r\n", body))
