"""How watches stand is a result like any other: said, logged once, and an Event."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tests.fakes.log import Lines
from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import CONFIG_MAP, NAMESPACE, NODE, SERVICE
from webhook.cluster.store import ObjectStore
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Caches, Interests, build_caches
from webhook.companion.watches import WatchController, WatchReason

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOME = ObjectReference.to(CONFIG_MAP, ObjectKey("release", "status"))
ODD = {
    "metadata": {"name": "odd", "namespace": "tenant"},
    "spec": {"clusterIP": 7, "ports": "canary"},
}


class Watched:
    """A cluster, its informers and the controller over them."""

    def __init__(self) -> None:
        """Nothing is listed yet."""
        self.cluster = FakeCluster()
        self.user = self.cluster.client("user")
        for name in ("release", "tenant"):
            self.user.create(NAMESPACE, {"metadata": {"name": name}})
        interests = Interests(release_namespace="release")
        self.caches: Caches = build_caches(self.cluster.client(), interests)
        self.log = Lines()
        self.queue = WorkQueue("watches")
        self.controller = WatchController(
            self.caches, home=HOME, log=self.log, queue=self.queue
        )

    def refresh(self) -> None:
        """Every informer lists once."""
        for informer in self.caches.all():
            informer.refresh()

    def reasons(self) -> set[WatchReason]:
        """Of all watches whose health has changed."""
        found = set()
        while (key := self.queue.get(0)) is not None:
            found.add(self.controller.reconcile(key, NOW).reason)
            self.queue.done(key)
        return found


@pytest.fixture(name="watched")
def _watched() -> Watched:
    return Watched()


def test_many_odd_objects_cost_no_more_than_each_by_itself(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant may have ten thousands: none of them makes a copy of all the others."""
    copied = []
    whole = ObjectStore.unprojected

    def counted(store: ObjectStore[Any], *namespace: str) -> dict[ObjectKey, str]:
        found = whole(store, *namespace)
        copied.append(len(found))
        return found

    monkeypatch.setattr(ObjectStore, "unprojected", counted)
    for number in range(300):
        name = {"name": f"odd-{number}", "namespace": "tenant"}
        watched.cluster.put(SERVICE, ODD | {"metadata": name})
    watched.refresh()

    assert sum(copied) <= 3000
    assert watched.log.events().count("projection-failed") == 300


def test_a_watch_that_works_is_in_order(watched: Watched) -> None:
    """Nothing is logged and no Event asked for."""
    watched.refresh()

    assert watched.reasons() == {WatchReason.WATCHING}
    assert watched.log.lines == []


def test_a_watch_that_fails_is_named_with_its_error(watched: Watched) -> None:
    """Once in the log, and its recovery."""
    watched.cluster.forbid(lambda call: call.kind == SERVICE)
    for _ in range(3):
        watched.refresh()
    result = watched.controller.reconcile("services *", NOW)

    assert result.reason is WatchReason.WATCH_FAILED
    assert "right is missing" in result.detail
    assert [one.about for one in result.notices] == [HOME]
    watched.cluster.allow_all()
    watched.refresh()
    assert watched.log.events() == ["watch-failed", "watch-recovered"]
    assert watched.controller.reconcile("services *", NOW).reason.is_in_order


def test_a_right_that_is_optional_may_be_missing(watched: Watched) -> None:
    """Without nodes, endpoints' addresses are permitted instead."""
    watched.cluster.forbid(lambda call: call.kind == NODE)
    watched.refresh()

    assert watched.reasons() == {WatchReason.WATCHING, WatchReason.NOT_PERMITTED}


def test_an_object_that_cannot_be_read_is_named(watched: Watched) -> None:
    """In the log, in an Event about it, in the result; never with its content."""
    watched.user.create(SERVICE, ODD)
    for _ in range(2):
        watched.refresh()
    result = watched.controller.reconcile("services *", NOW)

    assert result.reason is WatchReason.PROJECTION_FAILED
    assert [str(key) for key in result.unprojected] == ["tenant/odd"]
    (notice,) = result.notices
    assert (notice.about.kind, notice.about.namespace, notice.about.name) == (
        "Service",
        "tenant",
        "odd",
    )
    ((event, fields),) = watched.log.lines
    assert (event, fields["object"]) == ("projection-failed", "tenant/odd")
    assert "canary" not in repr((result, watched.log.lines))


def test_an_object_that_is_mended_is_forgotten(watched: Watched) -> None:
    """Its watch is in order again, without a new list."""
    watched.user.create(SERVICE, ODD)
    watched.refresh()
    watched.reasons()
    mended: dict[str, Any] = {"clusterIP": "10.0.0.1", "ports": []}
    body = {"metadata": ODD["metadata"], "spec": mended}
    assert watched.caches.egress is not None
    watched.caches.egress.services.update(watched.user.patch(SERVICE, body))

    assert watched.reasons() == {WatchReason.WATCHING}
