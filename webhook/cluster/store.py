"""The objects that an informer knows, by key and by namespace; safe from every thread.

What a list says replaces everything. Between lists the newest revision wins, and a
deletion is remembered for a while: the answer to a write of ours may come before the
watch tells of it, and after the watch has told that the object is gone.

What a namespace's objects may take up is bounded: see `quota`.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from webhook.cluster import metadata
from webhook.cluster.interface import ObjectKey, ObjectList
from webhook.cluster.quota import NamespaceUsage

T = TypeVar("T")

_TOMBSTONES: Final = 4096
"""Deletions remembered: answers come within seconds, and every list makes older ones
superfluous."""
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Unprojected:
    """Stands for an object that could not be read; its error's text may quote it."""

    error: str


FULL: Final = Unprojected("NamespaceFull")
"""Stands for an object that finds no room beside the others of its namespace."""

_Items: TypeAlias = dict[ObjectKey, tuple[int, T]]


class ObjectStore(Generic[T]):
    """Projections with their revisions; of an unreadable object, the last good one.

    Methods that change something return whether a reader can see it: the projection is
    another one, or the object cannot be read any more, or can again.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._items: _Items[T] = {}
        self._by_namespace: dict[str, set[ObjectKey]] | None = None
        """Made when it is first asked for: of most kinds, nobody asks."""
        self._unprojected: dict[ObjectKey, str] = {}
        self._usage = NamespaceUsage()
        self._deleted: OrderedDict[ObjectKey, int] = OrderedDict()
        self._written: set[ObjectKey] = set()
        self._listed = 0

    def items(self, namespace: str | None = None) -> dict[ObjectKey, T]:
        """Return what is known, of one namespace or of all; the caller's copy."""
        with self._lock:
            if namespace is None:
                return {key: item for key, (_, item) in self._items.items()}
            if self._by_namespace is None:
                self._by_namespace = {}
                for key in self._items:
                    self._index(key)
            keys = self._by_namespace.get(namespace, ())
            return {key: self._items[key][1] for key in keys}

    def get(self, key: ObjectKey) -> T | None:
        """Return one projection, or None."""
        with self._lock:
            found = self._items.get(key)
        return None if found is None else found[1]

    def has(self, key: ObjectKey, revision: int, *, written: bool = False) -> bool:
        """Return whether it is this very state that is kept; `written` as in `put`."""
        with self._lock:
            if written:
                self._written.add(key)
            found = self._items.get(key)
            return found is not None and 0 < revision == found[0]

    def unprojected(self, namespace: str | None = None) -> dict[ObjectKey, str]:
        """Return the objects that could not be read, each with the kind of error."""
        with self._lock:
            return {
                key: error
                for key, error in self._unprojected.items()
                if namespace in (None, key.namespace)
            }

    def problem(self, key: ObjectKey) -> str | None:
        """Return why an object could not be read; None where it could, or is not."""
        with self._lock:
            return self._unprojected.get(key)

    def put(
        self,
        key: ObjectKey,
        revision: int,
        item: T | Unprojected,
        *,
        written: bool = False,
    ) -> bool:
        """Keep an object unless something newer is known; `written` by ourselves."""
        with self._lock:
            if written:
                self._written.add(key)
            if self._is_stale(key, revision):
                return False
            before = _state(self._items, self._unprojected, key)
            self._deleted.pop(key, None)
            self._uncount(key)
            self._keep(key, revision, item, self._items.get(key))
            return _state(self._items, self._unprojected, key) != before

    def remove(self, key: ObjectKey, revision: int | None = None) -> bool:
        """Drop an object that is gone as of a revision; None: as of what is known."""
        with self._lock:
            known = self._items.pop(key, None)
            if known is not None and revision and revision < known[0]:
                self._items[key] = known
                return False
            upto = revision if revision is not None else known[0] if known else 0
            self._deleted[key] = upto
            self._deleted.move_to_end(key)
            if len(self._deleted) > _TOMBSTONES:
                self._deleted.popitem(last=False)
            unread = self._unprojected.pop(key, None)
            if known is not None:
                self._usage.drop(key.namespace, known[1])
            self._forget(key)
            return known is not None or unread is not None

    def begin_list(self) -> None:
        """Begin to note which objects are written while a list is under way."""
        with self._lock:
            self._written.clear()

    def replace(self, listing: ObjectList[T | Unprojected]) -> list[ObjectKey]:
        """Take over a list; return the keys of whatever it changed."""
        upto = metadata.parse_revision(listing.version)
        with self._lock:
            before, unread = self._items, self._unprojected
            self._items, self._by_namespace, self._unprojected = {}, None, {}
            self._usage = NamespaceUsage()
            for key, (revision, item) in listing.items.items():
                self._keep(key, revision, item, before.get(key))
            # What was written while the list was under way is newer than the list;
            # anything else that the list does not have is gone, even after a restore.
            for key in self._written & before.keys():
                if before[key][0] > upto > 0:
                    self._uncount(key)
                    self._keep(key, *before[key], None)
            self._deleted.clear()
            self._listed = upto
            known = {*before, *unread, *self._items, *self._unprojected}
            return [
                key
                for key in known
                if _state(before, unread, key)
                != _state(self._items, self._unprojected, key)
            ]

    def _is_stale(self, key: ObjectKey, revision: int) -> bool:
        known = self._items.get(key)
        if known is not None:
            return 0 < revision < known[0]
        return 0 < revision <= max(self._listed, self._deleted.get(key, 0))

    def _keep(
        self,
        key: ObjectKey,
        revision: int,
        item: T | Unprojected,
        known: tuple[int, T] | None,
    ) -> None:
        """Keep an object, of one that cannot be read the last good: as far as it fits.

        What was known does not count as used here.
        """
        if not isinstance(item, Unprojected):
            if self._usage.takes(key.namespace, item):
                self._unprojected.pop(key, None)
                self._items[key] = revision, item
                self._index(key)
                return
            item = FULL
        self._unprojected[key] = item.error
        fits = known is not None and self._usage.takes(key.namespace, known[1])
        if known is not None and fits:
            self._items[key] = revision, known[1]
            self._index(key)
        else:
            self._items.pop(key, None)
            self._forget(key)

    def _uncount(self, key: ObjectKey) -> None:
        known = self._items.get(key)
        if known is not None:
            self._usage.drop(key.namespace, known[1])

    def _index(self, key: ObjectKey) -> None:
        if self._by_namespace is not None:
            self._by_namespace.setdefault(key.namespace, set()).add(key)

    def _forget(self, key: ObjectKey) -> None:
        """Drop a key that has no projection any more from its namespace."""
        if self._by_namespace is None:
            return
        keys = self._by_namespace.get(key.namespace, set())
        keys.discard(key)
        if not keys:
            self._by_namespace.pop(key.namespace, None)


def _state(
    items: Mapping[ObjectKey, tuple[int, T]],
    unprojected: Mapping[ObjectKey, str],
    key: ObjectKey,
) -> tuple[object, bool]:
    """Return what a reader can see of an object."""
    found = items.get(key)
    return _ABSENT if found is None else found[1], key in unprojected
