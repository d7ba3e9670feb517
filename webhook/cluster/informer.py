"""Keeps projections of selected objects current: list, watch, list again, for ever.

A `Informer` keeps what it knows through every failure and says how old that is; it
never gives up. A watch that dies without a word is noticed, because the server was
asked to end it before.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

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

WATCH_SECONDS: Final = 40.0
"""A watch's life. Each end costs one request; silence is noticed 5 s after it."""
_RELIST_SECONDS: Final = 1800.0
"""A whole new list now and then heals what no watch told."""
_HASTY: Final = 1.0
"""A watch that ends sooner than this many seconds counts as a failure."""
_PATIENCE: Final = 3
"""After so many failed watches the version itself is suspect: list again."""


@dataclass(frozen=True, slots=True)
class InformerHealth:
    """How a follower stands.

    Attributes:
        synced: it has listed at least once.
        failing: the error of the last attempt, or None.
        silent: seconds since the server last said anything.
    """

    synced: bool
    failing: ClusterError | None
    silent: float


class Informer(Generic[T]):
    """A selection's objects as projections, kept current by `run` in a thread."""

    def __init__(
        self,
        resources: KubeClient,
        selection: ListOptions,
        project: Callable[[Json], T],
        *,
        wake: Callable[[], None],
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        """Prepares; nothing is asked of the server yet.

        Args:
            resources: the port.
            selection: what to follow.
            project: keeps of an object what its reader needs, and no more.
            wake: called after every change, in the follower's thread; must not block.
            watch_seconds: a watch's life, which bounds how long silence goes unnoticed.
        """
        self.selection = selection
        self._resources = resources
        self._project = project
        self._wake = wake
        self._watch_seconds = watch_seconds
        self._lock = threading.Lock()
        self._items: dict[ObjectKey, tuple[int, T]] = {}
        self._version: str | None = None
        self._listed = False
        self._relist_at = 0.0
        self._failing: ClusterError | None = None
        self._heard = time.monotonic()
        self._backoff = Backoff()

    def items(self) -> dict[ObjectKey, T]:
        """What is known now; the caller's own copy."""
        with self._lock:
            return {key: item for key, (_, item) in self._items.items()}

    def get(self, key: ObjectKey) -> T | None:
        """One projection, or None."""
        with self._lock:
            found = self._items.get(key)
        return None if found is None else found[1]

    @property
    def health(self) -> InformerHealth:
        """How it stands; for readiness, status and metrics."""
        silent = time.monotonic() - self._heard
        return InformerHealth(self._listed, self._failing, silent)

    def update(self, body: Json) -> None:
        """Takes over what a write of ours answered, before the watch tells the same."""
        self._put(body)

    def forget(self, key: ObjectKey) -> None:
        """A delete of ours succeeded."""
        with self._lock:
            self._items.pop(key, None)

    def refresh(self) -> None:
        """Lists once, without watching; a failure shows in `standing`."""
        try:
            self._list()
        except ClusterError as error:
            self._failing = error

    def run(self, stop: threading.Event) -> None:
        """Follows until `stop` is set; every failure is only a pause."""
        while not stop.wait(self.step()):
            pass

    def step(self) -> float:
        """Lists if need be, then watches until the stream ends.

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
            self._wake()
        pause = self._backoff.next()
        if self._backoff.failures >= _PATIENCE:
            self._version = None
        return max(pause, error.retry_after) if isinstance(error, Throttled) else pause

    def _list(self) -> None:
        listing = self._resources.list(self.selection, self._project)
        upto = int(listing.version) if listing.version.isdecimal() else 0
        with self._lock:
            # What we wrote while the list was under way is newer than the list.
            newer = {k: item for k, item in self._items.items() if item[0] > upto > 0}
            self._items = listing.items | newer
        self._version = listing.version
        jitter = random.uniform(0.8, 1.2)  # noqa: S311 - spreads requests in time
        self._relist_at = time.monotonic() + _RELIST_SECONDS * jitter
        self._listed = True
        self._alive()
        self._wake()

    def _watch(self) -> None:
        version = self._version or ""
        stream = self._resources.watch(
            self.selection, version, seconds=self._watch_seconds
        )
        self._alive()
        for change in stream:
            self._alive()
            self._backoff.reset()
            self._version = metadata.resource_version(change.body) or self._version
            if change.type is WatchEventType.UPSERT:
                self._put(change.body)
            elif change.type is WatchEventType.DELETED:
                self._drop(change.body)
            if change.type is not WatchEventType.BOOKMARK:
                self._wake()
        self._alive()

    def _alive(self) -> None:
        self._heard = time.monotonic()
        if self._failing is not None:
            self._failing = None
            self._wake()

    def _put(self, body: Json) -> None:
        key, order = metadata.key(body), metadata.revision(body)
        item = self._project(body)
        with self._lock:
            known = self._items.get(key)
            # The answer to our own write may be newer than what the watch tells now.
            if known is None or not order or order >= known[0]:
                self._items[key] = order, item

    def _drop(self, body: Json) -> None:
        key, order = metadata.key(body), metadata.revision(body)
        with self._lock:
            known = self._items.get(key)
            if known is not None and (not order or order >= known[0]):
                del self._items[key]
