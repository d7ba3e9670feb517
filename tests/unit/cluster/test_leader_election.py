"""One leader, by its own clock."""

from datetime import UTC, datetime

import pytest

from tests.fakes.cluster import FakeCluster
from webhook.cluster.interface import ObjectKey
from webhook.cluster.leader_election import LeaderElector, may_acquire, parse_lease
from webhook.cluster.resources import LEASE, NAMESPACE

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


@pytest.fixture(name="cluster")
def _cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.client().create(NAMESPACE, {"metadata": {"name": "release"}})
    return cluster


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


def candidate(cluster: FakeCluster, clock: Clock, name: str) -> LeaderElector:
    """A replica that has not tried yet."""
    return LeaderElector(
        cluster.client(),
        LEASE_KEY,
        name,
        clock=lambda: NOW,
        wake=lambda: None,
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
