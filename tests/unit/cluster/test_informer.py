"""An informer keeps its objects current through everything a watch can do."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from tests.fakes.cluster import FakeCluster
from tests.fakes.waiting import eventually
from webhook.cluster import metadata
from webhook.cluster.errors import Forbidden, Gone, Throttled, Unavailable
from webhook.cluster.informer import Informer
from webhook.cluster.interface import (
    ANYTHING,
    Json,
    KubeClient,
    ListOptions,
    ObjectKey,
    ObjectList,
    WatchEvent,
    WatchEventType,
)
from webhook.cluster.resources import CONFIG_MAP, NAMESPACE

T = TypeVar("T")


def named(name: str, value: str = "1") -> Json:
    """A ConfigMap in the namespace `home`."""
    return {"metadata": {"name": name, "namespace": "home"}, "data": {"k": value}}


def key(name: str) -> ObjectKey:
    """Return the address of a ConfigMap in the namespace `home`."""
    return ObjectKey("home", name)


def value(body: Json) -> str:
    """Project a ConfigMap; one without the key `k` cannot be read."""
    return str(body["data"]["k"])


def still(client: Any, **more: Any) -> Informer[str]:
    """Return an informer that does nothing by itself."""
    return Informer(client, ListOptions(CONFIG_MAP), value, watch_seconds=0.2, **more)


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


@pytest.fixture(name="informer")
def _informer(port: KubeClient, wakes: list[float]) -> Iterator[Informer[str]]:
    informer = Informer(
        port,
        ListOptions(CONFIG_MAP, namespace="home"),
        lambda body: str(body["data"]["k"]),
        watch_seconds=0.4,
    )
    informer.subscribe(lambda _: wakes.append(time.monotonic()))
    stop = threading.Event()
    thread = threading.Thread(target=informer.run, args=(stop,), daemon=True)
    thread.start()
    yield informer
    stop.set()
    thread.join(5)


def test_it_lists_what_is_there(port: KubeClient) -> None:
    """Synced means that everything that was there is known, without any watch."""
    port.apply(CONFIG_MAP, named("a", "1"))
    port.apply(CONFIG_MAP, named("b", "2"))
    one = still(port)
    assert (one.health.synced, one.items()) == (False, {})
    one.refresh()

    assert one.health.synced
    assert one.items() == {key("a"): "1", key("b"): "2"}
    assert one.get(key("b")) == "2"
    assert one.get(key("c")) is None


def test_it_follows_changes_and_deletes(
    port: KubeClient, informer: Informer[str], wakes: list[float]
) -> None:
    """Each change is there soon after, and wakes the reader."""
    eventually(lambda: informer.health.synced)
    before = len(wakes)
    port.apply(CONFIG_MAP, named("a", "1"))
    port.apply(CONFIG_MAP, named("b", "1"))
    port.apply(CONFIG_MAP, named("a", "2"))
    port.delete(CONFIG_MAP, "b", "home")

    assert eventually(lambda: informer.items() == {ObjectKey("home", "a"): "2"})
    assert len(wakes) > before


def test_a_compaction_makes_it_list_again(
    cluster: FakeCluster, port: KubeClient, informer: Informer[str]
) -> None:
    """What was deleted while the watch could not tell is gone afterwards."""
    port.apply(CONFIG_MAP, named("a"))
    eventually(lambda: bool(informer.items()))
    with cluster._changed:
        cluster.delete(CONFIG_MAP, ObjectKey("home", "a"), ANYTHING)
        cluster.compact()

    assert eventually(lambda: not informer.items())


def test_an_outage_keeps_the_last_good(
    cluster: FakeCluster, port: KubeClient, informer: Informer[str]
) -> None:
    """Nothing is forgotten while nobody answers, and it says so."""
    port.apply(CONFIG_MAP, named("a"))
    eventually(lambda: bool(informer.items()))
    cluster.outage = True

    assert eventually(lambda: isinstance(informer.health.failing, Unavailable))
    assert informer.items() == {ObjectKey("home", "a"): "1"}

    cluster.outage = False
    port.apply(CONFIG_MAP, named("a", "2"))
    assert eventually(lambda: informer.get(ObjectKey("home", "a")) == "2")
    assert eventually(lambda: informer.health.failing is None)


def test_a_lost_right_keeps_the_last_good(
    cluster: FakeCluster, port: KubeClient, informer: Informer[str]
) -> None:
    """A right that is taken away is named, and given back it works again."""
    port.apply(CONFIG_MAP, named("a"))
    eventually(lambda: bool(informer.items()))
    cluster.forbid(lambda call: call.verb in ("list", "watch"))

    assert eventually(lambda: isinstance(informer.health.failing, Forbidden))
    assert informer.items() == {ObjectKey("home", "a"): "1"}

    cluster.allow_all()
    assert eventually(lambda: informer.health.failing is None)


def test_a_silent_watch_is_noticed(
    cluster: FakeCluster, port: KubeClient, informer: Informer[str]
) -> None:
    """A watch that only hangs is given up at its deadline, and nothing is lost."""
    assert eventually(lambda: informer.health.synced)
    cluster.stall = True
    port.apply(CONFIG_MAP, named("a"))

    assert eventually(lambda: isinstance(informer.health.failing, Unavailable))
    assert informer.health.silent_seconds >= 0.3
    assert informer.items() == {}
    cluster.stall = False
    assert eventually(lambda: informer.get(key("a")) == "1")
    assert eventually(lambda: informer.health.failing is None)


def test_a_throttled_informer_stays_away(
    cluster: FakeCluster, port: KubeClient
) -> None:
    """For as long as the server asked, though its own backoff is shorter."""
    one = still(port)
    cluster.throttle, cluster.retry_after = 1, 7.0
    pause = one.step()

    assert pause >= 7.0
    assert isinstance(one.health.failing, Throttled)
    assert one.step() < 7.0
    assert one.health.failing is None


def test_an_own_write_is_not_undone_by_older_news(port: KubeClient) -> None:
    """What a write answered stays, whatever older the watch still tells."""
    one = still(port)
    old = port.apply(CONFIG_MAP, named("a", "old"))
    new = port.apply(CONFIG_MAP, named("a", "new"))
    one.update(new)
    one.update(old)

    assert one.get(key("a")) == "new"
    one.forget(key("a"))
    assert one.get(key("a")) is None


class Scripted:
    """A client whose lists and watches say what the test wants."""

    def __init__(self) -> None:
        """Say nothing yet."""
        self.items: list[Json] = []
        self.version = "100"
        self.events: list[WatchEvent] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.opening: Callable[[], object] = lambda: None
        self.asked: list[str] = []

    def list(
        self, selection: ListOptions, project: Callable[[Json], T]
    ) -> ObjectList[T]:
        """Return `items`; `meanwhile` happens after they were read."""
        self.asked.append("list")
        found = {
            metadata.key(body): (metadata.revision(body), project(body))
            for body in self.items
        }
        self.meanwhile()
        return ObjectList(found, self.version)

    def watch(
        self, selection: ListOptions, version: str, *, seconds: float
    ) -> Iterator[WatchEvent]:
        """Return `events`, each once."""
        self.asked.append(f"watch {version}")
        self.opening()
        events, self.events = self.events, []
        return iter(events)


def at(revision: int, name: str = "a", text: str = "1") -> Json:
    """Return a ConfigMap as of a revision."""
    body = named(name, text)
    body["metadata"]["resourceVersion"] = str(revision)
    return body


def upsert(*bodies: Any) -> list[WatchEvent]:
    """Return what a watch says of them."""
    return [WatchEvent(WatchEventType.UPSERT, body) for body in bodies]


def deleted(*bodies: Any) -> list[WatchEvent]:
    """Return what a watch says when they are gone."""
    return [WatchEvent(WatchEventType.DELETED, body) for body in bodies]


@pytest.fixture(name="script")
def _script() -> Scripted:
    return Scripted()


def test_a_late_answer_resurrects_nothing(script: Scripted) -> None:
    """The watch told the deletion before the answer to our write came."""
    one = still(script)
    one.refresh()
    script.events = deleted(at(102))
    one.step()
    one.update(at(101))
    assert one.items() == {}

    one.update(at(103))
    assert one.get(key("a")) == "1"


def test_an_answer_that_a_list_overtook_resurrects_nothing(script: Scripted) -> None:
    """Written at 99 and gone at 100, as the list says; the answer comes last."""
    one = still(script)
    one.refresh()
    one.update(at(99))
    assert one.items() == {}

    one.update(at(101))
    assert one.get(key("a")) == "1"


def test_what_was_written_during_a_list_stays(script: Scripted) -> None:
    """The list is older than the answer; the watch that follows decides."""
    one = still(script)
    one.refresh()
    script.meanwhile = lambda: one.update(at(105, text="new"))
    script.version = "104"
    one.refresh()
    assert one.get(key("a")) == "new"

    script.meanwhile = lambda: None
    script.version = "106"
    one.refresh()
    assert one.items() == {}


def test_a_restored_etcd_is_believed(script: Scripted) -> None:
    """Versions go back: what is not in the list is not there, whatever was newer."""
    script.items, script.version = [at(900, "a"), at(901, "b", "new")], "1000"
    one = still(script)
    one.refresh()
    one.update(at(1001, "c"))
    script.events = upsert(at(1002, "d"), at(1003, "e")) + deleted(at(1004, "e"))
    one.step()
    assert set(one.items()) == {key(name) for name in "abcd"}

    script.items, script.version = [at(500, "b", "old")], "600"
    one.refresh()
    assert one.items() == {key("b"): "old"}
    # Versions from before the restore count for nothing any more.
    script.events = upsert(at(601, "b", "next"), at(602, "e"))
    one.step()
    assert one.items() == {key("b"): "next", key("e"): "1"}
    one.update(at(603, "c"))
    assert one.get(key("c")) == "1"


def test_tombstones_are_bounded(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Namespaces that come and go for years cost no memory."""
    monkeypatch.setattr("webhook.cluster.store._TOMBSTONES", 3)
    one = still(script)
    one.refresh()
    script.events = deleted(*(at(200 + n, f"n{n}") for n in range(10)))
    one.step()
    for n in range(10):
        one.update(at(300 + n, f"m{n}"))
        one.forget(key(f"m{n}"))

    assert list(one._store._deleted) == [key("m7"), key("m8"), key("m9")]


def test_a_projection_that_raises_in_a_list_ends_nothing(script: Scripted) -> None:
    """The others are there, the bad one is named, without a word of its content."""
    bad = at(50, "bad")
    bad["data"] = {"canary": "canary"}
    script.items = [at(40, "a"), bad, at(60, "z")]
    one = still(script)
    one.refresh()

    assert one.items() == {key("a"): "1", key("z"): "1"}
    assert one.health.unprojected == {key("bad"): "KeyError"}
    assert one.health.failing is None
    assert "canary" not in repr(one.health)

    script.items = [at(40, "a"), at(101, "bad", "2"), at(60, "z")]
    one.refresh()
    assert one.get(key("bad")) == "2"
    assert one.health.unprojected == {}


def test_a_projection_that_raises_in_a_watch_keeps_the_value(script: Scripted) -> None:
    """The last good one stays, also through a list; a deletion takes it."""
    script.items = [at(40, "a", "good")]
    one = still(script)
    one.refresh()
    changed: list[ObjectKey] = []
    one.subscribe(changed.append)
    bad = at(101, "a")
    bad["data"] = None
    script.events = upsert(bad, at(102, "b"))
    one.step()

    assert one.items() == {key("a"): "good", key("b"): "1"}
    assert one.health.unprojected == {key("a"): "TypeError"}
    # That it cannot be read any more is a change, too.
    assert changed == [key("a"), key("b")]

    script.items, script.version = [bad, at(102, "b")], "103"
    one.refresh()
    assert one.get(key("a")) == "good"
    assert one.health.unprojected == {key("a"): "TypeError"}
    assert changed == [key("a"), key("b")]

    script.events = upsert(at(104, "a", "good"))
    one.step()
    assert one.health.unprojected == {}
    assert changed == [key("a"), key("b"), key("a")]

    script.events = upsert(at(105, "a") | {"data": 7}) + deleted(at(106, "a"))
    one.step()
    assert one.items() == {key("b"): "1"}
    assert one.health.unprojected == {}


ODD_METADATA: list[Any] = [
    None,
    [],
    "",
    {},
    {"name": None, "namespace": None, "resourceVersion": None},
    {"name": "a", "namespace": "home", "resourceVersion": "9" * 5000},
    {"name": "a", "namespace": "home", "resourceVersion": "-1"},
    {"name": ["a"], "namespace": {}, "resourceVersion": 1.5},
]


@pytest.mark.parametrize("odd", ODD_METADATA, ids=lambda odd: repr(odd)[:40])
def test_odd_metadata_ends_no_watch(script: Scripted, odd: Any) -> None:
    """In a list, in each kind of event, and as the list's own version."""
    one = still(script)
    for body in ({"metadata": odd, "data": {"k": "odd"}}, odd):
        script.items = [body]
        one.refresh()
        script.events = upsert(body) + deleted(body)
        script.events += [WatchEvent(WatchEventType.BOOKMARK, body)]
        script.events += upsert(at(10**6, "b"))
        one.step()
        one.update({"metadata": odd})

        assert one.get(key("b")) == "1"
        assert one.health.failing is None
    script.items, script.version = [], "9" * 5000
    one.refresh()
    assert one.items() == {}


def test_a_handler_that_raises_ends_nothing(script: Scripted) -> None:
    """It is counted; the other handlers are called, and the watch goes on."""
    one = still(script)
    changed: list[ObjectKey] = []

    def broken(changed: ObjectKey) -> None:
        raise ValueError(changed)

    def broken_health() -> None:
        raise ValueError("health")

    one.subscribe(broken, broken_health)
    one.subscribe(changed.append)
    script.events = upsert(at(101, "a"), at(102, "b"))
    one.step()

    assert changed == [key("a"), key("b")]
    assert one.items() == {key("a"): "1", key("b"): "1"}
    assert one.health.failing is None
    assert one.health.handler_errors == 3


def test_an_error_of_ours_is_a_failure_and_no_end(script: Scripted) -> None:
    """Its text might quote a value, so its type is named."""
    one = still(script)

    def broken() -> None:
        raise ValueError("canary")

    script.meanwhile = broken
    assert one.step() > 0
    assert isinstance(one.health.failing, Unavailable)
    assert "ValueError" in str(one.health.failing)
    assert "canary" not in str(one.health.failing)


def test_only_what_changed_is_told(script: Scripted) -> None:
    """By list, watch, own write and own delete; each key once."""
    script.items = [at(40, "a"), at(41, "b"), at(42, "c")]
    one = still(script)
    changed: list[ObjectKey] = []
    one.subscribe(changed.append)

    def told() -> list[ObjectKey]:
        found = sorted(changed)
        changed.clear()
        return found

    one.refresh()
    assert told() == [key("a"), key("b"), key("c")]
    script.items = [at(40, "a"), at(110, "b", "2"), at(111, "d")]
    script.version = "120"
    one.refresh()
    assert told() == [key("b"), key("c"), key("d")]
    script.events = upsert(at(121, "a"), at(122, "b", "3"))
    script.events += deleted(at(123, "d"), at(124, "never"))
    one.step()
    assert told() == [key("b"), key("d")]
    one.update(at(125, "a"))
    one.update(at(126, "b", "4"))
    one.forget(key("a"))
    one.forget(key("never"))
    assert told() == [key("a"), key("b")]


def test_a_state_that_is_known_is_not_projected_again(script: Scripted) -> None:
    """What a write answered and the watch tells again costs nothing; a list may."""
    projected: list[str] = []

    def project(body: Json) -> str:
        projected.append(body["metadata"]["resourceVersion"])
        return value(body)

    client: Any = script
    one = Informer(client, ListOptions(CONFIG_MAP), project, watch_seconds=0.2)
    one.refresh()
    one.update(at(101))
    script.events = upsert(at(101), at(102, text="2"), at(102, text="2"))
    one.step()
    one.update(at(102, text="2"))

    assert projected == ["101", "102"]
    assert one.get(key("a")) == "2"


def test_a_known_state_counts_as_written_all_the_same(script: Scripted) -> None:
    """The watch told first, then a list that began before: the write stays."""
    one = still(script)
    script.events = upsert(at(105))
    one.step()

    script.meanwhile = lambda: one.update(at(105))
    one.refresh()

    assert one.get(key("a")) == "1"


def test_a_projection_may_be_none_or_false(script: Scripted) -> None:
    """An object that is there is something else than one that is not."""
    one = Informer[object](script, ListOptions(CONFIG_MAP), lambda _: None)  # type: ignore[arg-type] # no writes here
    changed: list[ObjectKey] = []
    one.subscribe(changed.append)
    script.events = upsert(at(101, "a"))
    one.step()

    assert one.items() == {key("a"): None}
    assert changed == [key("a")]


def test_health_is_told_when_it_changes(script: Scripted) -> None:
    """Synced, failing, and in order again: once each."""
    one = still(script)
    told: list[tuple[bool, bool]] = []
    one.subscribe(
        lambda _: None,
        lambda: told.append((one.health.synced, one.health.failing is None)),
    )

    def down() -> None:
        raise Forbidden("no right")

    one.refresh()
    one.refresh()
    script.meanwhile = down
    for _ in range(3):
        one._version = None
        one.step()
    script.meanwhile = lambda: None
    one.step()

    assert told == [(True, True), (True, False), (True, True)]


def test_one_namespace_is_found_by_its_name(port: KubeClient) -> None:
    """The index follows lists, writes and deletes."""
    port.create(NAMESPACE, {"metadata": {"name": "other"}})
    elsewhere = named("a", "2")
    elsewhere["metadata"]["namespace"] = "other"
    port.apply(CONFIG_MAP, named("a"))
    port.apply(CONFIG_MAP, elsewhere)
    one = still(port)
    one.refresh()
    assert one.items("home") == {key("a"): "1"}
    assert one.items("other") == {ObjectKey("other", "a"): "2"}
    assert one.items("nowhere") == {}

    one.update(port.apply(CONFIG_MAP, named("b")))
    one.forget(key("a"))
    assert one.items("home") == {key("b"): "1"}
    one.forget(key("b"))
    assert one.items("home") == {}
    assert "home" not in (one._store._by_namespace or {"home"})
    one.refresh()
    assert one.items("home") == {key("a"): "1", key("b"): "1"}


def test_an_outage_ends_with_a_list(script: Scripted) -> None:
    """A restored etcd would answer an old version's watch with silence."""
    one = still(script)
    one.refresh()

    def down() -> None:
        raise Unavailable("nobody answers")

    script.opening = down
    for _ in range(3):
        one.step()
    script.opening = lambda: None
    script.version = "50"
    script.asked.clear()
    one.step()

    assert script.asked == ["list", "watch 50"]


def test_a_list_that_never_gets_to_its_end_is_told(script: Scripted) -> None:
    """The version of its first page is too old before the last one comes."""
    one = still(script)
    one.refresh()

    def expired() -> None:
        raise Gone("list configmaps: the continue token is too old")

    def compacted() -> None:
        raise Gone("watch configmaps: too old")

    script.opening, script.meanwhile = compacted, expired
    one.step()
    after_one = one.health.failing
    one.step()

    assert after_one is None
    assert isinstance(one.health.failing, Unavailable)
    assert one.get(key("a")) is None
    script.opening = script.meanwhile = lambda: None
    one.step()
    assert one.health.failing is None


def test_a_watch_goes_on_where_the_last_one_ended(script: Scripted) -> None:
    """A bookmark spares the list that an old version would cost."""
    one = still(script)
    bookmark = {"metadata": {"resourceVersion": "150"}}
    script.events = [*upsert(at(101)), WatchEvent(WatchEventType.BOOKMARK, bookmark)]
    one.step()
    one.step()
    assert script.asked == ["list", "watch 100", "watch 150"]


def test_writers_and_lists_do_not_disturb_each_other(port: KubeClient) -> None:
    """Thousands of own writes while it lists: nothing raises, nothing is lost."""
    one = still(port)
    one.refresh()
    stop = threading.Event()

    def write() -> None:
        for number in range(1500):
            one.update(at(10**9 + number, f"n{number}"))
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        one.refresh()
        assert one.health.failing is None
    writer.join(10)


@pytest.mark.parametrize(
    "meta", [{}, {"name": "", "namespace": "home"}, {"name": 7, "namespace": "home"}]
)
def test_an_object_without_a_name_is_named_and_not_kept(
    cluster: FakeCluster, meta: dict[str, Any]
) -> None:
    """Its empty key would be taken for what is common to all objects."""
    odd = cluster.put(CONFIG_MAP, {"metadata": meta, "data": {"k": "1"}})
    one = still(cluster.client())
    one.refresh()

    assert one.items() == {}
    assert one.health.unprojected == {odd: "Nameless"}
