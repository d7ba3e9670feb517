"""What anybody can send costs its bytes, in memory and in others' time."""

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.measure import cpu_seconds, memory_mib
from tests.server.bodies import RAY_HEAD, review
from tests.server.pairs import PemPair
from tests.server.process import Client, Server, serving, wait_until
from webhook.server.app import create_app
from webhook.server.connection import Connection, Shared
from webhook.server.handler import build
from webhook.server.limits import BODY_LIMIT, PIECE
from webhook.settings import Settings

MEMORY_MIB = 128
"""Half of what the chart allows."""

ROOM = BODY_LIMIT - 500
LABELS = b'"labels":{"ray.io/node-type":"head"}'


def repeated(item: bytes, size: int = ROOM) -> bytes:
    """As many of an item as a body holds, with commas."""
    return b",".join([item] * (size // (len(item) + 1)))


def numbered(item: bytes, size: int = ROOM) -> bytes:
    """The same, each with a number of its own."""
    return b",".join(item % n for n in range(size // (len(item) + 4)))


def of_pod(metadata: bytes = LABELS, containers: bytes = b'{"name":"a"}') -> bytes:
    """A review of a pod."""
    return (
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{'
        b'"uid":"u","kind":{"kind":"Pod"},"operation":"CREATE","namespace":"a",'
        b'"object":{"metadata":{%s},"spec":{"containers":[%s]}}}}'
        % (metadata, containers)
    )


def nested(depth: int) -> bytes:
    """Maps in maps."""
    return b'{"":' * depth + b"0" + b"}" * depth


FEW = 149_000 * 12
"""Bytes of about as many maps as a body may have."""
WORST = {
    "maps in owners": of_pod(
        LABELS + b',"ownerReferences":[%s]' % repeated(nested(190))
    ),
    "maps beyond ASCII": of_pod(
        LABELS + b',"ownerReferences":["\xc3\xbc",%s]' % repeated(nested(900))
    ),
    "variables": of_pod(
        containers=b'{"name":"a","env":[%s]}' % repeated(b'{"name":""}', FEW)
    ),
    "containers": of_pod(containers=numbered(b'{"name":"%x"}', FEW)),
    "sources": of_pod(
        containers=b'{"name":"a","envFrom":[%s]}' % repeated(b"{}", FEW // 4)
    ),
    "labels": of_pod(b'"labels":{%s}' % numbered(b'"%x":""')),
    "annotations": of_pod(LABELS + b',"annotations":{%s}' % numbered(b'"%x":""')),
    "lists of another kind": b'{"kind":"x","y":[%s]}' % repeated(b"[]"),
    "lists without a version": b'{"kind":"AdmissionReview","y":[%s]}' % repeated(b"[]"),
    "one uid": of_pod().replace(b'"u"', b'"%s"' % (b"u" * ROOM)),
    "one name": of_pod(containers=b'{"name":"%s"}' % (b"n" * ROOM)),
    "four bytes a character": of_pod().replace(
        b'"a"', b'"%s"' % ("\N{GRINNING FACE}".encode() * (ROOM // 4))
    ),
    "spaces": b" " * ROOM,
}


def generated(count: int) -> Iterator[bytes]:
    """Large bodies of random shape where a pod is read."""
    chance = random.Random(14)  # noqa: S311 - bodies, not secrets
    items = [
        b"{}", b"[]", b'""', b"0", b"null", b'{"name":""}', b'{"name":"%x"}',
        b'{"secretRef":{}}', b'{"kind":"","name":""}', b'"%x":""', b'"%x":{}',
        b'{"name":"a","valueFrom":{"secretKeyRef":{}}}', nested(3), nested(100),
    ]  # fmt: skip
    places = [
        b'"labels":{%s}', b'"annotations":{%s}', b'"ownerReferences":[%s]',
        b'"name":%s', b'"managedFields":[%s]', b'"generateName":[%s]',
    ]  # fmt: skip
    for _ in range(count):
        item = chance.choice(items)
        size = chance.choice((100_000, 1_000_000, ROOM))
        content = numbered(item, size) if b"%" in item else repeated(item, size)
        if chance.random() < 0.6:
            yield of_pod(LABELS + b"," + chance.choice(places) % content)
        else:
            field = chance.choice((b"env", b"envFrom", b"name", b"ports"))
            yield of_pod(containers=b'{"name":"a","%s":[%s]}' % (field, content))


def peak_mib(server: Server) -> float:
    """The most that the worker ever held, and what the arbiter holds."""
    status = Path(f"/proc/{server.worker()}/status").read_text().splitlines()
    (line,) = [one for one in status if one.startswith("VmHWM:")]
    arbiter = memory_mib(server.process.pid) - memory_mib(server.worker())
    return int(line.split()[1]) / 1024 + arbiter


def test_no_body_takes_more_than_half_of_the_limit(folder: Path, pair: PemPair) -> None:
    """The worst by hand and many by chance; none takes long, and all get an answer."""
    with serving(folder, pair) as server:
        worker = server.worker()
        before = cpu_seconds(server.worker())
        costs: list[float] = []
        for body in (*WORST.values(), *generated(60)):
            with server.client() as client:
                assert client.mutate(body).status in {200, 400, 413}
            after = cpu_seconds(server.worker())
            costs.append(after - before)
            before = after

        assert peak_mib(server) < MEMORY_MIB
        assert max(costs) < 1  # seconds of the processor, whoever else has it
        assert server.worker() == worker


def test_many_large_bodies_delay_no_small_review(folder: Path, pair: PemPair) -> None:
    """They wait for their turn, one at a time, and hold no more than they may."""
    stop = threading.Event()
    body = WORST["labels"]
    answered: list[int] = []

    def send(server: Server) -> None:
        while not stop.is_set():
            try:
                with server.client() as client:
                    answered.append(client.mutate(body).status)
            except OSError:
                continue

    with serving(folder, pair) as server:
        senders = [threading.Thread(target=send, args=(server,)) for _ in range(8)]
        for one in senders:
            one.start()
        try:
            wait_until(lambda: answered)
            before = len(answered)
            with server.client() as healthy:
                for _ in range(40):
                    assert healthy.mutate(RAY_HEAD).status == 200
            meanwhile = len(answered) - before
        finally:  # else nothing would ever end that fails here
            stop.set()
            for one in senders:
                one.join()

        assert {*answered} <= {200, 503}
        assert meanwhile < 40  # else every small review waited for a large one
        assert peak_mib(server) < MEMORY_MIB


@pytest.fixture(name="shared")
def _shared() -> Shared:
    handler = build(Settings(), write=lambda _: None)
    app = create_app(Settings(), handler)
    return Shared(handler=handler, app=app, probes=app)


HEAD = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("size", [100, 100_000, BODY_LIMIT - 1, BODY_LIMIT + 1])
@pytest.mark.parametrize("ends", ["whole", "half", "broken"])
def test_what_large_bodies_hold_is_given_back(
    shared: Shared, size: int, ends: str
) -> None:
    """Chunked, refused, broken off or answered: the sum comes back to nothing."""
    chunk = b"%x\r\n%s\r\n" % (PIECE, b" " * PIECE)
    last = b"%x\r\n%s\r\n0\r\n\r\n" % (size % PIECE or 1, b" " * (size % PIECE or 1))
    stream = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * (size // PIECE)
    stream += {"whole": last, "half": b"", "broken": b"zz\r\n"}[ends]

    for _ in range(3):
        connection = Connection(shared, probes=False)
        connection.opened()
        for start in range(0, len(stream), PIECE):
            connection.receive(stream[start : start + PIECE])
        if connection.work:
            connection.finish(connection.respond())
        connection.close()

        assert shared.large_bodies == 0


def test_invented_namespaces_leave_metrics_small_and_quick(
    folder: Path, pair: PemPair
) -> None:
    """A scrape stays below 256 KiB, and scrapers delay no review."""
    stop = threading.Event()

    def scrape(server: Server) -> None:
        while not stop.is_set():
            assert server.probe("/metrics").status in {200, 503}

    with serving(folder, pair) as server, server.client() as client:
        for number in range(2000):
            name = f"{number:x}" * 12
            client.mutate(review(namespace=name[:63], object=None))
        text = server.probe("/metrics").body
        scrapers = [threading.Thread(target=scrape, args=(server,)) for _ in range(6)]
        for one in scrapers:
            one.start()
        waits = []
        for _ in range(200):
            begun = time.perf_counter()
            assert client.mutate(RAY_HEAD).status == 200
            waits.append(time.perf_counter() - begun)
        stop.set()
        for one in scrapers:
            one.join()

    assert len(text) < 256 << 10
    assert b"_created" not in text
    assert sorted(waits)[-3] < 0.5  # seconds; an old build needed two


def test_readers_that_do_not_read_hold_one_answer_each(
    folder: Path, pair: PemPair
) -> None:
    """And are gone after their deadline."""
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(folder, pair) as server:
        before = memory_mib(server.process.pid)
        deaf = [Client(server.health_port, None) for _ in range(40)]
        for one in deaf:
            one.sock.sendall(request * 50)
        time.sleep(2)
        assert memory_mib(server.process.pid) < before + 16
        assert server.probe("/healthz").status == 200
        for one in deaf:
            one.close()


def test_a_uid_of_another_kind_in_a_large_body_is_refused(server: Server) -> None:
    """Too large to be decoded whole, it is judged by its types alone."""
    content: dict[str, Any] = json.loads(RAY_HEAD)
    content["request"]["uid"] = 7
    content["filler"] = "x" * 100_000
    with server.client() as client:
        reply = client.mutate(json.dumps(content))

    assert (400, "NotAReview") == (reply.status, reply.json()["reason"])


def test_a_request_behind_a_large_answer_is_answered(
    folder: Path, pair: PemPair
) -> None:
    """However much the ones before it had to write."""
    head = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with (
        serving(folder, pair) as server,
        Client(server.health_port, None) as scraper,
    ):
        answers = scraper.raw(head * 40 + last)

    assert len(answers) > 100_000
    assert answers.endswith(b'{"status":"ok"}')
