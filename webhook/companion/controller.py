"""A controller: takes keys from its work queue and reconciles one after the other.

An error belongs to its key: it becomes that key's `Result`, with a reason and a backoff
of its own, and every other key goes on. What was found and done is kept in `Results`,
which status, metrics and Events read, and nothing else.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeVar

from webhook.cluster.errors import ClusterError, Throttled
from webhook.cluster.events import EventRecorder, EventType, ObjectReference
from webhook.cluster.interface import KubeClient
from webhook.cluster.workqueue import WorkQueue
from webhook.injection.names import MANAGED_BY
from webhook.jsonlog import failure

SOON: Final = 0.5
"""Seconds after which a key is taken again that could not be written just now."""
_POLL: Final = 0.5
"""Seconds between two looks of an idle worker at whether it shall stop or may start."""


class Log(Protocol):
    """Where changes and failures are logged; never a value."""

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Write one JSON line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Dependencies shared by all reconcilers.

    Attributes:
        client: reads and writes objects.
        log: one line for each change made.
        recorder: writes Events.
        is_leader: asked before each write, since leadership may end at any time.
        clock: UTC now.
        release: whose objects these are; another release's are foreign.
        term: how often this replica has begun to lead; between two terms of its own,
            another one may have led.
    """

    client: KubeClient
    log: Log
    recorder: EventRecorder
    is_leader: Callable[[], bool]
    clock: Callable[[], datetime]
    release: str = MANAGED_BY
    term: Callable[[], int] = int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An Event that a result asks for."""

    about: ObjectReference
    reason: str
    message: str
    type: EventType = EventType.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one key; a controller's own results extend it.

    Attributes:
        reason: what is so now, as applied and seen.
        detail: the object, key or profile that the reason is about.
        requeue_after: seconds until it is looked at again though nothing changes.
        error: what kept it from being done; the key is then retried with backoff.
        notices: Events to write; each is written once an hour at most.
    """

    reason: StrEnum
    detail: str = ""
    requeue_after: float | None = None
    error: Exception | None = None
    notices: tuple[Notice, ...] = ()


class ReconcileObserver(Protocol):
    """Receives what controller-runtime's reconcile metrics count."""

    def reconciled(self, controller: str, *, failed: bool) -> None:
        """Count one reconcile."""


R = TypeVar("R", bound=Result)
R_co = TypeVar("R_co", bound=Result, covariant=True)


class Reconciler(Protocol[R_co]):
    """Brings one key in order: observes the caches, decides, applies."""

    @property
    def name(self) -> str:
        """Return the controller's name, for logs and metrics."""

    def reconcile(self, key: str, now: datetime) -> R_co | None:
        """Bring one key in order; idempotent, and safe to be killed anywhere.

        Returns:
            What is so now; None when there is nothing to say about the key any more.

        Raises:
            ClusterError: it could not be done; `failure` says what that means.
        """

    def failure(self, key: str, error: Exception) -> R_co:
        """Return the result of a key whose reconcile raised."""


class Results(Generic[R]):
    """The latest result of each key; safe from every thread."""

    def __init__(self) -> None:
        """Start without any."""
        self._lock = threading.Lock()
        self._results: dict[str, R] = {}
        self.version = 0
        """Grows with each change, so that readers can pass over what they have seen."""

    def get(self, key: str) -> R | None:
        """Return the latest result of a key."""
        with self._lock:
            return self._results.get(key)

    def items(self) -> Mapping[str, R]:
        """Return those of single keys; the caller's own copy.

        The empty key stands for what its controller's keys have in common.
        """
        with self._lock:
            return {key: one for key, one in self._results.items() if key}

    def put(self, key: str, result: R | None) -> None:
        """Keep a result; None forgets the key."""
        with self._lock:
            self.version += self._results.get(key) != result
            if result is None:
                self._results.pop(key, None)
            else:
                self._results[key] = result


@dataclass(slots=True, kw_only=True, eq=False)
class Controller(Generic[R]):
    """Runs one reconciler over one work queue.

    Attributes:
        reconciler: what brings a key in order.
        queue: the keys.
        context: what all controllers share.
        workers: how many keys are worked on at a time.
        results: the latest result of each key.
        observer: receives what is counted.
    """

    reconciler: Reconciler[R]
    queue: WorkQueue
    context: Context
    workers: int = 1
    results: Results[R] = field(default_factory=Results)
    observer: ReconcileObserver | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`; while another replica leads, the keys wait."""
        while not stop.is_set():
            if not self.context.is_leader():
                stop.wait(_POLL)
            else:
                self.step(_POLL)

    def step(self, timeout: float = 0.0) -> bool:
        """Reconcile the next key; return whether there was one."""
        key = self.queue.get(timeout)
        if key is None:
            return False
        try:
            self._finish(key, self._reconcile(key))
        finally:
            self.queue.done(key)
        return True

    def _reconcile(self, key: str) -> R | None:
        try:
            return self.reconciler.reconcile(key, self.context.clock())
        except ClusterError as error:
            return self.reconciler.failure(key, error)
        except Exception as error:  # noqa: BLE001 - an error of ours stays this key's
            self._log(key, error, failure(error))
            return self.reconciler.failure(key, error)

    def _finish(self, key: str, result: R | None) -> None:
        before = self.results.get(key)
        self.results.put(key, result)
        if self.observer is not None:
            failed = result is not None and result.error is not None
            self.observer.reconciled(self.reconciler.name, failed=failed)
        if result is None or result.error is None:
            self.queue.forget(key)
            if result is not None and result.requeue_after is not None:
                self.queue.add_after(key, result.requeue_after)
        else:
            self._failed(key, result.error, before)
        now = self.context.clock()
        for notice in result.notices if result else ():
            self.context.recorder.event(
                notice.about, notice.reason, notice.message, now=now, type_=notice.type
            )

    def _failed(self, key: str, error: Exception, before: R | None) -> None:
        wait = error.retry_after if isinstance(error, Throttled) else 0.0
        self.queue.retry(key, at_least=wait)
        known = before.error if before else None
        if type(known) is not type(error) and isinstance(error, ClusterError):
            self._log(key, error, {"problem": str(error)})

    def _log(self, key: str, error: Exception, more: dict[str, Any]) -> None:
        fields = {"controller": self.reconciler.name, "key": key}
        fields["error"] = type(error).__name__
        self.context.log.line("warning", "reconcile-failed", fields | more)
