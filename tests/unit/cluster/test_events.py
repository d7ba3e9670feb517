"""Events: each thing once, never a flood, never in the way."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tests.fakes.waiting import eventually
from webhook.cluster.errors import Unavailable
from webhook.cluster.events import EventRecorder, ObjectReference, RateLimits
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import CONFIG_MAP, EVENT, NAMESPACE, SECRET, ResourceType
from webhook.cluster.resources import POD as POD_KIND

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POD = ObjectReference.to(POD_KIND, ObjectKey("ray", "head"), "uid-of-head")


def pod(number: int, namespace: str = "ray") -> ObjectReference:
    """Return a pod to write about."""
    key = ObjectKey(namespace, f"p-{number}")
    return ObjectReference.to(POD_KIND, key, f"{namespace}{number}")


def new_cluster() -> FakeCluster:
    """Return a cluster with two namespaces that was asked nothing yet."""
    cluster = FakeCluster()
    for name in ("ray", "spark"):
        cluster.client().create(NAMESPACE, {"metadata": {"name": name}})
    cluster.calls.clear()
    return cluster


@pytest.fixture(name="cluster")
def _cluster() -> FakeCluster:
    return new_cluster()


def recorder(cluster: FakeCluster, client: Any = None, **more: Any) -> EventRecorder:
    """Return a recorder that has written nothing yet; its time stands still."""
    options = {"monotonic": lambda: 0.0} | more
    return EventRecorder(
        client or cluster.client(), component="companion", instance="a", **options
    )


def events(cluster: FakeCluster) -> list[Json]:
    """Return the Events there are."""
    listing = cluster.client("user").list(ListOptions(EVENT), lambda body: body)
    return [body for _, body in listing.items.values()]


def per_namespace(cluster: FakeCluster) -> Counter[str]:
    """Return how many there are in each namespace."""
    return Counter(body["metadata"]["namespace"] for body in events(cluster))


@contextmanager
def running(one: EventRecorder) -> Iterator[None]:
    """Run it as the companion does."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=one.run, args=(stop,), daemon=True)
        for _ in range(one.workers)
    ]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


class Client:
    """A client whose `create` does something of its own first."""

    def __init__(self, client: KubeClient, before: Callable[[Json], None]) -> None:
        """Take what it does with an Event before that is written."""
        self._client, self._before = client, before

    def create(self, kind: ResourceType, body: Json, *, dry_run: bool = False) -> Json:
        """Act, then write."""
        self._before(body)
        return self._client.create(kind, body)


def test_the_caller_asks_nothing_of_the_server(cluster: FakeCluster) -> None:
    """An Event is queued; `flush` or a thread writes it."""
    one = recorder(cluster)
    one.event(POD, "Missed", "It has no keys.", now=NOW)
    assert (cluster.calls, one.waiting) == ([], 1)

    one.flush()
    assert (len(events(cluster)), one.waiting, one.written, one.dropped) == (1, 0, 1, 0)


def test_the_same_thing_is_written_once(cluster: FakeCluster) -> None:
    """A repetition costs no request, queued or written."""
    one = recorder(cluster)
    for _ in range(5):
        one.event(POD, "Missed", "It has no keys.", now=NOW)
        one.event(POD, "Missed", "It has no keys.", now=NOW)
        one.flush()

    assert cluster.counts()["create"] == 1
    assert (one.written, one.dropped) == (1, 0)


def test_objects_of_one_name_are_told_apart(cluster: FakeCluster) -> None:
    """Each namespace has its own, also where nobody knows their UIDs."""
    one = recorder(cluster)
    for namespace in ("ray", "spark"):
        for kind in (SECRET, CONFIG_MAP):
            about = ObjectReference.to(kind, ObjectKey(namespace, "michelangelo"), "")
            one.event(about, "ProjectionFailed", "It cannot be read.", now=NOW)
    one.flush()

    assert (one.written, one.dropped) == (4, 0)


def test_another_companion_writes_nothing_twice(cluster: FakeCluster) -> None:
    """A restart does not repeat what is known, and drops nothing."""
    for written in (1, 0):
        one = recorder(cluster)
        one.event(POD, "Missed", "No keys.", now=NOW)
        one.flush()
        assert (one.written, one.dropped) == (written, 0)

    assert len(events(cluster)) == 1


def test_it_is_written_again_after_the_event_is_gone(cluster: FakeCluster) -> None:
    """The API server keeps Events for an hour."""
    one = recorder(cluster)
    for minutes, expected in ((0, 1), (59, 0), (60, 1)):
        cluster.calls.clear()
        one.event(POD, "Missed", "No keys.", now=NOW + timedelta(minutes=minutes))
        one.flush()
        assert cluster.counts()["create"] == expected


def test_a_flood_of_one_namespace_is_cut_and_counted(cluster: FakeCluster) -> None:
    """A hundred at once, then one a second; what the queue cannot hold is dropped."""
    seconds = [0.0]
    one = recorder(cluster, monotonic=lambda: seconds[0])
    for number in range(1000):
        one.event(pod(number), "Missed", "No keys.", now=NOW)
    assert (one.waiting, one.dropped) == (500, 500)
    one.flush()
    assert one.written == 100

    for _ in range(10):
        seconds[0] += 1
        one.flush()
    assert (one.written, one.waiting, one.dropped) == (110, 390, 500)


def test_what_was_dropped_is_counted_once(cluster: FakeCluster) -> None:
    """However often it is asked for: a step of the companion asks again each time."""
    one = recorder(cluster)
    for _ in range(5):
        for number in range(1000):
            one.event(pod(number), "Missed", "No keys.", now=NOW)

    assert one.dropped == 500


def test_one_object_cannot_flood(cluster: FakeCluster) -> None:
    """25 at once, as client-go has it; another object of the namespace is heard."""
    one = recorder(cluster)
    for number in range(100):
        one.event(POD, "Missed", f"Number {number}.", now=NOW)
    one.event(pod(1), "Missed", "No keys.", now=NOW)
    one.flush()

    assert (one.written, one.dropped) == (26, 75)


def test_namespaces_take_turns(cluster: FakeCluster) -> None:
    """Whoever comes late waits for one Event of each other namespace, not for all."""
    one = recorder(cluster)
    for number in range(100):
        one.event(pod(number), "Missed", "No keys.", now=NOW)
    for number in range(3):
        one.event(pod(number, "spark"), "Missed", "No keys.", now=NOW)
    for _ in range(6):
        one.step()

    assert per_namespace(cluster) == {"ray": 3, "spark": 3}


def test_a_full_queue_makes_room_for_others(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the expense of whoever has most in it."""
    monkeypatch.setattr("webhook.cluster.events._QUEUED", 50)
    one = recorder(cluster)
    for number in range(60):
        one.event(pod(number), "Missed", "No keys.", now=NOW)
    assert (one.waiting, one.dropped) == (50, 10)

    one.event(pod(0, "spark"), "Missed", "No keys.", now=NOW)
    assert (one.waiting, one.dropped) == (50, 11)
    one.flush()
    assert per_namespace(cluster) == {"ray": 49, "spark": 1}


def test_ten_thousand_missed_pods_delay_no_other_namespace(
    cluster: FakeCluster,
) -> None:
    """Another namespace's first Event is there within 5 s, as the companion runs."""
    one = recorder(cluster, monotonic=time.monotonic)
    with running(one):
        for number in range(10_000):
            one.event(pod(number), "Missed", "No keys.", now=NOW)
        started = time.monotonic()
        one.event(pod(0, "spark"), "Missed", "No keys.", now=NOW)
        assert eventually(lambda: per_namespace(cluster)["spark"] == 1)

    assert time.monotonic() - started < 5
    assert one.written + one.dropped + one.waiting == 10_001


def test_a_namespace_that_hangs_delays_no_other(cluster: FakeCluster) -> None:
    """The caller neither: one thread waits for it, the other goes on."""
    free = threading.Event()

    def hang(body: Json) -> None:
        if body["metadata"]["namespace"] == "ray":
            free.wait(10)
            raise Unavailable("nobody answers")

    one = recorder(cluster, Client(cluster.client(), hang), monotonic=time.monotonic)
    with running(one):
        started = time.monotonic()
        for number in range(5):
            one.event(pod(number), "Missed", "No keys.", now=NOW)
            one.event(pod(number, "spark"), "Missed", "No keys.", now=NOW)
        assert time.monotonic() - started < 0.5
        written = eventually(lambda: per_namespace(cluster)["spark"] == 5, 2.0)
        free.set()

    assert written


def test_an_outage_is_outwaited(cluster: FakeCluster) -> None:
    """The Event is written when somebody answers again."""
    one = recorder(cluster, monotonic=time.monotonic)
    cluster.outage = True
    with running(one):
        one.event(POD, "Missed", "No keys.", now=NOW)
        assert eventually(lambda: cluster.counts()["create"] >= 2)
        cluster.outage = False
        assert eventually(lambda: one.written == 1)

    assert one.dropped == 0


def test_an_outage_without_end_is_given_up(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After many tries the Event is dropped, and counted once."""
    monkeypatch.setattr("webhook.cluster.backoff.LONGEST", 0.01)
    seconds = [0.0]
    one = recorder(cluster, monotonic=lambda: seconds[0])
    cluster.outage = True
    one.event(POD, "Missed", "No keys.", now=NOW)
    for _ in range(100):
        seconds[0] += 20
        one.flush()

    assert cluster.counts()["create"] == 20
    assert (one.dropped, one.waiting) == (1, 0)


def test_a_missing_right_is_no_failure(cluster: FakeCluster) -> None:
    """The Event is dropped, and asked for again in an hour."""
    cluster.forbid(lambda call: call.kind == EVENT)
    one = recorder(cluster)
    for _ in range(3):
        one.event(POD, "Missed", "No keys.", now=NOW)
        one.flush()

    assert (one.written, one.dropped, one.waiting) == (0, 1, 0)
    assert cluster.counts()["create"] == 1


def test_several_threads_lose_and_repeat_nothing(cluster: FakeCluster) -> None:
    """Eight threads say the same 200 things while two write."""
    one = recorder(cluster, monotonic=time.monotonic)
    about = [pod(n, namespace) for n in range(40) for namespace in ("ray", "spark")]

    def say() -> None:
        for each in about:
            one.event(each, "Missed", "No keys.", now=NOW)

    threads = [threading.Thread(target=say) for _ in range(8)]
    with running(one):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert eventually(lambda: one.waiting == 0, 10)

    assert (one.written, one.dropped) == (80, 0)
    assert cluster.counts()["create"] == 80


def test_what_is_remembered_is_bounded(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is forgotten; the API server still has it."""
    monkeypatch.setattr("webhook.cluster.events._REMEMBERED", 10)
    one = recorder(cluster)
    for number in [*range(11), 0]:
        one.event(pod(number), "Missed", "No keys.", now=NOW)
        one.flush()

    assert len(one._seen) == 10
    assert cluster.counts()["create"] == 12
    assert (one.written, one.dropped) == (11, 0)


def test_an_event_is_complete(cluster: FakeCluster) -> None:
    """It names the object, the reason and the reporter."""
    one = recorder(cluster)
    one.event(POD, "Missed", "It has no keys.", now=NOW)
    one.flush()
    (body,) = events(cluster)

    assert body["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "ray",
        "name": "head",
        "uid": "uid-of-head",
    }
    assert body["type"] == "Warning"
    assert body["reason"] == "Missed"
    assert body["message"] == "It has no keys."
    assert body["reportingComponent"] == "companion"
    assert body["firstTimestamp"] == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("name", ["a" * 253, "a" * 199 + "-b", "a" * 199 + ".b"])
def test_the_name_of_an_event_is_a_name(cluster: FakeCluster, name: str) -> None:
    """A cut in the wrong place would make one that the API server refuses."""
    one = recorder(cluster)
    about = ObjectReference.to(POD_KIND, ObjectKey("ray", name), "uid")
    one.event(about, "Missed", "\ud800 and x" * 200, now=NOW)
    one.flush()
    (body,) = events(cluster)

    assert len(body["metadata"]["name"]) <= 253
    assert all(part.strip("-") == part for part in body["metadata"]["name"].split("."))
    assert all(body["metadata"]["name"].split("."))
    assert len(body["message"]) == 1024


def test_a_bucket_fills_again_and_the_oldest_is_forgotten() -> None:
    """Tokens come with time, and no key costs memory for ever."""
    seconds = [0.0]
    limits = RateLimits(2, 0.5, monotonic=lambda: seconds[0], keys=3)
    assert [limits.take("a") for _ in range(3)] == [0, 0, 2.0]
    seconds[0] = 1.0
    assert limits.take("a") == 1.0
    seconds[0] = 2.0
    assert limits.take("a") == 0
    seconds[0] = 100.0
    assert [limits.take("a") for _ in range(3)] == [0, 0, 2.0]
    for key in "bcd":
        limits.take(key)
    assert limits.take("a") == 0
