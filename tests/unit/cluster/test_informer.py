"""A follower keeps what it knows current through everything a watch can do."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.fakes.cluster import FakeCluster
from webhook.cluster import metadata
from webhook.cluster.errors import Forbidden, Unavailable
from webhook.cluster.informer import Informer
from webhook.cluster.interface import ANYTHING, Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import CONFIG_MAP, NAMESPACE


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether it comes to hold."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def named(name: str, value: str = "1") -> Json:
    """A ConfigMap in the namespace `home`."""
    return {"metadata": {"name": name, "namespace": "home"}, "data": {"k": value}}


@pytest.fixture(name="cluster")
def _cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.client().create(NAMESPACE, {"metadata": {"name": "home"}})
    return cluster


@pytest.fixture(name="port")
def _port(cluster: FakeCluster) -> KubeClient:
    return cluster.client()


@pytest.fixture(name="wakes")
def _wakes() -> list[float]:
    return []


@pytest.fixture(name="follower")
def _follower(port: KubeClient, wakes: list[float]) -> Iterator[Informer[str]]:
    follower = Informer(
        port,
        ListOptions(CONFIG_MAP, namespace="home"),
        lambda body: str(body["data"]["k"]),
        wake=lambda: wakes.append(time.monotonic()),
        watch_seconds=0.4,
    )
    stop = threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,), daemon=True)
    thread.start()
    yield follower
    stop.set()
    thread.join(5)


def test_it_lists_what_is_there(port: KubeClient, follower: Informer[str]) -> None:
    """Synced means that everything that was there is known."""
    assert eventually(lambda: follower.health.synced)


def test_it_follows_changes_and_deletes(
    port: KubeClient, follower: Informer[str], wakes: list[float]
) -> None:
    """Each change is there soon after, and wakes the reader."""
    eventually(lambda: follower.health.synced)
    before = len(wakes)
    port.apply(CONFIG_MAP, named("a", "1"))
    port.apply(CONFIG_MAP, named("b", "1"))
    port.apply(CONFIG_MAP, named("a", "2"))
    port.delete(CONFIG_MAP, "b", "home")

    assert eventually(lambda: follower.items() == {ObjectKey("home", "a"): "2"})
    assert len(wakes) > before


def test_a_compaction_makes_it_list_again(
    cluster: FakeCluster, port: KubeClient, follower: Informer[str]
) -> None:
    """What was deleted while the watch could not tell is gone afterwards."""
    port.apply(CONFIG_MAP, named("a"))
    eventually(lambda: bool(follower.items()))
    with cluster._changed:
        cluster.delete(CONFIG_MAP, ObjectKey("home", "a"), ANYTHING)
        cluster.compact()

    assert eventually(lambda: not follower.items())


def test_an_outage_keeps_the_last_good(
    cluster: FakeCluster, port: KubeClient, follower: Informer[str]
) -> None:
    """Nothing is forgotten while nobody answers, and it says so."""
    port.apply(CONFIG_MAP, named("a"))
    eventually(lambda: bool(follower.items()))
    cluster.outage = True

    assert eventually(lambda: isinstance(follower.health.failing, Unavailable))
    assert follower.items() == {ObjectKey("home", "a"): "1"}

    cluster.outage = False
    port.apply(CONFIG_MAP, named("a", "2"))
    assert eventually(lambda: follower.get(ObjectKey("home", "a")) == "2")
    assert eventually(lambda: follower.health.failing is None)


def test_a_lost_right_keeps_the_last_good(
    cluster: FakeCluster, port: KubeClient, follower: Informer[str]
) -> None:
    """A right that is taken away is named, and given back it works again."""
    port.apply(CONFIG_MAP, named("a"))
    eventually(lambda: bool(follower.items()))
    cluster.forbid(lambda call: call.verb in ("list", "watch"))

    assert eventually(lambda: isinstance(follower.health.failing, Forbidden))
    assert follower.items() == {ObjectKey("home", "a"): "1"}

    cluster.allow_all()
    assert eventually(lambda: follower.health.failing is None)


def test_a_silent_watch_is_noticed(
    cluster: FakeCluster, port: KubeClient, follower: Informer[str]
) -> None:
    """A watch that only hangs is given up at its deadline, and nothing is lost."""
    eventually(lambda: follower.health.synced)
    cluster.stall = True
    port.apply(CONFIG_MAP, named("a"))
    time.sleep(0.5)
    cluster.stall = False

    assert eventually(lambda: follower.get(ObjectKey("home", "a")) == "1")


def test_a_throttled_follower_stays_away(
    cluster: FakeCluster, port: KubeClient, follower: Informer[str]
) -> None:
    """A storm of 429 is survived."""
    eventually(lambda: follower.health.synced)
    cluster.throttle = 5
    time.sleep(0.6)
    cluster.throttle = 0
    port.apply(CONFIG_MAP, named("a"))

    assert eventually(lambda: follower.get(ObjectKey("home", "a")) == "1")


def test_an_own_write_is_not_undone_by_older_news(port: KubeClient) -> None:
    """What a write answered stays, whatever older the watch still tells."""
    follower = Informer(
        port, ListOptions(CONFIG_MAP), lambda b: str(b["data"]["k"]), wake=lambda: None
    )
    old = port.apply(CONFIG_MAP, named("a", "old"))
    new = port.apply(CONFIG_MAP, named("a", "new"))
    follower.update(new)
    follower.update(old)

    assert follower.get(metadata.key(new)) == "new"
    follower.forget(metadata.key(new))
    assert follower.get(metadata.key(new)) is None
