"""Byte streams against our connection and against gunicorn's own, in one process.

Both get the same bytes in the same pieces, without a network between. gunicorn's
protocol runs an application that reads the whole body before it answers; where that
accepts a request, ours must give the same answer, in the same order, and nothing more.

    python -m tests.server.framing COUNT [SEED]
"""

import asyncio
import json
import logging
import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.config import Config

from webhook.server.connection import Connection, Shared
from webhook.server.handler import AdmissionHandler, build
from webhook.server.limits import HEAD_LIMITS, PIECE
from webhook.server.metrics import Phase
from webhook.settings import Settings

HALF_GONE = {"http.disconnect"}
STOCK = {
    "http_parser": "fast",
    "http_protocols": "h1",
    "keepalive": 120,
    "forwarded_allow_ips": "",
    "asgi_disconnect_grace_period": 0,
}
"""gunicorn's settings for the same port."""


def make_app(handler: AdmissionHandler) -> Any:
    """An application that says which request it saw, once it has seen all of it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] in HALF_GONE:
                return
            body += message["body"]
            if not message["more_body"]:
                break
        if (scope["method"], scope["raw_path"]) == ("POST", b"/mutate"):
            types = [v for k, v in scope["headers"] if k == b"content-type"]
            kind = types[-1].decode("latin-1") if types else ""
            status, text = handler.answer(body, kind)
        else:
            status, text = 200, seen(scope["method"], scope["path"], body)
        length = (b"content-length", b"%d" % len(text))
        head = [(b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": text})

    return app


def wsgi_app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The same for what our connection does not answer by itself."""
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    text = seen(environ["REQUEST_METHOD"], path, environ["wsgi.input"].read())
    head = [("content-type", "application/json"), ("content-length", str(len(text)))]
    start_response("200 OK", head)
    return [text]


def seen(method: str, path: str, body: bytes) -> bytes:
    """A request as an application saw it."""
    return json.dumps([method, path, sha256(body).hexdigest()]).encode()


@dataclass(slots=True)
class Wire:
    """A transport that keeps what is written, and honors pauses."""

    written: list[bytes] = field(default_factory=list)
    closed: bool = False
    lost: bool = False
    paused: bool = False

    def write(self, data: bytes) -> None:
        """Keep it, unless there is nobody who gets it."""
        if not self.closed and not self.lost:
            self.written.append(bytes(data))

    def writelines(self, parts: Any) -> None:
        """Keep them."""
        self.write(b"".join(parts))

    def close(self) -> None:
        """Nothing can be written from now on."""
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        """As under TLS."""
        return False

    def set_write_buffer_limits(self, **_: int) -> None:
        """Everything fits."""

    def pause_reading(self) -> None:
        """Deliver nothing for now."""
        self.paused = True

    def resume_reading(self) -> None:
        """Deliver again."""
        self.paused = False

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed

    def get_extra_info(self, name: str) -> Any:
        """A peer on loopback, without TLS."""
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else None


class Bench:
    """Ours, and gunicorn's on a loop."""

    def __init__(self, loop: Any) -> None:
        """Build what each believes to run in."""
        self.handler = build(Settings(), write=lambda _: None)
        cfg = Config()
        for name, value in (STOCK | HEAD_LIMITS).items():
            cfg.set(name, value)
        app = make_app(self.handler)
        log = logging.getLogger("framing")
        log.addHandler(logging.NullHandler())
        log.propagate = False
        log.access_log_enabled = False  # type: ignore[attr-defined] # as gunicorn's has
        self.worker: Any = SimpleNamespace(
            cfg=cfg, log=log, asgi=app, loop=loop, alive=True, nr=0,
            max_requests=sys.maxsize, nr_conns=0, state={},
        )  # fmt: skip
        wsgi: Any = wsgi_app
        self.shared = Shared(handler=self.handler, app=wsgi, probes=wsgi)

    def run_ours(self, pieces: list[bytes]) -> Wire:
        """Deliver the pieces as a socket would, then hang up."""
        connection, wire = Connection(self.shared, probes=False), Wire()
        connection.opened()
        for piece in pieces:
            if connection.phase is Phase.CLOSING:
                break
            connection.receive(piece)
            while connection.out or connection.work:
                wire.write(bytes(connection.out))
                connection.out.clear()
                if connection.work:
                    connection.finish(connection.respond())
                connection.advance()
        wire.closed = connection.phase is Phase.CLOSING
        assert connection.deadline < float("inf"), "it would wait without end"
        connection.close()
        return wire

    async def run_stock(self, pieces: list[bytes]) -> Wire:
        """Deliver the pieces as the transport would, then hang up."""
        protocol: Any = ASGIProtocol(self.worker)
        wire = Wire()
        protocol.connection_made(wire)
        for piece in pieces:
            await self._settle(wire)
            if wire.closed:
                break
            protocol.data_received(piece)
        await self._settle(wire)
        wire.lost = True
        protocol.connection_lost(None)
        await asyncio.sleep(0)
        return wire

    async def _settle(self, wire: Wire) -> None:
        for turn in range(200):
            await asyncio.sleep(0)
            if turn >= 8 and (wire.closed or not wire.paused):
                return
        raise AssertionError("it never read on")

    async def compare(self, pieces: list[bytes]) -> tuple[int, int]:
        """Run both; return how many requests each answered."""
        ours = self.run_ours(pieces)
        stock = await self.run_stock(pieces)
        mine, theirs = answers(ours), answers(stock)
        accepted = [one for one in theirs if one[2] == "application/json"]
        assert mine[: len(accepted)] == accepted, (mine, theirs)
        rest = mine[len(accepted) :]
        assert all(status >= 400 for status, _, _ in rest), (mine, theirs)
        refused = [status for status, _, kind in theirs if kind != "application/json"]
        assert refused == [status for status, _, _ in rest], (mine, theirs)
        assert ours.closed == stock.closed, (mine, theirs, ours.closed)
        return len(mine), len(accepted)


_HEAD = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


def answers(wire: Wire) -> list[tuple[int, bytes, str]]:
    """Status, body and type of each answer; every byte must belong to one."""
    data, found = b"".join(wire.written), []
    while data:
        match = _HEAD.match(data)
        assert match, data[:200]
        status = int(match[1])
        fields = dict(
            line.lower().split(b": ", 1) for line in match[2].splitlines() if line
        )
        length = int(fields.get(b"content-length", b"0"))
        body = data[match.end() : match.end() + length]
        assert len(body) == length
        data = data[match.end() + length :]
        if status != 100:
            found.append((status, body, fields[b"content-type"].decode()))
    return found


class Streams:
    """Requests as they should be, and in every way as they should not."""

    def __init__(self, seed: int) -> None:
        """The same seed makes the same streams."""
        self._random = random.Random(seed)  # noqa: S311 - streams, not secrets
        self._number = 0

    def __iter__(self) -> Iterator[list[bytes]]:
        """Streams in pieces, without end."""
        while True:
            pieces = self._split(self._stream())
            # As a TLS record has them, and as our connection hands them on.
            yield [
                piece[start : start + PIECE]
                for piece in pieces
                for start in range(0, len(piece), PIECE)
            ]

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _stream(self) -> bytes:
        parts = [self._request() for _ in range(self._random.choice((1, 1, 2, 3, 4)))]
        stream = b"".join(parts)
        if self._chance(0.05):
            stream = stream[: self._random.randrange(len(stream))]
        for _ in range(self._random.choice((0, 0, 0, 0, 1, 1, 3))):
            place = self._random.randrange(len(stream) or 1)
            odd = self._random.choice(ODD_BYTES)
            stream = stream[:place] + odd + stream[place + self._chance(0.5) :]
        return stream

    def _request(self) -> bytes:
        pick = self._random.choice
        body = self._body()
        line = b" ".join((pick(METHODS), pick(TARGETS), pick(VERSIONS)))
        lines = [line, b"Host: x", pick(TYPES)]
        for odd in ODD_HEADERS:
            if self._chance(0.005):
                lines.append(odd)
        if self._chance(0.01):
            lines.append(b"X-Giant: " + b"a" * pick((8000, 8190, 9000, 70_000)))
        if self._chance(0.1):
            lines.append(pick((b"Connection: close", b"Connection: keep-alive")))
        if self._chance(0.03):
            lines += [b"X-Many: 1"] * pick((20, 47, 60))
        framing, body = self._framing(body)
        lines += framing
        self._random.shuffle(tail := lines[1:])
        end = b"\r\n" if not self._chance(0.01) else b"\n"
        return end.join([line, *tail]) + end * 2 + body

    def _body(self) -> bytes:
        self._number += 1
        if self._chance(0.1):
            return self._random.choice((b"", b"{}", b"x" * 3000, b"null"))
        request = {"uid": f"uid-{self._number}", "operation": "CREATE", "object": None}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        return json.dumps(review | {"request": request}).encode()

    def _framing(self, body: bytes) -> tuple[list[bytes], bytes]:
        pick = self._random.choice
        if self._chance(0.55):
            length = b"Content-Length: %d" % len(body)
            return [length], body
        if self._chance(0.6):
            return [b"Transfer-Encoding: chunked"], self._chunked(body)
        wrong = len(body) + pick((-1, 1, 7, 100))
        odd: list[list[bytes]] = [
            [],
            [b"Content-Length: %d" % max(wrong, 0)],
            [b"Content-Length: %d" % len(body)] * 2,
            [b"Content-Length: %d" % len(body), b"Content-Length: %d" % wrong],
            [b"Content-Length: +%d" % len(body)],
            [b"Content-Length: -1"],
            [b"Content-Length: 0x10"],
            [b"Content-Length: %d, %d" % (len(body), len(body))],
            [b"Content-Length: 99999999999999999999"],
            [b"Content-Length : %d" % len(body)],
            [b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: gzip, chunked"],
            [b"Transfer-Encoding: chunked, gzip"],
            [b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding: xchunked"],
            [b"Transfer-Encoding:\x0bchunked"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
            [b"transfer_encoding: chunked"],
            [b"Content-Length: %d" % len(body), b"Expect: 100-continue"],
            [b"Transfer-Encoding: chunked", b"Expect: 100-continue"],
        ]
        lines = pick(odd)
        chunked = any(b"chunked" in one for one in lines) and self._chance(0.8)
        return lines, self._chunked(body) if chunked else body

    def _chunked(self, body: bytes) -> bytes:
        pick, parts, start = self._random.choice, [], 0
        while start < len(body):
            size = self._random.randrange(1, 80)
            part = body[start : start + size]
            start += size
            extension = pick((b"", b"", b"", b"", b";a=b", b';a="b"', b" ", b";\x00"))
            number = b"%x" % len(part)
            if self._chance(0.005):
                number = pick((b"+1", b"0x5", b"-1", b"", b"fffffffffffffffff", b"g"))
            parts.append(number + extension + b"\r\n" + part + b"\r\n")
        trailer = pick((b"", b"", b"", b"", b"X: y\r\n", b"Content-Length: 3\r\n"))
        return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"

    def _split(self, stream: bytes) -> list[bytes]:
        how = self._random.random()
        if how < 0.4:
            return [stream]
        if how < 0.45 and len(stream) < 2000:
            return [stream[i : i + 1] for i in range(len(stream))]
        cuts = sorted(
            self._random.randrange(len(stream) + 1)
            for _ in range(self._random.randrange(1, 6))
        )
        return [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]


METHODS = [b"POST"] * 40 + [b"GET", b"PUT", b"OPTIONS", b"post", b"P@ST", b"CONNECT"]
TARGETS = [b"/mutate"] * 60 + [
    b"/mutate?timeout=3s", b"/other", b"/a%20b", b"*", b"http://x/mutate", b"/\xff",
    b"//mutate", b"/mutate#f", b"/mu tate", b"", b"/%6dutate",
]  # fmt: skip
VERSIONS = [b"HTTP/1.1"] * 60 + [
    b"HTTP/1.0",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"",
]
TYPES = [b"Content-Type: application/json"] * 6 + [b"Content-Type: text/plain", b"A: b"]
ODD_BYTES = [b"\x00", b"\r", b"\n", b"\r\n", b" ", b":", b"\xff", b"\x7f", b"0", b"\t"]
ODD_HEADERS = [
    b" folded: value", b"\tfolded", b"X\x00: y", b"X: \x00", b"X: a\rb", b"X : y",
    b": y", b"X", b"Host: y", b"Upgrade: websocket", b"Connection: upgrade",
    b"X: \xff\xfe",
    b"Upgrade: h2c", b"X_Y: z", b"X-Forwarded-Proto: https", b"Expect: nothing",
    b"Content-Type: text/plain", b"Connection: close, keep-alive",
]  # fmt: skip


async def fuzz(count: int, seed: int, report: Any = None) -> dict[str, int]:
    """Compare on `count` streams; the first difference raises.

    Returns:
        Streams, answers of ours, and requests that gunicorn accepted.
    """
    bench = Bench(asyncio.get_running_loop())
    totals = {"streams": 0, "answers": 0, "accepted": 0}
    for pieces in Streams(seed):
        try:
            mine, accepted = await bench.compare(pieces)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\nfor the pieces {pieces}") from problem
        totals["streams"] += 1
        totals["answers"] += mine
        totals["accepted"] += accepted
        if report and totals["streams"] % 10_000 == 0:
            report(totals)
        if totals["streams"] == count:
            break
    assert bench.shared.large_bodies == 0
    return totals


def main() -> None:
    """Run from the command line."""
    count = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    print(f"seed {seed}", flush=True)  # noqa: T201 - a program's output
    show = lambda totals: print(totals, flush=True)  # noqa: E731, T201 - as above
    totals = asyncio.run(fuzz(count, seed, show))
    print("no difference:", totals)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
