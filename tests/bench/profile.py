"""Where the time of one request goes, in microseconds, without a network.

HTTP is what `Connection` and gunicorn's parser take beside the answer. TLS and the
kernel are the rest of what `tests.bench.run` sees.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import uvloop

from tests.bench.measure import write_bodies
from tests.server.framing import Bench, Wire
from webhook.captured import reviews
from webhook.injection.decision import decide
from webhook.injection.review import answer, parse, skim
from webhook.server.connection import Connection
from webhook.server.webhook import build
from webhook.settings import Settings

TURNS = 20_000
HEAD = (
    "POST /mutate?timeout=3s HTTP/1.1\r\nHost: tracking-injector.test.svc:443\r\n"
    "User-Agent: kube-apiserver-admission\r\nContent-Length: {}\r\n"
    "Accept: application/json, */*\r\nContent-Type: application/json\r\n"
    "Accept-Encoding: gzip\r\n\r\n"
)


def microseconds(work: Callable[[], object], turns: int = TURNS) -> float:
    """The mean of many turns, in processor time: the machine may be shared."""
    for _ in range(turns // 20):
        work()
    begun = time.process_time()
    for _ in range(turns):
        work()
    return round((time.process_time() - begun) / turns * 1e6, 2)


async def profile(body: bytes) -> dict[str, float]:
    """The parts of one request."""
    bench = Bench(asyncio.get_running_loop())
    webhook = bench.webhook
    wire: Any = Wire()
    webhook.journal.start()
    review = skim(body)
    decision = decide(review, webhook.policy)
    connection = Connection(bench.worker, probes=False)
    connection.connection_made(wire)
    request = HEAD.format(len(body)).encode() + body

    def whole() -> None:
        connection.data_received(request)
        wire.written.clear()

    def count() -> None:
        webhook.metrics.decided("x", "ray-head", decision.reason)
        webhook.metrics.seconds.observe(0.0001)

    fields = {"uid": review.uid, "namespace": review.namespace, "reason": "injected"}
    parts = {
        "parse": microseconds(lambda: skim(body)),
        "decide": microseconds(lambda: decide(review, webhook.policy)),
        "encode": microseconds(lambda: answer(review.uid, decision.patch)),
        "log": microseconds(lambda: webhook.journal.line("info", "decision", fields)),
        "metrics": microseconds(count),
        "answer, all of these": microseconds(
            lambda: webhook.answer(body, "application/json")
        ),
        "request, without TLS and the kernel": microseconds(whole),
    }
    parts["HTTP"] = round(
        parts["request, without TLS and the kernel"] - parts["answer, all of these"], 2
    )
    parts["for comparison: parse all of it"] = microseconds(lambda: parse(body))
    parts["for comparison: orjson alone"] = microseconds(lambda: orjson.loads(body))
    return parts


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


def show_growth() -> None:
    """Print how the cost of a review grows with its size."""
    webhook = build(Settings(), write=lambda _: None)
    webhook.journal.start()
    sys.stdout.write("growth\n")
    for containers, variables in ((1, 0), (1, 1000), (10, 100), (50, 200), (200, 200)):
        body = grown(containers, variables)
        took = microseconds(partial(webhook.answer, body, "application/json"), 50)
        sys.stdout.write(
            f"  {containers:4} containers, {variables:4} variables more, {len(body):8}"
            f" bytes: {took:10.1f} us, {took / len(body) * 1000:6.2f} ns a byte\n"
        )


def main() -> None:
    """Print the profile of both bodies, and how it grows."""
    show_growth()
    with tempfile.TemporaryDirectory() as name:
        for path in write_bodies(Path(name)):
            body = path.read_bytes()
            sys.stdout.write(f"{path.stem}, {len(body)} bytes, in microseconds\n")
            for part, value in uvloop.run(profile(body)).items():
                sys.stdout.write(f"  {value:8.2f}  {part}\n")


if __name__ == "__main__":
    main()
