"""Informers: projections of selected objects, kept current by lists and watches.

An `Informer` keeps its store through every failure, says how old it is, and never gives
up. A watch that dies silently is noticed: the server was asked to end it before.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeAlias, TypeVar

from webhook.cluster import metadata
from webhook.cluster.backoff import Backoff
from webhook.cluster.errors import ClusterError, Gone, Throttled, Unavailable
from webhook.cluster.interface import (
    Json,
    KubeClient,
    ListOptions,
    ObjectKey,
    WatchEventType,
)
from webhook.cluster.quota import NamespaceUsage
from webhook.cluster.store import FULL, ObjectStore, Unprojected

T = TypeVar("T")
OnChange: TypeAlias = Callable[[ObjectKey], None]

WATCH_SECONDS: Final = 40.0
"""A watch's life. Each end costs one request; silence is noticed 5 s after it."""
_RELIST_SECONDS: Final = 1800.0
"""A whole new list now and then heals what no watch told."""
_HASTY: Final = 1.0
"""A watch that ends sooner than this many seconds counts as a failure."""
_PATIENCE: Final = 3
"""After so many failed watches the version itself is suspect: list again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InformerHealth:
    """How an informer stands.

    Attributes:
        synced: it has listed at least once.
        failing: the error of the last attempt, or None.
        silent_seconds: seconds since the server last said anything.
        unprojected: objects that could not be read, each with the kind of error.
        handler_errors: how often a subscriber raised.
    """

    synced: bool
    failing: ClusterError | None
    silent_seconds: float
    unprojected: Mapping[ObjectKey, str]
    handler_errors: int


class Informer(Generic[T]):
    """A selection's objects as projections, kept current by `run` in a thread.

    Neither an object nor a subscriber ends it: where a projection raises, the last
    value stays, and `health` names the object; where a subscriber raises, `health`
    counts it, and all others are called.
    """

    def __init__(
        self,
        client: KubeClient,
        options: ListOptions,
        project: Callable[[Json], T],
        *,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        """Prepare; nothing is asked of the server yet.

        Args:
            client: lists and watches.
            options: what to watch.
            project: keeps of an object what its reader needs, and no more.
            watch_seconds: a watch's life, which bounds how long silence goes unnoticed.
        """
        self.options = options
        self._client = client
        self._project = project
        self._watch_seconds = watch_seconds
        self._store = ObjectStore[T]()
        self._on_change: list[OnChange] = []
        self._on_health: list[Callable[[], None]] = []
        self._version: str | None = None
        self._synced = False
        self._relist_at = 0.0
        self._failing: ClusterError | None = None
        self._handler_errors = 0
        self._heard = time.monotonic()
        self._backoff = Backoff()

    def subscribe(
        self, on_change: OnChange, on_health: Callable[[], None] | None = None
    ) -> None:
        """Call back, in the informer's thread, after each change; must not block.

        Args:
            on_change: gets the key of each object whose projection changed, or that
                cannot be read any more, or can again.
            on_health: called when it has synced, begins to fail or recovers.
        """
        self._on_change.append(on_change)
        if on_health is not None:
            self._on_health.append(on_health)

    def items(self, namespace: str | None = None) -> dict[ObjectKey, T]:
        """Return what is known now, of one namespace or of all; the caller's copy."""
        return self._store.items(namespace)

    def get(self, key: ObjectKey) -> T | None:
        """Return one projection, or None."""
        return self._store.get(key)

    def unprojected(self, namespace: str) -> dict[ObjectKey, str]:
        """Return a namespace's unreadable objects, each with the kind of error."""
        return self._store.unprojected(namespace)

    @property
    def health(self) -> InformerHealth:
        """Return how it stands; for readiness, status and metrics."""
        return InformerHealth(
            synced=self._synced,
            failing=self._failing,
            silent_seconds=time.monotonic() - self._heard,
            unprojected=self._store.unprojected(),
            handler_errors=self._handler_errors,
        )

    def update(self, body: Json) -> None:
        """Take over what a write of ours answered, before the watch tells the same."""
        self._put(body, written=True)

    def forget(self, key: ObjectKey) -> None:
        """Drop an object that a delete of ours removed."""
        if self._store.remove(key):
            self._changed([key])

    def refresh(self) -> None:
        """List once, without watching; a failure shows in `health`."""
        try:
            self._list()
        except ClusterError as error:
            self._failed(error)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set; every failure is only a pause."""
        while not stop.wait(self.step()):
            pass

    def step(self) -> float:
        """List if need be, then watch until the stream ends.

        Returns:
            Seconds to wait before the next step.
        """
        started = time.monotonic()
        try:
            if self._version is None or started > self._relist_at:
                self._list()
            self._watch()
        except Gone as error:
            known, self._version = self._version, None
            if known is not None:
                return self._backoff.next()
            # A list: its first page was too old before its last one came.
            return self._failed(Unavailable(str(error)))
        except ClusterError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - no foreign object ends a watch
            # Its text might quote the object.
            return self._failed(Unavailable(f"{self.options}: {type(error).__name__}"))
        if time.monotonic() - started < min(_HASTY, self._watch_seconds / 2):
            return self._backoff.next()
        self._backoff.reset()
        return 0.0

    def _failed(self, error: ClusterError) -> float:
        changed = type(error) is not type(self._failing)
        self._failing = error
        if changed:
            self._health_changed()
        pause = self._backoff.next()
        if self._backoff.failures >= _PATIENCE:
            self._version = None
        return max(pause, error.retry_after) if isinstance(error, Throttled) else pause

    def _list(self) -> None:
        self._store.begin_list()
        usage = NamespaceUsage()

        def fitting(body: Json) -> T | Unprojected:
            # Before the store sees any of it: a list is whole only at its end.
            found = self._projected(body)
            fits = usage.takes(metadata.key(body).namespace, found)
            return found if fits else FULL

        listing = self._client.list(self.options, fitting)
        changed = self._store.replace(listing)
        self._version = listing.version
        jitter = random.uniform(0.8, 1.2)  # noqa: S311 - spreads requests in time
        self._relist_at = time.monotonic() + _RELIST_SECONDS * jitter
        first, self._synced = not self._synced, True
        self._alive()
        self._changed(changed)
        if first:
            self._health_changed()

    def _watch(self) -> None:
        version = self._version or ""
        stream = self._client.watch(self.options, version, seconds=self._watch_seconds)
        self._alive()
        for event in stream:
            self._alive()
            self._backoff.reset()
            self._version = metadata.resource_version(event.body) or self._version
            if event.type is WatchEventType.UPSERT:
                self._put(event.body)
            elif event.type is WatchEventType.DELETED:
                key = metadata.key(event.body)
                if self._store.remove(key, metadata.revision(event.body)):
                    self._changed([key])
        self._alive()

    def _alive(self) -> None:
        self._heard = time.monotonic()
        if self._failing is not None:
            self._failing = None
            self._health_changed()

    def _projected(self, body: Json) -> T | Unprojected:
        key = metadata.key(body)
        if not key.name or self.options.kind.namespaced is not bool(key.namespace):
            return Unprojected("Nameless")  # it would pass for what is common to all
        try:
            return self._project(body)
        except Exception as error:  # noqa: BLE001 - no foreign object ends a watch
            return Unprojected(type(error).__name__)

    def _put(self, body: Json, *, written: bool = False) -> None:
        key, revision = metadata.key(body), metadata.revision(body)
        if self._store.has(key, revision, written=written):
            return  # a write's answer and the watch tell the same
        if self._store.put(key, revision, self._projected(body), written=written):
            self._changed([key])

    def _changed(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            for on_change in self._on_change:
                self._call(partial(on_change, key))

    def _health_changed(self) -> None:
        for on_health in self._on_health:
            self._call(on_health)

    def _call(self, handler: Callable[[], object]) -> None:
        try:
            handler()
        except Exception:  # noqa: BLE001 - its error is no reason to stop watching
            self._handler_errors += 1
