"""The work queue keeps client-go's promises: once each, never two at a time."""

import random
import threading
import time
from collections import Counter
from typing import Final

import pytest

from webhook.cluster.backoff import Backoff
from webhook.cluster.workqueue import QueueObserver, WorkQueue


class Clock:
    """Monotonic seconds moved by hand."""

    def __init__(self) -> None:
        """Start at an arbitrary moment."""
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Return now."""
        return self.seconds


class Observed(QueueObserver):
    """Keeps what the queue told."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.told: list[tuple[str, ...] | tuple[str, str, float]] = []

    def added(self, queue: str) -> None:
        """Keep it."""
        self.told.append(("added", queue))

    def retried(self, queue: str) -> None:
        """Keep it."""
        self.told.append(("retried", queue))

    def started(self, queue: str, waited: float) -> None:
        """Keep it."""
        self.told.append(("started", queue, waited))

    def finished(self, queue: str, worked: float) -> None:
        """Keep it."""
        self.told.append(("finished", queue, worked))


class Steady(Backoff):
    """A backoff without chance: 1, 2, 4, 8, 8, 8."""

    def next(self) -> float:
        """Return the next pause."""
        self.failures += 1
        return min(8.0, 2.0 ** (self.failures - 1))


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="observed")
def _observed() -> Observed:
    return Observed()


def new_queue(clock: Clock, observed: Observed | None = None) -> WorkQueue:
    """Return an empty queue whose time is moved by hand."""
    return WorkQueue("q", observed or Observed(), monotonic=clock, backoff=Steady)


@pytest.fixture(name="queue")
def _queue(clock: Clock, observed: Observed) -> WorkQueue:
    return new_queue(clock, observed)


def drain(queue: WorkQueue) -> list[str]:
    """Return every key that is ready, in order, each worked on and done."""
    found = []
    while (key := queue.get(0)) is not None:
        found.append(key)
        queue.done(key)
    return found


def test_a_key_is_queued_once(queue: WorkQueue) -> None:
    """However often it is added before a worker takes it; first come, first served."""
    for key in "abab":
        queue.add(key)
    assert len(queue) == 2

    assert drain(queue) == ["a", "b"]
    assert (len(queue), queue.get(0)) == (0, None)


def test_a_key_added_while_worked_on_comes_again(queue: WorkQueue) -> None:
    """After `done`, once, and not before: its worker may have read older state."""
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add("a")
    queue.add("a")
    assert (queue.get(0), len(queue)) == (None, 0)

    queue.done("a")
    assert drain(queue) == ["a"]


def test_an_urgent_key_overtakes(queue: WorkQueue) -> None:
    """Also one that waits already; among the urgent the order stays."""
    for key in "abc":
        queue.add(key)
    queue.add("c", urgent=True)
    queue.add("d", urgent=True)
    queue.add("d")
    assert len(queue) == 4

    assert drain(queue) == ["c", "d", "a", "b"]


def test_urgency_outlives_the_work_under_way(queue: WorkQueue) -> None:
    """A key that is worked on and becomes urgent is the next one after `done`."""
    for key in "ab":
        queue.add(key)
    assert queue.get(0) == "a"
    queue.add("a", urgent=True)
    queue.add("a")
    queue.done("a")

    assert drain(queue) == ["a", "b"]


def test_a_delayed_key_waits_its_time(queue: WorkQueue, clock: Clock) -> None:
    """And counts as ready no sooner."""
    queue.add_after("late", 10)
    queue.add_after("soon", 5)
    assert (queue.get(0), len(queue)) == (None, 0)
    clock.seconds += 5
    assert drain(queue) == ["soon"]
    clock.seconds += 4.9
    assert drain(queue) == []
    clock.seconds += 0.1
    assert drain(queue) == ["late"]


@pytest.mark.parametrize("delays", [(10, 5), (5, 10), (5, 10, 5, 7)])
def test_the_sooner_delay_wins(
    queue: WorkQueue, clock: Clock, delays: tuple[int, ...]
) -> None:
    """The key comes once, at the soonest time that was asked for."""
    for seconds in delays:
        queue.add_after("a", seconds)
    clock.seconds += 4.9
    assert drain(queue) == []
    clock.seconds += 0.1
    assert drain(queue) == ["a"]
    clock.seconds += 10
    assert drain(queue) == []


def test_paced_keys_are_due_together(queue: WorkQueue, clock: Clock) -> None:
    """At the next multiple of the pace, and never sooner than that after the last."""
    clock.seconds = 1000.1
    queue.add_paced("a", 0.25)
    clock.seconds = 1000.2
    queue.add_paced("b", 0.25)
    queue.add_paced("a", 0.25)
    assert queue.get(0) is None
    clock.seconds = 1000.25
    assert [queue.get(0), queue.get(0), queue.get(0)] == ["a", "b", None]
    queue.add_paced("c", 0.25)
    assert queue.get(0) is None
    clock.seconds = 1000.5
    assert queue.get(0) == "c"


def test_a_delay_without_time_is_none(queue: WorkQueue) -> None:
    """Zero or less is due now."""
    queue.add_after("a", 0)
    queue.add_after("b", -1)

    assert sorted(drain(queue)) == ["a", "b"]


def test_a_delayed_key_can_come_sooner_by_an_add(
    queue: WorkQueue, clock: Clock
) -> None:
    """What it was to come back for is still looked at in its time."""
    queue.add_after("a", 5)
    queue.add("a")
    assert drain(queue) == ["a"]
    clock.seconds += 5
    assert drain(queue) == ["a"]


def test_a_key_due_while_worked_on_comes_after(queue: WorkQueue, clock: Clock) -> None:
    """Never to a second worker at the same time."""
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add_after("a", 1)
    clock.seconds += 1
    assert queue.get(0) is None
    queue.done("a")
    assert drain(queue) == ["a"]


def test_each_key_has_its_own_backoff(queue: WorkQueue, clock: Clock) -> None:
    """Longer each time, until it is forgotten."""
    assert [queue.retry("a") for _ in range(5)] == [1, 2, 4, 8, 8]
    assert queue.retry("b") == 1
    assert queue.retry("a", at_least=60) == 60
    queue.forget("a")
    queue.forget("never failed")
    assert queue.retry("a") == 1
    assert queue.retry("b") == 2
    clock.seconds += 1
    # The soonest of what was asked for; a key comes back once.
    assert sorted(drain(queue)) == ["a", "b"]


def test_a_throttled_key_stays_away(queue: WorkQueue, clock: Clock) -> None:
    """As long as the server asked for."""
    queue.retry("a", at_least=7)
    clock.seconds += 6.9
    assert drain(queue) == []
    clock.seconds += 0.1
    assert drain(queue) == ["a"]


def test_the_observer_hears_what_client_go_counts(
    queue: WorkQueue, clock: Clock, observed: Observed
) -> None:
    """One add for each time a key was queued, and both durations."""
    queue.add("a")
    queue.add("a")
    clock.seconds += 2
    assert queue.get(0) == "a"
    clock.seconds += 3
    queue.add("a")
    queue.retry("a")
    queue.done("a")
    clock.seconds += 1
    assert queue.get(0) == "a"

    assert observed.told == [
        ("added", "q"),
        ("started", "q", 2.0),
        ("retried", "q"),
        ("added", "q"),
        ("finished", "q", 3.0),
        ("started", "q", 1.0),
    ]


def test_an_urgent_add_of_a_queued_key_is_no_second_add(
    queue: WorkQueue, observed: Observed, clock: Clock
) -> None:
    """It was queued once, and has waited since then."""
    queue.add("a")
    clock.seconds += 2
    queue.add("a", urgent=True)
    queue.get(0)

    assert observed.told == [("added", "q"), ("started", "q", 2.0)]


def test_a_shut_down_queue_hands_out_nothing(queue: WorkQueue) -> None:
    """Whoever waits is let go at once; what was taken can still be given back."""
    queue.add("taken")
    assert queue.get(0) == "taken"
    queue.add("a")
    queue.shut_down()
    assert queue.get(0) is None
    queue.done("taken")
    assert queue.get(0) is None


def test_a_waiting_worker_is_let_go() -> None:
    """Well before its timeout."""
    queue = WorkQueue("q")
    found: list[str | None] = []
    waiting = threading.Thread(target=lambda: found.append(queue.get(30)))
    waiting.start()
    time.sleep(0.05)
    queue.shut_down()
    waiting.join(2)

    assert found == [None]


SLEPT: Final = 10.0
"""Seconds: whoever sleeps until the key called `far` needs twice as many."""


@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_a_waiting_worker_gets_what_comes(delay: float) -> None:
    """At once, or when it is due: a worker sleeps no longer than that."""
    queue = WorkQueue("q")
    queue.add_after("far", 20)
    found: list[tuple[str | None, float]] = []

    def work() -> None:
        found.append((queue.get(30), time.monotonic()))

    waiting = threading.Thread(target=work)
    waiting.start()
    time.sleep(0.05)
    added = time.monotonic()
    if delay:
        queue.add_after("a", delay)
    else:
        queue.add("a")
    waiting.join(10)
    ((key, at),) = found

    assert key == "a"
    assert delay <= at - added < SLEPT


def test_a_later_delay_waits_for_no_busy_worker() -> None:
    """Two wait for a far key, then sooner ones come: each worker takes one in time."""
    queue = WorkQueue("q")
    queue.add_after("far", 20)
    found: list[tuple[str | None, float]] = []

    def work() -> None:
        found.append((queue.get(30), time.monotonic()))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    time.sleep(0.05)
    added = time.monotonic()
    queue.add_after("a", 0.1)
    queue.add_after("b", 0.2)
    for worker in workers:
        worker.join(10)

    assert {key for key, _ in found} == {"a", "b"}  # whoever comes to note it first
    assert max(at for _, at in found) - added < SLEPT


def test_a_key_done_and_dirty_wakes_another_worker() -> None:
    """The one that waits, while the first does something else."""
    queue = WorkQueue("q")
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add("a")
    found: list[str | None] = []
    waiting = threading.Thread(target=lambda: found.append(queue.get(5)))
    waiting.start()
    time.sleep(0.05)
    queue.done("a")
    waiting.join(2)

    assert found == ["a"]


class Shop:
    """Workers of one queue, and people who ask for its keys."""

    def __init__(self) -> None:
        """Start with nothing asked for."""
        self.queue = WorkQueue("q")
        self.busy: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.seen: dict[str, int] = {}
        self.overlaps: list[str] = []
        self.stop = threading.Event()

    def work(self) -> None:
        """Work on keys until `stop`."""
        while not self.stop.is_set():
            key = self.queue.get(0.05)
            if key is None:
                continue
            self.busy[key] += 1
            if self.busy[key] > 1:
                self.overlaps.append(key)
            self.seen[key] = self.asked[key]
            time.sleep(0.0005)
            self.busy[key] -= 1
            self.queue.done(key)

    def ask(self, key: str) -> None:
        """Ask for a key 300 times, in every way."""
        chance = random.Random(key)  # noqa: S311 - to repeat
        for _ in range(300):
            self.asked[key] += 1
            if chance.random() < 0.2:
                self.queue.add_after(key, 0.001)
            else:
                self.queue.add(key, urgent=chance.random() < 0.3)
            time.sleep(0.0002)


def test_several_workers_never_work_on_one_key() -> None:
    """And each key is worked on after its last add."""
    shop = Shop()
    keys = [f"k{n}" for n in range(5)]
    workers = [threading.Thread(target=shop.work) for _ in range(4)]
    askers = [threading.Thread(target=shop.ask, args=(key,)) for key in keys]
    for thread in workers + askers:
        thread.start()
    for thread in askers:
        thread.join(10)
    until = time.monotonic() + 5
    while shop.seen != shop.asked and time.monotonic() < until:
        time.sleep(0.01)
    shop.stop.set()
    for thread in workers:
        thread.join(5)

    assert shop.overlaps == []
    assert shop.seen == dict.fromkeys(keys, 300)


def test_no_key_leaves_anything_behind(queue: WorkQueue, clock: Clock) -> None:
    """Namespaces come and go for years."""
    for n in range(100):
        key = f"n{n}"
        queue.add(key, urgent=n % 2 == 0)
        queue.add_after(key, 1)
        queue.retry(key)
    clock.seconds += 100
    for key in drain(queue):
        queue.forget(key)

    state = (queue._ready, queue._urgent, queue._delayed, queue._due)
    assert not any((*state, queue._started, queue._dirty, queue._backoffs))


def test_delays_that_others_replaced_cost_no_memory(
    queue: WorkQueue, clock: Clock
) -> None:
    """Looked at again in an hour, and each second because something changed."""
    for _ in range(1000):
        queue.add_after("a", 3600)
        queue.add_after("a", 1)
        clock.seconds += 1
        assert drain(queue) == ["a"]

    assert len(queue._delayed) < 100
    queue.add_after("a", 5)
    queue.add_after("b", 3)
    clock.seconds += 5
    assert drain(queue) == ["b", "a"]
