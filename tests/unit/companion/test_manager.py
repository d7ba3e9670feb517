"""The threads of the companion: started, watched over, ended within seconds."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tests.fakes.log import Lines
from tests.fakes.waiting import eventually
from webhook.cluster.events import EventRecorder
from webhook.cluster.interface import ObjectKey
from webhook.cluster.leader_election import LeaderElector, parse_lease
from webhook.cluster.resources import LEASE, NAMESPACE, SECRET
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Caches, Interests, build_caches
from webhook.companion.controller import Context, Controller, Result
from webhook.companion.manager import Manager

LEASE_KEY = ObjectKey("release", "companion")


def now() -> datetime:
    """A standing clock."""
    return datetime(2026, 1, 2, tzinfo=UTC)


class Word(StrEnum):
    """A vocabulary of one."""

    DONE = "Done"


class Noting:
    """A reconciler that notes its keys."""

    name = "noting"

    def __init__(self, caches: Caches, queue: WorkQueue) -> None:
        """Queue each labeled namespace."""
        self.keys: list[str] = []
        self.during: Callable[[], object] = lambda: None
        caches.namespaces.subscribe(lambda key: queue.add(key.name))

    def reconcile(self, key: str, now: datetime) -> Result:
        """Note it."""
        del now
        self.during()
        self.keys.append(key)
        return Result(reason=Word.DONE)

    def failure(self, key: str, error: Exception) -> Result:
        """Note the error."""
        del key
        return Result(reason=Word.DONE, error=error)


class Managed:
    """A manager over one reconciler, on a cluster in memory."""

    def __init__(self, cluster: FakeCluster, identity: str = "one") -> None:
        """Nothing runs yet."""
        client = cluster.client()
        self.log = Lines()
        self.elector = LeaderElector(client, LEASE_KEY, identity, clock=now)
        recorder = EventRecorder(client, component="companion", instance=identity)
        interests = Interests(
            release_namespace="release", egress=False, pods=False, watch_seconds=1
        )
        caches = build_caches(client, interests)
        queue = WorkQueue("noting")
        self.reconciler = Noting(caches, queue)
        self.context = Context(
            client=client,
            log=self.log,
            recorder=recorder,
            is_leader=lambda: self.elector.is_leader,
            clock=now,
        )
        self.manager = Manager(
            caches=caches,
            elector=self.elector,
            recorder=recorder,
            controllers=[
                Controller(
                    reconciler=self.reconciler, queue=queue, context=self.context
                )
            ],
            log=self.log,
        )


@pytest.fixture(name="cluster")
def _cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.client("user").create(NAMESPACE, {"metadata": {"name": "release"}})
    return cluster


@pytest.fixture(name="managed")
def _managed(cluster: FakeCluster) -> Iterator[Managed]:
    managed = Managed(cluster)
    yield managed
    if not managed.manager.stop.is_set():
        managed.manager.end()


def label(cluster: FakeCluster, name: str) -> None:
    """Somebody labels a namespace."""
    labels = {"tracking.michelangelo-ai.org/inject": "enabled"}
    meta = {"name": name, "labels": labels}
    cluster.client("user").apply(NAMESPACE, {"metadata": meta})


def holder(cluster: FakeCluster) -> str:
    """Who holds the Lease."""
    return parse_lease(cluster.client().get(LEASE, "companion", "release")).holder


def test_it_leads_works_and_ends(cluster: FakeCluster, managed: Managed) -> None:
    """Its Lease is free again when it has ended."""
    manager = managed.manager
    assert not manager.is_ready()
    manager.start()
    label(cluster, "ray")

    assert eventually(lambda: managed.reconciler.keys == ["ray"])
    assert eventually(manager.is_ready)
    assert manager.is_alive()
    assert holder(cluster) == "one"
    started = time.monotonic()
    manager.end()
    assert time.monotonic() - started < 5
    assert not managed.elector.is_leader
    assert holder(cluster) == ""
    assert managed.log.events() == ["leading"]


def test_keys_wait_while_another_replica_leads(cluster: FakeCluster) -> None:
    """And are worked on once it has let go."""
    other = LeaderElector(cluster.client(), LEASE_KEY, "two", clock=now)
    other.step()
    managed = Managed(cluster)
    managed.manager.start()
    label(cluster, "ray")
    assert eventually(managed.manager.is_ready)
    assert not eventually(lambda: managed.reconciler.keys, seconds=1)
    other.release()

    assert eventually(lambda: managed.reconciler.keys == ["ray"])
    managed.manager.end()


def test_a_write_under_way_ends_before_the_lease_is_released(
    cluster: FakeCluster, managed: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two replicas would write at once."""
    writing, waited_for = threading.Event(), threading.Event()
    patience: list[float | None] = []
    held: list[str] = []
    join = threading.Thread.join

    def waiting(thread: threading.Thread, timeout: float | None = None) -> None:
        patience.append(timeout)
        waited_for.set()
        join(thread, timeout)

    def write() -> None:
        writing.set()
        waited_for.wait(5)
        held.append(holder(cluster))

    monkeypatch.setattr(threading.Thread, "join", waiting)
    managed.reconciler.during = write
    managed.manager.start()
    label(cluster, "ray")
    assert writing.wait(5)
    managed.manager.end()

    assert held == ["one"]
    assert patience[0] is not None
    assert patience[0] > 1  # a write takes milliseconds
    assert holder(cluster) == ""


def test_a_dead_thread_is_noticed_and_named(
    cluster: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """By its error's type and place; its text might quote a value."""

    def broken(stop: threading.Event) -> None:
        raise ValueError("canary")

    managed = Managed(cluster)
    monkeypatch.setattr(managed.context.recorder, "run", broken)
    managed.manager.start()

    assert eventually(lambda: not managed.manager.is_alive())
    managed.manager.end()
    died: list[dict[str, Any]] = [
        fields for event, fields in managed.log.lines if event == "thread-died"
    ]
    assert {one["thread"] for one in died} == {"events-0", "events-1"}
    assert {one["error"] for one in died} == {"ValueError"}
    assert "canary" not in repr(died)
    assert capfd.readouterr().err == ""


def renewals(cluster: FakeCluster, since: int) -> int:
    """How often the Lease was asked for, of the calls from that one on."""
    return sum(call.kind == LEASE for call in cluster.calls[since:])


def test_losing_the_api_server_is_logged_once(
    cluster: FakeCluster, managed: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its return."""
    monkeypatch.setattr("webhook.cluster.leader_election._RENEW_SECONDS", 0.02)
    managed.manager.start()
    assert eventually(lambda: managed.elector.is_leader)
    cluster.outage = True
    asked = len(cluster.calls)
    assert eventually(lambda: renewals(cluster, asked) > 5)
    cluster.outage = False
    assert eventually(lambda: "leader-election-recovered" in managed.log.events())

    events = [one for one in managed.log.events() if "election" in one]
    assert events == ["leader-election-failed", "leader-election-recovered"]


def test_nothing_it_watches_is_written(cluster: FakeCluster, managed: Managed) -> None:
    """Standing by costs watches and looks at the Lease alone."""
    managed.manager.start()
    assert eventually(lambda: managed.elector.is_leader)
    kinds = {call.kind for call in cluster.calls if call.verb in ("apply", "create")}
    assert SECRET not in kinds
