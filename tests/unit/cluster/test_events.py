"""Events: each thing once, never a flood, never in the way."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.cluster import FakeCluster
from webhook.cluster import metadata
from webhook.cluster.events import EventRecorder, ObjectReference
from webhook.cluster.interface import ListOptions
from webhook.cluster.resources import EVENT, NAMESPACE

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POD = ObjectReference("v1", "Pod", "ray", "head", "uid-of-head")


@pytest.fixture(name="cluster")
def _cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.client().create(NAMESPACE, {"metadata": {"name": "ray"}})
    return cluster


def announcer(cluster: FakeCluster) -> EventRecorder:
    """A companion that has said nothing yet; its time stands still."""
    return EventRecorder(
        cluster.client(), component="companion", instance="a", monotonic=lambda: 0.0
    )


def told(cluster: FakeCluster) -> int:
    """How many Events there are."""
    listing = cluster.client().list(ListOptions(EVENT), metadata.uid)
    return len(listing.items)


def test_the_same_thing_is_told_once(cluster: FakeCluster) -> None:
    """A repetition costs no request."""
    one = announcer(cluster)
    for _ in range(5):
        assert one.event(POD, "MissedPod", "It has no keys.", now=NOW)

    assert cluster.counts()["create"] == 2  # the namespace and the Event


def test_another_companion_tells_nothing_twice(cluster: FakeCluster) -> None:
    """A restart does not repeat what is known."""
    for _ in range(2):
        assert announcer(cluster).event(POD, "MissedPod", "No keys.", now=NOW)

    assert told(cluster) == 1


def test_it_is_told_again_after_the_event_is_gone(cluster: FakeCluster) -> None:
    """The API server keeps Events for an hour."""
    one = announcer(cluster)
    one.event(POD, "MissedPod", "No keys.", now=NOW)
    cluster.calls.clear()
    one.event(POD, "MissedPod", "No keys.", now=NOW + timedelta(hours=1))

    assert cluster.counts()["create"] == 1


def test_a_flood_is_cut_and_counted(cluster: FakeCluster) -> None:
    """At most a hundred at once; the rest is dropped, not queued."""
    one = announcer(cluster)
    for number in range(150):
        one.event(POD, "MissedPod", f"Number {number}.", now=NOW)

    assert told(cluster) == 100
    assert one.dropped == 50


def test_a_missing_right_is_no_failure(cluster: FakeCluster) -> None:
    """Whoever announces goes on."""
    cluster.forbid(lambda call: call.kind == EVENT)
    one = announcer(cluster)

    assert not one.event(POD, "MissedPod", "No keys.", now=NOW)
    assert one.dropped == 1


def test_an_event_is_complete(cluster: FakeCluster) -> None:
    """It names the object, the reason and who says so."""
    announcer(cluster).event(POD, "MissedPod", "It has no keys.", now=NOW)
    listing = cluster.client().list(ListOptions(EVENT), lambda body: body)
    ((_, body),) = listing.items.values()

    assert body["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "ray",
        "name": "head",
        "uid": "uid-of-head",
    }
    assert body["type"] == "Warning"
    assert body["reason"] == "MissedPod"
    assert body["firstTimestamp"] == "2026-01-02T03:04:05Z"
