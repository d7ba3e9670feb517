"""The report is written when it changed or was lost, and not otherwise."""

import json
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tests.fakes.log import Lines
from tests.unit.companion.test_report import NOW, mirrored, source
from webhook.cluster.errors import Forbidden
from webhook.cluster.events import EventRecorder
from webhook.cluster.informer import Informer
from webhook.cluster.interface import ListOptions
from webhook.cluster.resources import CONFIG_MAP, NAMESPACE
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.controller import Context, Controller, Result
from webhook.companion.report import FIELD
from webhook.companion.results import CompanionResults
from webhook.companion.status import (
    KEY,
    StatusController,
    StatusReason,
    digest,
)
from webhook.mirror.reasons import MirrorReason

HOME = "release"
NAME = "tracking-injector-status"


class Published:
    """A cluster, results by hand, and the controller that publishes them."""

    def __init__(self) -> None:
        """A ConfigMap as the chart makes it, empty, and one namespace to tell of."""
        self.cluster = FakeCluster()
        self.user = self.cluster.client("user")
        self.user.create(NAMESPACE, {"metadata": {"name": HOME}})
        self.put({})
        client = self.cluster.client()
        self.results = CompanionResults()
        self.results.mirrors.put("ray", mirrored())
        self.kept = Informer(
            client, ListOptions(CONFIG_MAP, namespace=HOME, name=NAME), digest
        )
        self.queue = WorkQueue("status")
        context = Context(
            client=client,
            log=Lines(),
            recorder=EventRecorder(client, component="companion", instance="one"),
            is_leader=lambda: True,
            clock=lambda: NOW,
        )
        reconciler = StatusController(
            context, source(self.results), self.kept, self.queue
        )
        self.controller: Controller[Result] = Controller(
            reconciler=reconciler, queue=self.queue, context=context
        )

    def put(self, data: dict[str, str]) -> None:
        """Somebody writes the ConfigMap by hand."""
        meta = {"name": NAME, "namespace": HOME}
        gone: dict[str, Any] = {FIELD: None}
        self.user.apply(CONFIG_MAP, {"metadata": meta, "data": data})
        self.user.patch(CONFIG_MAP, {"metadata": meta, "data": data or gone})

    def step(self) -> int:
        """The watch catches up, the controller works; returns the writes it made."""
        self.kept.refresh()
        self.cluster.calls.clear()
        self.queue.add(KEY)
        self.controller.step()
        return self.cluster.counts()["apply"]

    def report(self) -> dict[str, Any]:
        """What people and tools read."""
        body = self.user.get(CONFIG_MAP, NAME, HOME)
        found: dict[str, Any] = json.loads(body["data"][FIELD])
        return found


@pytest.fixture(name="published")
def _published() -> Published:
    return Published()


def test_it_is_written_when_something_changed_and_not_otherwise(
    published: Published,
) -> None:
    """An idle cluster costs no request."""
    assert published.step() == 1
    assert [published.step() for _ in range(3)] == [0, 0, 0]
    assert not published.cluster.calls
    published.results.mirrors.put("ray", mirrored(MirrorReason.STALE))

    assert published.step() == 1
    assert published.report()["namespaces"]["ray"]["reason"] == "Stale"


def test_a_report_emptied_by_hand_is_written_again(published: Published) -> None:
    """The watch tells."""
    published.step()
    published.put({})

    assert published.step() == 1
    assert published.report()["total"] == 1
    assert published.step() == 0


def test_a_report_overwritten_by_hand_is_written_again(published: Published) -> None:
    """Whoever wrote it."""
    published.step()
    published.put({FIELD: "{}"})

    assert published.step() == 1
    assert published.report()["total"] == 1


def test_a_deleted_report_is_written_again(published: Published) -> None:
    """Where the right to create it is given."""
    published.step()
    published.user.delete(CONFIG_MAP, NAME, HOME)

    assert published.step() == 1
    assert published.report()["total"] == 1


def test_a_change_of_the_config_map_queues_the_report(published: Published) -> None:
    """So that nobody waits for the next look."""
    published.step()
    published.put({})
    published.kept.refresh()

    assert len(published.queue) == 1


def test_its_own_writing_queues_nothing(published: Published) -> None:
    """Else each report would be followed by another look at once, without a pause."""
    published.step()
    published.kept.refresh()

    assert len(published.queue) == 0


@pytest.mark.parametrize(("changed", "pause"), [(3, 0.25), (40, 0.5), (500, 2.0)])
def test_the_report_waits_longer_while_many_results_change(
    published: Published, changed: int, pause: float
) -> None:
    """One change is told soon; a thousand of them, one after the other, seldom."""
    published.step()
    for number in range(changed):
        published.results.mirrors.put(f"team-{number}", mirrored())

    published.step()
    found = published.controller.results.get(KEY)

    assert found is not None
    assert found.requeue_after == pause


def test_a_report_that_cannot_be_written_is_tried_again(published: Published) -> None:
    """With a reason, and with a pause that grows."""
    published.cluster.forbid(lambda call: call.verb == "apply")
    published.step()
    result = published.controller.results.get(KEY)

    assert result is not None
    assert result.reason is StatusReason.WRITE_REFUSED
    assert isinstance(result.error, Forbidden)
    published.cluster.allow_all()
    assert published.step() == 1


def test_a_watch_that_is_not_permitted_costs_no_write_at_each_look(
    published: Published,
) -> None:
    """What was written is remembered as well."""
    published.cluster.forbid(lambda call: call.verb == "list")

    assert [published.step() for _ in range(3)] == [1, 0, 0]
