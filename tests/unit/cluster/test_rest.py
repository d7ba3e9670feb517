"""The client on a real connection: pages bounded by bytes, objects of any depth."""

import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from kubernetes.client import ApiClient, Configuration

from webhook.cluster import metadata
from webhook.cluster.errors import Unavailable
from webhook.cluster.informer import Informer
from webhook.cluster.interface import Json, ListOptions, ObjectKey, WatchEventType
from webhook.cluster.json_bytes import shallow
from webhook.cluster.resources import POD
from webhook.cluster.rest import RestClient

PODS = ListOptions(POD)


class ApiServer(ThreadingHTTPServer):
    """Serves pages of what it holds, and says how it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        """Hold nothing yet."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.items: list[bytes] = []
        self.lines: list[bytes] = []
        self.limits: list[int] = []
        self.whole: bytes | None = None
        self.silence = 0.0

    def page(self, limit: int, start: int) -> list[bytes]:
        """Return so many objects, and how to go on; nothing large is copied."""
        self.limits.append(limit)
        items = self.items[start : start + limit]
        rest = len(self.items) - start - len(items)
        meta = {"resourceVersion": "77", "continue": str(start + limit) if rest else ""}
        head = json.dumps({"kind": "PodList", "metadata": meta})[:-1]
        parts = [head.encode(), b',"items":[']
        for item in items:
            parts += [item, b","]
        parts[2:] = parts[2:-1]
        return [*parts, b"]}"]


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a list or a watch."""
        query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        if "watch" in query:
            parts = [b"\n".join(self.server.lines), b"\n"]
        elif self.server.whole is not None:
            parts = [self.server.whole]
        else:
            start = int(query.get("continue", "0"))
            parts = self.server.page(int(query["limit"]), start)
        self.send_response(200)
        self.send_header("Content-Length", str(sum(map(len, parts))))
        self.end_headers()
        self.wfile.flush()
        until = time.monotonic() + self.server.silence
        while time.monotonic() < until and self.server.silence:
            time.sleep(0.01)
        try:
            for part in parts:
                self.wfile.write(part)
        except OSError:
            self.close_connection = True  # the client has had enough

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(name="server")
def _server() -> Iterator[ApiServer]:
    server = ApiServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(name="client")
def _client(server: ApiServer) -> Iterator[RestClient]:
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{server.server_port}"
    configuration.retries = False
    client = RestClient(ApiClient(configuration), manager="test")
    yield client
    client.close()


def pod(number: int, **more: Any) -> bytes:
    """Return a pod as JSON."""
    meta = {"name": f"p{number}", "namespace": "ray", "resourceVersion": str(number)}
    return json.dumps({"metadata": meta} | more).encode()


def names(client: RestClient) -> list[str]:
    """Return the names of everything listed."""
    return [key.name for key in client.list(PODS, metadata.uid).items]


def test_small_objects_come_in_large_pages(
    server: ApiServer, client: RestClient
) -> None:
    """Three requests for 1 200 pods, each once, and the version to watch from."""
    server.items = [pod(n) for n in range(1200)]
    listing = client.list(PODS, metadata.revision)

    assert server.limits == [500, 500, 500]
    assert listing.version == "77"
    assert listing.items == {ObjectKey("ray", f"p{n}"): (n, n) for n in range(1200)}


def test_an_empty_list_is_one(server: ApiServer, client: RestClient) -> None:
    """Also where Go writes null for it."""
    assert names(client) == []
    server.whole = b'{"metadata":{"resourceVersion":"5"},"items":null}'
    assert client.list(PODS, metadata.uid).version == "5"


def test_large_objects_come_in_small_pages(
    server: ApiServer, client: RestClient
) -> None:
    """150 pods of 1 MB, listed in pages of less than 8 MiB, each once."""
    server.items = [pod(n, spec="x" * 1_000_000) for n in range(150)]
    tracemalloc.start()
    found = names(client)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == [f"p{n}" for n in range(150)]
    assert server.limits[:4] == [500, 125, 31, 7]
    assert set(server.limits[4:]) == {7}
    assert peak < 40_000_000


def test_pages_grow_again(server: ApiServer, client: RestClient) -> None:
    """A few large pods do not make many requests of the small ones behind them."""
    server.items = [pod(n, spec="x" * 1_000_000) for n in range(20)]
    server.items += [pod(n) for n in range(20, 2000)]

    assert len(names(client)) == 2000
    assert server.limits[-2:] == [500, 500]
    assert len(server.limits) < 20


def test_an_object_larger_than_a_page_is_read(
    server: ApiServer, client: RestClient
) -> None:
    """A page of one has no bound: what is stored has to be seen."""
    server.items = [pod(n, spec="x" * 9_000_000) for n in range(3)]

    assert names(client) == ["p0", "p1", "p2"]
    assert server.limits[-3:] == [1, 1, 1]


def deep(levels: int) -> str:
    """Return managed fields as a tenant may write them."""
    return '{"f:a":' * levels + '"}]\\"{["' + "}" * levels


def nested(name: str, levels: int) -> bytes:
    """Return a pod with such managed fields, and a label after them."""
    meta = (
        f'{{"name":"{name}","namespace":"ray","resourceVersion":"90","managedFields":'
        f'[{{"manager":"x","fieldsV1":{deep(levels)}}}],"labels":{{"a":"b"}}}}'
    )
    return f'{{"metadata":{meta}}}'.encode()


def test_a_deep_object_ends_neither_list_nor_watch(
    server: ApiServer, client: RestClient
) -> None:
    """Ten thousand levels are stored by API servers; parsers refuse a thousand."""
    server.items = [pod(1), nested("deep", 9000), pod(2)]
    event = b'{"type":"ADDED","object":' + nested("late", 9000) + b"}"
    server.lines = [event, b'{"type":"ADDED","object":' + pod(99) + b"}"]
    one = Informer(client, PODS, metadata.labels, watch_seconds=0.2)
    one.step()

    assert one.health.failing is None
    assert one.get(ObjectKey("ray", "deep")) == {"a": "b"}
    assert one.get(ObjectKey("ray", "late")) == {"a": "b"}
    assert {key.name for key in one.items()} == {"p1", "deep", "p2", "late"} | {"p99"}


@pytest.mark.parametrize("levels", [0, 1, 150, 2000])
def test_what_is_not_too_deep_stays(levels: int) -> None:
    """And the rest is JSON all the same."""
    body = orjson.loads(shallow(nested("a", levels)))
    assert body["metadata"]["labels"] == {"a": "b"}
    if levels <= 150:
        assert body == json.loads(nested("a", levels))


@pytest.mark.parametrize(
    "whole",
    [b"", b"x", b"[]", b"null", b'{"items":7}', b'{"metadata":[]}', b'{"items"'],
)
def test_what_is_no_list_is_a_failure(
    server: ApiServer, client: RestClient, whole: bytes
) -> None:
    """Of this attempt; a proxy's page is not quoted."""
    server.whole = whole
    with pytest.raises(Unavailable, match="list pods"):
        names(client)


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"7",
        b"null",
        b'{"type":"ERROR","object":null}',
        b'{"type":"ERROR","object":{"code":"x"}}',
        b'{"type":null}',
        b'{"type":["ADDED"],"object":[]}',
    ],
)
def test_an_odd_line_is_a_failure_of_the_watch(
    server: ApiServer, client: RestClient, line: bytes
) -> None:
    """And of nothing else."""
    server.lines = [line]
    with pytest.raises(Unavailable):
        list(client.watch(PODS, "1", seconds=1))


def test_a_watch_without_a_word_is_given_up(
    server: ApiServer, client: RestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Soon after the end that the server was asked for: the connection is dead."""
    monkeypatch.setattr("webhook.cluster.rest._SILENCE", 0.2)
    server.silence = 5.0
    started = time.monotonic()
    with pytest.raises(Unavailable, match="silent"):
        list(client.watch(PODS, "1", seconds=0.1))

    assert 0.2 < time.monotonic() - started < 3
    server.silence = 0.0


def test_a_watch_tells_what_happens(server: ApiServer, client: RestClient) -> None:
    """Also of an object that is null."""
    kinds = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")
    server.lines = [
        json.dumps({"type": kind, "object": None}).encode() for kind in kinds
    ]
    found: list[tuple[WatchEventType, Json]] = [
        (event.type, event.body) for event in client.watch(PODS, "1", seconds=1)
    ]

    upsert = WatchEventType.UPSERT
    expected = [upsert, upsert, WatchEventType.DELETED, WatchEventType.BOOKMARK]
    assert found == [(kind, {}) for kind in expected]
