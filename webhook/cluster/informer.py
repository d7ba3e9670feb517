"""Keeps projections of selected objects current: list, watch, list again, for ever.

A `Informer` keeps what it knows through every failure and says how old that is; it
never gives up. A watch that dies without a word is noticed, because the server was
asked to end it before.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from webhook.cluster import metadata
from webhook.cluster.backoff import Backoff
from webhook.cluster.errors import ClusterError, Gone, Throttled
from webhook.cluster.interface import (
    Json,
    KubeClient,
    ListOptions,
    ObjectKey,
    WatchEventType,
)

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
    """

    synced: bool
    failing: ClusterError | None
    silent_seconds: float
    unprojected: Mapping[ObjectKey, str]


@dataclass(frozen=True, slots=True)
class _Unprojected:
    """Stands for an object that could not be read; its error's text may quote it."""

    error: str


class Informer(Generic[T]):
    """A selection's objects as projections, kept current by `run` in a thread.

    No object ends it: where a projection raises, the last value stays, and `health`
    names the object.
    """

    def __init__(
        self,
        client: KubeClient,
        options: ListOptions,
        project: Callable[[Json], T],
        *,
        wake: Callable[[], None] = lambda: None,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        """Prepare; nothing is asked of the server yet.

        Args:
            client: the port.
            options: what to watch.
            project: keeps of an object what its reader needs, and no more.
            wake: called after every change, in the informer's thread; must not block.
            watch_seconds: a watch's life, which bounds how long silence goes unnoticed.
        """
        self.options = options
        self._client = client
        self._project = project
        self._wake = wake
        self._watch_seconds = watch_seconds
        self._lock = threading.Lock()
        self._items: dict[ObjectKey, tuple[int, T]] = {}
        self._by_namespace: dict[str, set[ObjectKey]] = {}
        self._deleted: dict[ObjectKey, int] = {}
        self._updated: set[ObjectKey] = set()
        self._unprojected: dict[ObjectKey, str] = {}
        self._on_change: list[OnChange] = []
        self._on_health: list[Callable[[], None]] = []
        self._version: str | None = None
        self._synced = False
        self._relist_at = 0.0
        self._failing: ClusterError | None = None
        self._heard = time.monotonic()
        self._backoff = Backoff()

    def subscribe(
        self, on_change: OnChange, on_health: Callable[[], None] | None = None
    ) -> None:
        """Call back, in the informer's thread, after each change; must not block.

        Args:
            on_change: gets the key of each object whose projection changed, or that
                can no longer be read, or can again.
            on_health: called when it has synced, begins to fail or recovers.
        """
        self._on_change.append(on_change)
        if on_health is not None:
            self._on_health.append(on_health)

    def items(self, namespace: str | None = None) -> dict[ObjectKey, T]:
        """Return what is known now, of one namespace or of all; the caller's copy."""
        with self._lock:
            if namespace is None:
                return {key: item for key, (_, item) in self._items.items()}
            keys = self._by_namespace.get(namespace, ())
            return {key: self._items[key][1] for key in keys}

    def get(self, key: ObjectKey) -> T | None:
        """Return one projection, or None."""
        with self._lock:
            found = self._items.get(key)
        return None if found is None else found[1]

    @property
    def health(self) -> InformerHealth:
        """Return how it stands; for readiness, status and metrics."""
        with self._lock:
            unprojected = dict(self._unprojected)
        return InformerHealth(
            synced=self._synced,
            failing=self._failing,
            silent_seconds=time.monotonic() - self._heard,
            unprojected=unprojected,
        )

    def update(self, body: Json) -> None:
        """Take over what a write of ours answered, before the watch tells the same."""
        self._updated.add(metadata.key(body))
        self._put(body)

    def forget(self, key: ObjectKey) -> None:
        """Drop an object that a delete of ours removed."""
        with self._lock:
            known = self._items.get(key)
            if known is not None:
                self._deleted[key] = known[0]
            self._remove(key)
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
        except Gone:
            self._version = None
            return self._backoff.next()
        except ClusterError as error:
            return self._failed(error)
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
        self._updated.clear()
        listing = self._client.list(self.options, self._projected)
        upto = int(listing.version) if listing.version.isdecimal() else 0
        with self._lock:
            before, unreadable = self._items, self._unprojected
            self._items, self._by_namespace, self._unprojected = {}, {}, {}
            for key, (revision, item) in listing.items.items():
                self._store(key, revision, item, before.get(key))
            # What was written while the list was under way is newer than the list;
            # anything else that the list does not have is gone, even after a restore.
            for key in self._updated & before.keys():
                if before[key][0] > upto > 0:
                    self._store(key, *before[key], None)
            self._deleted.clear()
            changed = [
                key
                for key in before.keys() | self._items.keys()
                if _item(before, key) != _item(self._items, key)
            ]
            changed += unreadable.keys() ^ self._unprojected.keys()
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
                self._drop(event.body)
        self._alive()

    def _alive(self) -> None:
        self._heard = time.monotonic()
        if self._failing is not None:
            self._failing = None
            self._health_changed()

    def _projected(self, body: Json) -> T | _Unprojected:
        try:
            return self._project(body)
        except Exception as error:  # noqa: BLE001 - no foreign object ends a watch
            return _Unprojected(type(error).__name__)

    def _put(self, body: Json) -> None:
        key, revision = metadata.key(body), metadata.revision(body)
        item = self._projected(body)
        with self._lock:
            known = self._items.get(key)
            # The answer to our own write may be newer than what the watch tells now,
            # and the watch may have told its deletion before the answer came.
            newest = known[0] if known else self._deleted.get(key, 0)
            if revision and revision < newest:
                return
            if known is None and revision and revision <= newest:
                return
            self._deleted.pop(key, None)
            readable = key not in self._unprojected
            self._store(key, revision, item, known)
            changed = _item(self._items, key) != (known[1] if known else None)
            changed |= readable != (key not in self._unprojected)
        if changed:
            self._changed([key])

    def _drop(self, body: Json) -> None:
        key, revision = metadata.key(body), metadata.revision(body)
        with self._lock:
            known = self._items.get(key)
            if known is not None and revision and revision < known[0]:
                return
            self._deleted[key] = revision
            self._remove(key)
        self._changed([key])

    def _store(
        self,
        key: ObjectKey,
        revision: int,
        item: T | _Unprojected,
        known: tuple[int, T] | None,
    ) -> None:
        """Keep an item; of one that could not be read, keep the value before it."""
        if isinstance(item, _Unprojected):
            self._unprojected[key] = item.error
            if known is None:
                return
            item = known[1]
        else:
            self._unprojected.pop(key, None)
        self._items[key] = revision, item
        self._by_namespace.setdefault(key.namespace, set()).add(key)

    def _remove(self, key: ObjectKey) -> None:
        self._items.pop(key, None)
        self._unprojected.pop(key, None)
        keys = self._by_namespace.get(key.namespace, set())
        keys.discard(key)
        if not keys:
            self._by_namespace.pop(key.namespace, None)

    def _changed(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            for on_change in self._on_change:
                on_change(key)
        self._wake()

    def _health_changed(self) -> None:
        for on_health in self._on_health:
            on_health()
        self._wake()


def _item(items: Mapping[ObjectKey, tuple[int, T]], key: ObjectKey) -> T | None:
    found = items.get(key)
    return None if found is None else found[1]
