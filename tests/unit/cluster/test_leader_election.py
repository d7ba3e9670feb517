"""One leader, by its own clock."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.cluster import FakeCluster
from webhook.cluster.interface import Json, KubeClient, ObjectKey
from webhook.cluster.leader_election import (
    DURATION_SECONDS,
    FENCE_SECONDS,
    LeaderElector,
    may_acquire,
    parse_lease,
)
from webhook.cluster.resources import LEASE, NAMESPACE, ResourceType

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEASE_KEY = ObjectKey("release", "companion")


class Clock:
    """Monotonic seconds moved by hand."""

    def __init__(self) -> None:
        """Starts at an arbitrary moment."""
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.seconds


def new_cluster() -> FakeCluster:
    """Return a cluster with the Lease's namespace."""
    cluster = FakeCluster()
    cluster.client().create(NAMESPACE, {"metadata": {"name": "release"}})
    return cluster


@pytest.fixture(name="cluster")
def _cluster() -> FakeCluster:
    return new_cluster()


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


def candidate(
    cluster: FakeCluster, clock: Clock, name: str, client: Any = None
) -> LeaderElector:
    """Return a replica that has not tried yet."""
    return LeaderElector(
        client or cluster.client(),
        LEASE_KEY,
        name,
        clock=lambda: NOW + timedelta(seconds=clock.seconds),
        monotonic=clock,
    )


def test_the_first_takes_it_and_the_second_does_not(
    cluster: FakeCluster, clock: Clock
) -> None:
    """A missing Lease is created by one of them."""
    first, second = (candidate(cluster, clock, name) for name in "ab")
    first.step()
    second.step()

    assert [first.is_leader, second.is_leader] == [True, False]
    assert second.holder == "a"


def test_a_lease_made_empty_by_the_installer_is_taken(
    cluster: FakeCluster, clock: Clock
) -> None:
    """No right to create Leases is needed then."""
    cluster.client("helm").create(
        LEASE, {"metadata": {"name": "companion", "namespace": "release"}}
    )
    cluster.forbid(lambda call: call.verb == "create")
    first = candidate(cluster, clock, "a")
    first.step()

    assert first.is_leader


def test_a_leader_renews(cluster: FakeCluster, clock: Clock) -> None:
    """Each renewal moves the fence."""
    first = candidate(cluster, clock, "a")
    for _ in range(20):
        first.step()
        clock.seconds += 2

    assert first.is_leader


def test_a_leader_that_cannot_renew_stops_before_another_starts(
    cluster: FakeCluster, clock: Clock
) -> None:
    """Ten seconds of outage end a leadership; nobody else starts before fifteen."""
    first, second = (candidate(cluster, clock, name) for name in "ab")
    first.step()
    second.step()
    cluster.outage = True
    clock.seconds += 9.9
    first.step()
    assert first.is_leader
    clock.seconds += 0.2
    assert not first.is_leader

    cluster.outage = False
    second.step()
    assert not second.is_leader
    clock.seconds += 5
    second.step()
    assert second.is_leader


def test_each_leadership_is_a_term_of_its_own(
    cluster: FakeCluster, clock: Clock
) -> None:
    """A renewal begins none; who was away for longer than the fence begins another."""
    first, second = (candidate(cluster, clock, name) for name in "ab")
    terms = []
    for pause in (2, 2, 11, 2):
        first.step()
        second.step()
        terms.append(first.terms)
        clock.seconds += pause

    assert terms == [1, 1, 1, 2]
    assert second.terms == 0


def test_a_released_lease_is_taken_at_once(cluster: FakeCluster, clock: Clock) -> None:
    """A graceful stop costs no waiting."""
    first, second = (candidate(cluster, clock, name) for name in "ab")
    first.step()
    second.step()
    first.release()
    second.step()

    assert [first.is_leader, second.is_leader] == [False, True]


def test_a_seized_lease_ends_a_leadership(cluster: FakeCluster, clock: Clock) -> None:
    """The uninstaller stops whoever leads, and nobody takes over meanwhile."""
    first, second = (candidate(cluster, clock, name) for name in "ab")
    first.step()
    second.step()
    candidate(cluster, clock, "uninstall").take_over(60)
    clock.seconds += 2
    first.step()
    clock.seconds += 50
    second.step()

    assert [first.is_leader, second.is_leader] == [False, False]


def test_a_lost_race_is_no_leadership(cluster: FakeCluster, clock: Clock) -> None:
    """Two that see the same free Lease do not both get it."""
    cluster.client("helm").create(
        LEASE, {"metadata": {"name": "companion", "namespace": "release"}}
    )
    first, second = (candidate(cluster, clock, name) for name in "ab")
    # The other writes between our look and our write.
    cluster.meanwhile("apply", second.step)
    first.step()

    assert [first.is_leader, second.is_leader] == [False, True]


@pytest.mark.parametrize(
    ("holder", "unchanged", "expected"),
    [("", 0, True), ("a", 0, True), ("b", 14.9, False), ("b", 15.0, True)],
)
def test_who_may_take_it(holder: str, unchanged: float, expected: bool) -> None:
    """Free, ours, or not renewed for its whole duration as seen here."""
    found = parse_lease(
        {"spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}}
    )

    assert may_acquire(found, identity="a", unchanged=unchanged) is expected


class Paused:
    """A client whose next write waits until it is let through."""

    def __init__(self, client: KubeClient) -> None:
        """Let everything through so far."""
        self._client = client
        self.reached, self.resume = threading.Event(), threading.Event()

    def apply(self, kind: ResourceType, body: Json, *, force: bool = True) -> Json:
        """Write once `resume` is set."""
        self.reached.set()
        assert self.resume.wait(5)
        return self._client.apply(kind, body, force=force)

    def __getattr__(self, name: str) -> object:
        """Do everything else as the client does."""
        return getattr(self._client, name)


def requests(cluster: FakeCluster, act: Callable[[], object]) -> list[str]:
    """Return the verbs that it takes."""
    cluster.calls.clear()
    act()
    return [call.verb for call in cluster.calls]


def test_a_renewal_is_one_request(cluster: FakeCluster, clock: Clock) -> None:
    """A leader writes, a follower reads: nothing else, however long it goes on."""
    first, second = (candidate(cluster, clock, name) for name in "ab")
    first.step()

    for _ in range(20):
        clock.seconds += 2
        assert requests(cluster, first.step) == ["apply"]
        assert requests(cluster, second.step) == ["get"]
    assert first.is_leader


def test_a_foreign_write_to_the_lease_ends_no_leadership(
    cluster: FakeCluster, clock: Clock
) -> None:
    """Somebody annotates it: the leader reads it anew and renews in the same step."""
    first = candidate(cluster, clock, "a")
    first.step()
    note = {"name": LEASE_KEY.name, "namespace": LEASE_KEY.namespace}
    cluster.client("user").patch(
        LEASE, {"metadata": note | {"annotations": {"team": "ml"}}}
    )

    assert requests(cluster, first.step) == ["apply", "get", "apply"]
    assert first.is_leader
    assert requests(cluster, first.step) == ["apply"]


def test_a_deleted_lease_is_made_again(cluster: FakeCluster, clock: Clock) -> None:
    """And the leader goes on to lead."""
    first = candidate(cluster, clock, "a")
    first.step()
    cluster.client("user").delete(LEASE, LEASE_KEY.name, LEASE_KEY.namespace)
    first.step()
    first.step()

    assert first.is_leader
    lease = cluster.client().get(LEASE, LEASE_KEY.name, LEASE_KEY.namespace)
    assert parse_lease(lease).holder == "a"


def test_a_release_during_a_renewal_leaves_the_lease_free(
    cluster: FakeCluster, clock: Clock
) -> None:
    """The write that was under way is undone: no successor waits for its end."""
    client = Paused(cluster.client())
    client.resume.set()
    leader = candidate(cluster, clock, "a", client)
    leader.step()
    client.reached.clear()
    client.resume.clear()
    renewing = threading.Thread(target=leader.step)
    renewing.start()
    assert client.reached.wait(5)
    releasing = threading.Thread(target=leader.release)
    releasing.start()
    while leader.is_leader:
        time.sleep(0.001)
    client.resume.set()
    renewing.join(5)
    releasing.join(5)

    lease = cluster.client().get(LEASE, LEASE_KEY.name, LEASE_KEY.namespace)
    assert parse_lease(lease).holder == ""
    assert not leader.is_leader


def test_after_a_release_nothing_is_acquired_again(
    cluster: FakeCluster, clock: Clock
) -> None:
    """A thread of a dying process that steps once more asks for nothing."""
    leader = candidate(cluster, clock, "a")
    leader.step()
    leader.release()

    assert requests(cluster, leader.step) == []
    assert not leader.is_leader
    assert leader.holder == ""


def test_a_release_does_not_wait_for_a_server_that_hangs(
    cluster: FakeCluster, clock: Clock
) -> None:
    """The process ends in time; if it lives on, the renewal is undone all the same."""
    client = Paused(cluster.client())
    client.resume.set()
    leader = candidate(cluster, clock, "a", client)
    leader.step()
    client.reached.clear()
    client.resume.clear()
    renewing = threading.Thread(target=leader.step)
    renewing.start()
    assert client.reached.wait(5)
    started = time.monotonic()
    leader.release()

    assert time.monotonic() - started < 3
    assert not leader.is_leader
    client.resume.set()
    renewing.join(5)
    lease = cluster.client().get(LEASE, LEASE_KEY.name, LEASE_KEY.namespace)
    assert parse_lease(lease).holder == ""


def test_a_follower_that_is_released_writes_nothing(
    cluster: FakeCluster, clock: Clock
) -> None:
    """The Lease is another's."""
    first, second = (candidate(cluster, clock, name) for name in "ab")
    first.step()
    second.step()

    assert requests(cluster, second.release) == []
    assert requests(cluster, second.step) == []


def test_the_fence_ends_before_another_may_start() -> None:
    """Uninstalling waits for the fence; a candidate for the whole duration."""
    assert FENCE_SECONDS < DURATION_SECONDS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
    ),
    max_leaves=4,
)
ODD_SPECS = JSON | st.fixed_dictionaries(
    {},
    optional={
        "holderIdentity": JSON | st.just("b"),
        "leaseDurationSeconds": JSON | st.integers(-1, 60) | st.just(2**31),
        "leaseTransitions": JSON | st.sampled_from([-1, 1, 2**31 - 1, 2**31]),
        "acquireTime": JSON,
        "renewTime": JSON,
    },
)
ODD_LEASES = st.fixed_dictionaries(
    {}, optional={"metadata": JSON, "spec": ODD_SPECS, "status": JSON}
)


@settings(max_examples=400)
@given(ODD_LEASES)
def test_what_cannot_be_read_of_a_lease_is_absent(lease: dict[str, Any]) -> None:
    """Nothing is raised, and every field is as in a Lease without the odd ones."""
    found = parse_lease(lease)

    spec = lease.get("spec")
    fields = spec if isinstance(spec, dict) else {}
    texts = {name: text for name, text in fields.items() if type(text) is str}
    numbers = {name: n for name, n in fields.items() if type(n) is int}
    limited = {name: n for name, n in numbers.items() if 0 < n < 2**31 - 1}
    assert found.holder == texts.get("holderIdentity", "")
    assert found.renewed == texts.get("renewTime", "")
    assert found.acquired == texts.get("acquireTime", "")
    assert found.seconds == limited.get("leaseDurationSeconds", DURATION_SECONDS)
    assert found.transitions == limited.get("leaseTransitions", 0)
    assert isinstance(found.version, str)


@settings(max_examples=100)
@given(ODD_SPECS.filter(lambda spec: isinstance(spec, dict)))
def test_an_odd_lease_is_taken_once_it_is_abandoned(spec: dict[str, Any]) -> None:
    """Whatever its holder wrote: there is a leader in the end."""
    cluster, clock = new_cluster(), Clock()
    meta = {"name": LEASE_KEY.name, "namespace": LEASE_KEY.namespace}
    lease = {"metadata": meta, "spec": spec}
    cluster.client("other").create(LEASE, lease)
    first = candidate(cluster, clock, "a")
    first.step()
    clock.seconds += parse_lease(lease).seconds
    first.step()

    assert first.is_leader
