"""Where the time of one request goes, in microseconds, and how it grows with its size.

HTTP is what `Connection` and its parser take beside the answer; TLS is OpenSSL's
part alone. The kernel and the event loop are the rest of what `tests.bench.run` sees.
"""

import json
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from math import log
from pathlib import Path
from typing import Any, Final

import orjson

from tests.bench.measure import write_bodies
from tests.server.pairs import HOST, issue
from tests.server.process import trusting
from webhook.injection.decision import decide
from webhook.injection.review import answer, decode, parse
from webhook.samples import reviews
from webhook.server.app import create_app
from webhook.server.certwatcher import Pair, load
from webhook.server.connection import Connection, Shared
from webhook.server.handler import build, log_line
from webhook.server.responses import JSON
from webhook.settings import Settings

TURNS: Final = 20_000
HEAD: Final = (
    "POST /mutate?timeout=3s HTTP/1.1\r\nHost: tracking-injector.test.svc:443\r\n"
    "User-Agent: kube-apiserver-admission\r\nContent-Length: {}\r\n"
    "Accept: application/json, */*\r\nContent-Type: application/json\r\n"
    "Accept-Encoding: gzip\r\n\r\n"
)
SIZES: Final = (
    (1, 0), (1, 100), (5, 50), (1, 1000), (10, 100), (20, 200), (50, 200), (100, 200),
    (200, 200),
)  # fmt: skip
"""Containers, and variables that each has beyond its own."""


def microseconds(work: Callable[[], object], turns: int = TURNS) -> float:
    """The median of ten means, in processor time: the machine may be shared."""
    means = []
    for _ in range(10):
        begun = time.process_time()
        for _ in range(turns // 10):
            work()
        means.append((time.process_time() - begun) / (turns // 10) * 1e6)
    return round(statistics.median(means), 2)


def profile(body: bytes) -> dict[str, float]:
    """The parts of one request."""
    handler = build(Settings(), write=len)
    app = create_app(Settings(), handler)
    shared = Shared(handler=handler, app=app, probes=app)
    handler.log.start()
    review = decode(body)
    decision = decide(review, handler.policy)
    connection = Connection(shared, probes=False)
    connection.opened()
    request = HEAD.format(len(body)).encode() + body

    def whole() -> None:
        connection.receive(request)
        connection.out.clear()

    def count() -> None:
        handler.metrics.decided("ray-head", decision.reason, "webhook", 0.0001)

    def write() -> None:
        handler.log.add(log_line(review, decision, 0.0001, handler.clock()))

    parts = {
        "parse": microseconds(lambda: decode(body)),
        "decide": microseconds(lambda: decide(review, handler.policy)),
        "encode": microseconds(lambda: answer(review.uid, decision.patch)),
        "log": microseconds(write),
        "metrics": microseconds(count),
        "answer, all of these": microseconds(lambda: handler.answer(body, JSON)),
        "request, without TLS and the kernel": microseconds(whole),
    }
    parts["HTTP"] = round(
        parts["request, without TLS and the kernel"] - parts["answer, all of these"], 2
    )
    parts["TLS"] = tls(request, handler.answer(body, JSON).body)
    parts["for comparison: parse all of it"] = microseconds(lambda: parse(body))
    parts["for comparison: orjson alone"] = microseconds(lambda: orjson.loads(body))
    return parts


def tls(request: bytes, reply: bytes) -> float:
    """A request's decryption and its answer's encryption.

    Both ends are measured and halved: each opens as much as the other seals.
    """
    pair = issue()
    context = load(Pair(certificate=pair.crt, key=pair.key)).context
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(up, down, server_side=True)
    client = trusting(pair).wrap_bio(down, up, server_hostname=HOST)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue

    def both() -> None:
        client.write(request)
        server.read(1 << 18)
        server.write(reply)
        client.read(1 << 18)

    return round(microseconds(both) / 2, 2)


def small() -> bytes:
    """A review of some 2 KB: a pod that nobody has added anything to."""
    review = orjson.loads(reviews()["ray-head-michelangelo"])
    pod = review["request"]["object"]
    del pod["metadata"]["managedFields"], pod["spec"]["volumes"]
    (head,) = pod["spec"]["containers"]
    kept = {key: head[key] for key in ("name", "image", "envFrom")}
    pod["spec"]["containers"] = [kept | {"env": head["env"][:4]}]
    return orjson.dumps(review)


def grown(containers: int, variables: int) -> bytes:
    """A review of a head pod with more containers, each with more environment."""
    review = orjson.loads(reviews()["ray-head-michelangelo"])
    pod = review["request"]["object"]
    (head,) = pod["spec"]["containers"][:1]
    more = [{"name": f"V{n}", "value": "x" * 40} for n in range(variables)]
    head["env"] += more
    others = [{**head, "name": f"c{n}"} for n in range(1, containers)]
    pod["spec"]["containers"] = [head, *others]
    return orjson.dumps(review)


def growth() -> dict[str, Any]:
    """How the cost of a review grows: each size, and the power of it that fits."""
    handler = build(Settings(), write=lambda _: None)
    handler.log.start()
    bodies = [("2 KB", small())]
    bodies += [(f"{c} containers, {v} variables more", grown(c, v)) for c, v in SIZES]
    rows: list[dict[str, Any]] = []
    for name, body in bodies:
        work = partial(handler.answer, body, JSON)
        took = microseconds(work, max(50, 20_000_000 // len(body)))
        rows.append({"pod": name, "bytes": len(body), "us": took})
    slope, _ = statistics.linear_regression(
        [log(row["bytes"]) for row in rows], [log(row["us"]) for row in rows]
    )
    return {"rows": rows, "power": round(slope, 3)}


def show_growth(found: dict[str, Any]) -> None:
    """The table of sizes."""
    sys.stdout.write("growth of the answer's cost with the review's size\n")
    for row in found["rows"]:
        each = row["us"] / row["bytes"] * 1024
        sys.stdout.write(
            f"  {row['pod']:36} {row['bytes']:8} bytes: {row['us']:10.1f} us,"
            f" {each:6.2f} us a KiB\n"
        )
    sys.stdout.write(f"  cost ~ size to the power of {found['power']}\n")


def main() -> None:
    """Print the growth and both profiles, and all of it as JSON, to a file if named."""
    result: dict[str, Any] = {"growth": growth()}
    show_growth(result["growth"])
    with tempfile.TemporaryDirectory() as name:
        for path in write_bodies(Path(name)):
            body = path.read_bytes()
            sys.stdout.write(f"{path.stem}, {len(body)} bytes, in microseconds\n")
            result[path.stem] = profile(body)
            for part, value in result[path.stem].items():
                sys.stdout.write(f"  {value:8.2f}  {part}\n")
    text = json.dumps(result)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
