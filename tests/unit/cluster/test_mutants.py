"""The tests notice when the cluster package is wrong: each mutant is caught.

A mutant replaces one piece of a function's source. The test that is to catch it passes
on the source as it is.
"""

import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest

from tests.unit.cluster import (
    test_events,
    test_informer,
    test_leader_election,
    test_metadata,
    test_quota,
    test_workqueue,
)
from webhook.cluster import metadata
from webhook.cluster.events import EventRecorder, RateLimits
from webhook.cluster.informer import Informer
from webhook.cluster.leader_election import LeaderElector
from webhook.cluster.store import ObjectStore
from webhook.cluster.workqueue import WorkQueue


def informer(test: Callable[[test_informer.Scripted], None]) -> Callable[[], None]:
    """Return a test of the informer, ready to run."""
    return lambda: test(test_informer.Scripted())


def lease(test: Callable[..., None]) -> Callable[[], None]:
    """Return a test of leader election, ready to run."""
    return lambda: test(
        test_leader_election.new_cluster(), test_leader_election.Clock()
    )


def events(test: Callable[..., None]) -> Callable[[], None]:
    """Return a test of the recorder, ready to run."""
    return lambda: test(test_events.new_cluster())


def queue(test: Callable[..., None]) -> Callable[[], None]:
    """Return a test of the work queue, ready to run."""

    def run() -> None:
        clock = test_workqueue.Clock()
        given = {"queue": test_workqueue.new_queue(clock), "clock": clock}
        wanted = inspect.signature(test).parameters
        test(**{name: value for name, value in given.items() if name in wanted})

    return run


def sooner(queue: WorkQueue, clock: test_workqueue.Clock) -> None:
    """Run the test of two delays."""
    test_workqueue.test_the_sooner_delay_wins(queue, clock, (5, 10))


def year_zero() -> None:
    """Run the test of a time that Python cannot hold."""
    test_metadata.test_a_time_is_read_or_absent("0000-01-01T00:00:00Z", None)


MUTANTS: dict[str, tuple[Any, str, str, str, Callable[[], None]]] = {
    "a deletion is forgotten": (
        ObjectStore,
        "_is_stale",
        "max(self._listed, self._deleted.get(key, 0))",
        "self._listed",
        informer(test_informer.test_a_late_answer_resurrects_nothing),
    ),
    "an answer older than the list is news": (
        ObjectStore,
        "_is_stale",
        "max(self._listed, self._deleted.get(key, 0))",
        "self._deleted.get(key, 0)",
        informer(test_informer.test_an_answer_that_a_list_overtook_resurrects_nothing),
    ),
    "tombstones outlive a restore": (
        ObjectStore,
        "replace",
        "self._deleted.clear()",
        "pass",
        informer(test_informer.test_a_restored_etcd_is_believed),
    ),
    "own writes outlive a restore": (
        ObjectStore,
        "begin_list",
        "self._written.clear()",
        "pass",
        informer(test_informer.test_a_restored_etcd_is_believed),
    ),
    "an own write is undone by the list it overtook": (
        ObjectStore,
        "replace",
        "before[key][0] > upto > 0",
        "False",
        informer(test_informer.test_what_was_written_during_a_list_stays),
    ),
    "every key of a list is told": (
        ObjectStore,
        "replace",
        "!= _state(",
        "is not _state(",
        informer(test_informer.test_only_what_changed_is_told),
    ),
    "a full namespace keeps on growing": (
        ObjectStore,
        "_keep",
        "if self._usage.takes(key.namespace, item):",
        "if True:",
        test_quota.test_a_full_namespace_leaves_out_its_own_objects,
    ),
    "what goes leaves no room": (
        ObjectStore,
        "remove",
        "self._usage.drop(key.namespace, known[1])",
        "pass",
        test_quota.test_a_full_namespace_leaves_out_its_own_objects,
    ),
    "a bad object loses its last value": (
        ObjectStore,
        "_keep",
        "fits = known is not None and",
        "fits = False and",
        informer(
            test_informer.test_a_projection_that_raises_in_a_watch_keeps_the_value
        ),
    ),
    "a subscriber ends the watch": (
        Informer,
        "_call",
        "except Exception",
        "except KeyError",
        informer(test_informer.test_a_handler_that_raises_ends_nothing),
    ),
    "an error of ours ends the watch": (
        Informer,
        "step",
        "except Exception",
        "except KeyError",
        informer(test_informer.test_an_error_of_ours_is_a_failure_and_no_end),
    ),
    "a dying process takes the Lease back": (
        LeaderElector,
        "step",
        "if not self._released:",
        "if True:",
        lease(test_leader_election.test_after_a_release_nothing_is_acquired_again),
    ),
    "a late renewal stays": (
        LeaderElector,
        "step",
        "if self._released:",
        "if False:",
        lease(
            test_leader_election.test_a_release_does_not_wait_for_a_server_that_hangs
        ),
    ),
    "a renewal looks first": (
        LeaderElector,
        "_attempt",
        "if self.is_leader and self._seen is not None:",
        "if False:",
        lease(test_leader_election.test_a_renewal_is_one_request),
    ),
    "a lost race is believed won": (
        LeaderElector,
        "_write",
        'meta["resourceVersion"] = found.version',
        "pass",
        lease(test_leader_election.test_a_lost_race_is_no_leadership),
    ),
    "an Event is written again": (
        EventRecorder,
        "event",
        "now - seen < _AGAIN_AFTER",
        "False",
        events(test_events.test_the_same_thing_is_written_once),
    ),
    "a namespace keeps its turn": (
        EventRecorder,
        "_write_next",
        "self._namespaces.add(namespace)",
        "self._namespaces.add(namespace, urgent=True)",
        events(test_events.test_namespaces_take_turns),
    ),
    "an outage drops Events": (
        EventRecorder,
        "_write_next",
        "if next_.tries < _TRIES:",
        "if False:",
        events(test_events.test_an_outage_is_outwaited),
    ),
    "a refused Event is tried for ever": (
        EventRecorder,
        "_write_next",
        "except Unavailable",
        "except ClusterError",
        events(test_events.test_a_missing_right_is_no_failure),
    ),
    "a bucket never fills": (
        RateLimits,
        "take",
        "(now - filled_at) * self._per_second",
        "0",
        test_events.test_a_bucket_fills_again_and_the_oldest_is_forgotten,
    ),
    "two workers on one key": (
        WorkQueue,
        "_add",
        "if key in self._started:",
        "if False:",
        queue(test_workqueue.test_a_key_due_while_worked_on_comes_after),
    ),
    "an add during work is lost": (
        WorkQueue,
        "done",
        "if urgent is not None:",
        "if False:",
        queue(test_workqueue.test_a_key_added_while_worked_on_comes_again),
    ),
    "the later delay wins": (
        WorkQueue,
        "_add_at",
        'due >= self._due.get(key, float("inf"))',
        "False",
        queue(sooner),
    ),
    "a failure is never forgotten": (
        WorkQueue,
        "forget",
        "self._backoffs.pop(key, None)",
        "pass",
        queue(test_workqueue.test_each_key_has_its_own_backoff),
    ),
    "a year that Python cannot hold": (
        metadata,
        "parse_time",
        "(ValueError, OverflowError)",
        "OverflowError",
        year_zero,
    ),
}


def mutated(function: FunctionType, old: str, new: str) -> Any:
    """Return the function made from its source with one piece replaced."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1
    # With the module's own names, so that what a test patches there holds here too.
    names = function.__globals__
    before = names.get(function.__name__)
    exec(source.replace(old, new), names)  # noqa: S102 - our own source
    made = names.pop(function.__name__)
    if before is not None:
        names[function.__name__] = before
    return made


@pytest.mark.parametrize("breaks", MUTANTS)
def test_a_mutant_is_caught(breaks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the test that is named for it, which passes otherwise."""
    owner, name, old, new, test = MUTANTS[breaks]
    test()
    monkeypatch.setattr(owner, name, mutated(getattr(owner, name), old, new))

    with pytest.raises(Exception):  # noqa: B017, PT011 - however it is caught
        test()
