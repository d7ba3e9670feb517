"""A work queue as Kubernetes controllers use it: keys, each queued at most once.

A key that is added while it is being worked on is handed out again after `done`, never
to two workers at a time. Urgent keys overtake others, delayed keys wait their time, and
a key that failed comes back after its own exponential backoff with jitter.

The semantics and the metrics are those of client-go's `util/workqueue`.
"""

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from webhook.cluster.backoff import Backoff

_REPLACED: Final = 64
"""Delays without effect that are kept until they are due; more are taken out."""


class QueueObserver:
    """Receives what client-go's workqueue metrics count; by itself it ignores it."""

    def added(self, queue: str) -> None:
        """Count a key that was queued."""

    def retried(self, queue: str) -> None:
        """Count a key that comes back after a failure."""

    def started(self, queue: str, waited: float) -> None:
        """Observe the seconds that a key waited until a worker took it."""

    def finished(self, queue: str, worked: float) -> None:
        """Observe the seconds that a worker took for a key."""


_UNOBSERVED: Final = QueueObserver()


class WorkQueue:
    """Hands keys to workers; safe from every thread."""

    def __init__(
        self,
        name: str,
        observer: QueueObserver = _UNOBSERVED,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        """Create an empty queue.

        Args:
            name: the label of its metrics.
            observer: receives what is counted.
            monotonic: seconds that never go back.
            backoff: makes the backoff of one key.
        """
        self.name = name
        self._observer = observer
        self._monotonic = monotonic
        self._new_backoff = backoff
        self._ready: OrderedDict[str, float] = OrderedDict()
        self._urgent: OrderedDict[str, float] = OrderedDict()
        self._delayed: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._dirty: dict[str, bool] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        """Return the depth: keys that wait for a worker now."""
        with self._changed:
            return len(self._ready) + len(self._urgent)

    def add(self, key: str, *, urgent: bool = False) -> None:
        """Queue a key now; `urgent` lets it overtake those that are not."""
        with self._changed:
            self._add(key, urgent=urgent)

    def add_after(self, key: str, seconds: float) -> None:
        """Queue a key in some seconds, unless it is due sooner anyway."""
        with self._changed:
            self._add_at(key, self._monotonic() + seconds)

    def add_paced(self, key: str, pace: float) -> None:
        """Queue a key at the next multiple of `pace`: many then wake workers once."""
        with self._changed:
            self._add_at(key, (self._monotonic() // pace + 1) * pace)

    def retry(self, key: str, *, at_least: float = 0.0) -> float:
        """Queue a key that failed after its backoff; return the seconds until then."""
        with self._changed:
            backoff = self._backoffs.setdefault(key, self._new_backoff())
            pause = max(at_least, backoff.next())
        self._observer.retried(self.name)
        self.add_after(key, pause)
        return pause

    def forget(self, key: str) -> None:
        """Let the next failure of a key be its first."""
        with self._changed:
            self._backoffs.pop(key, None)

    def get(self, timeout: float) -> str | None:
        """Take the next key, which stays this worker's until `done`.

        Args:
            timeout: seconds to wait for one.

        Returns:
            The key, or None when there is none in time or the queue is shut down.
        """
        with self._changed:
            until = self._monotonic() + timeout
            while not self._closed:
                self._release_due()
                for keys in (self._urgent, self._ready):
                    if keys:
                        return self._start(*keys.popitem(last=False))
                now = self._monotonic()
                if now >= until:
                    return None
                first = self._delayed[0][0] if self._delayed else until
                self._changed.wait(max(0.001, min(first, until) - now))
            return None

    def done(self, key: str) -> None:
        """Give a key back; it is queued again if it was added meanwhile."""
        with self._changed:
            worked = self._monotonic() - self._started.pop(key)
            urgent = self._dirty.pop(key, None)
            if urgent is not None:
                self._add(key, urgent=urgent)
        self._observer.finished(self.name, worked)

    def shut_down(self) -> None:
        """Hand out nothing more; workers that wait get None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _add(self, key: str, *, urgent: bool) -> None:
        if key in self._started:
            self._dirty[key] = urgent or self._dirty.get(key, False)
            return
        if key in self._urgent:
            return
        if key in self._ready:
            if urgent:
                self._urgent[key] = self._ready.pop(key)
            return
        (self._urgent if urgent else self._ready)[key] = self._monotonic()
        self._observer.added(self.name)
        self._changed.notify()

    def _add_at(self, key: str, due: float) -> None:
        if due >= self._due.get(key, float("inf")):
            return
        self._due[key] = due
        first = self._delayed[0][0] if self._delayed else float("inf")
        heapq.heappush(self._delayed, (due, key))
        self._drop_replaced()
        if due < first:
            # All who wait wait for the first; a later one need wake nobody.
            self._changed.notify_all()

    def _release_due(self) -> None:
        while self._delayed and self._delayed[0][0] <= self._monotonic():
            due, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self._add(key, urgent=False)

    def _drop_replaced(self) -> None:
        """Keep delays that a sooner one replaced from piling up until they are due."""
        if len(self._delayed) > 2 * len(self._due) + _REPLACED:
            self._delayed = [(due, key) for key, due in self._due.items()]
            heapq.heapify(self._delayed)

    def _start(self, key: str, added: float) -> str:
        now = self._monotonic()
        self._started[key] = now
        self._observer.started(self.name, now - added)
        return key
