"""Keeps looked up the names that destinations have; the key is the host name.

Several names are looked up at a time, and a name that fails fails alone. The cache is
saved when a set of addresses changes, and now and then for the times; an idle cluster
costs no request.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from webhook.cluster.errors import ClusterError
from webhook.cluster.events import ObjectReference
from webhook.cluster.resources import CONFIG_MAP
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.controller import Context, Notice, Result
from webhook.companion.dns_store import DnsStore
from webhook.egress.addresses import Address
from webhook.egress.dns_cache import (
    CachedName,
    DnsAnswer,
    DnsLimits,
    DnsOutcome,
    addresses,
    findings,
    next_lookup,
    update,
)
from webhook.egress.reasons import EgressReason, Finding

CACHE: Final = ""
"""The key of the cache itself, which no host name is: it is to be saved."""
_PACE: Final = timedelta(seconds=5)
"""Between two saves, while a pool is still being learned."""
LookUp: TypeAlias = Callable[[str, datetime], DnsAnswer]
"""Asks the servers of now for a name; the answer bears the given time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsResult(Result):
    """What is known of a name.

    Attributes:
        addresses: how many are permitted.
        succeeded: when a lookup last gave one.
        findings: what is to be said of the name.
    """

    addresses: int = 0
    succeeded: datetime | None = None
    findings: tuple[Finding, ...] = ()


class DnsController:
    """The reconciler; what it knows of names is safe to read from every thread."""

    name = "dns"

    def __init__(
        self,
        context: Context,
        queue: WorkQueue,
        look_up: LookUp,
        store: DnsStore,
        *,
        limits: DnsLimits,
        jitter: Callable[[], float],
    ) -> None:
        """Prepare; nothing is loaded or asked yet.

        Args:
            context: what all controllers share.
            queue: of this controller.
            look_up: asks DNS.
            store: where the cache is loaded from once, and saved.
            limits: how long and how much is remembered.
            jitter: a number from -1 to 1 for each lookup, so that they spread.
        """
        self._context, self._queue = context, queue
        self._look_up, self._store = look_up, store
        self._limits, self._jitter = limits, jitter
        self._on_change: list[Callable[[str], None]] = []
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._loaded = False
        self._wanted: dict[str, frozenset[str]] = {}
        self._wanted_by: dict[str, set[str]] = {}
        self._unwanted: dict[str, datetime] = {}
        self._names: dict[str, CachedName] = {}
        self._addresses: dict[str, tuple[Address, ...]] = {}
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._due: dict[str, datetime] = {}
        self._saved: datetime | None = None
        self._changed = False
        self._lookups: Counter[DnsOutcome] = Counter()
        self.revision = 0
        """Grows before anybody is called back; equal revisions, equal addresses."""
        self.rotations = 0
        """Lookups that brought addresses nobody had seen, first ones apart."""

    @property
    def reference(self) -> ObjectReference:
        """Return the cache's ConfigMap, at which is noticed what concerns all."""
        return ObjectReference.to(CONFIG_MAP, self._store.key)

    def subscribe(self, on_change: Callable[[str], None]) -> None:
        """Call back with each namespace for whose names something changed."""
        self._on_change.append(on_change)

    def set_names(self, namespace: str, names: frozenset[str]) -> None:
        """Take over which names a namespace needs; those it no longer needs expire."""
        with self._lock:
            before = self._wanted.get(namespace, frozenset())
            if names == before:
                return
            self._wanted[namespace] = names
            if not names:
                del self._wanted[namespace]
            new = {name for name in names - before if name not in self._wanted_by}
            for name in names - before:
                self._wanted_by.setdefault(name, set()).add(namespace)
            left = {name for name in before - names if self._drop(name, namespace)}
        for name in new | left:
            self._queue.add(name)

    def is_resolved(self, names: Iterable[str]) -> bool:
        """Return whether each name was looked up, now or in an earlier life.

        Until then nothing may be written that could permit less than before.
        """
        with self._lock:
            known = (self._names.get(name) for name in names)
            return all(one is not None and one.last is not None for one in known)

    def addresses(self) -> Mapping[str, tuple[Address, ...]]:
        """Return the addresses to permit, by name; the caller's own copy."""
        with self._lock:
            return dict(self._addresses)

    def findings(self) -> Mapping[str, tuple[Finding, ...]]:
        """Return what is to be said of each name; the caller's own copy."""
        with self._lock:
            return dict(self._findings)

    def lookups(self) -> Mapping[DnsOutcome, int]:
        """Return answers by how they ended, one for each server asked."""
        with self._lock:
            return dict(self._lookups)

    def reconcile(self, key: str, now: datetime) -> DnsResult | None:
        """Look a name up when it is due, forget it when nobody needs it any more.

        Raises:
            ClusterError: the cache could not be loaded or saved.
        """
        self._load_once(now)
        if key == CACHE:
            self._save(now)
            return None
        with self._lock:
            due = self._due.get(key, now)
            is_wanted = key in self._wanted_by
        if not is_wanted:
            return self._expire(key, now)
        if due <= now:
            self._learn(key, self._look_up(key, now), now)
        return self._result(key, now)

    def failure(self, key: str, error: Exception) -> DnsResult:
        """Return the error; a lookup that raised counts as one that was not answered.

        So nobody waits for it: a namespace gets the rules of its other names.
        """
        if key == CACHE:
            reason = EgressReason.WRITE_REFUSED
            message = f"What names resolved to could not be saved: {error}."
            notice = Notice(about=self.reference, reason=reason, message=message)
            return DnsResult(reason=reason, error=error, notices=(notice,))
        if isinstance(error, ClusterError):
            return DnsResult(reason=EgressReason.UNRESOLVED, error=error)
        now = self._context.clock()
        self._learn(key, DnsAnswer(now, DnsOutcome.MALFORMED), now)
        with self._lock:
            self._due.pop(key)  # the queue's backoff says when
        return replace(self._result(key, now), requeue_after=None, error=error)

    def _result(self, name: str, now: datetime) -> DnsResult:
        with self._lock:
            known, found = self._names[name], self._findings[name]
            due = (self._due.get(name, now) - now).total_seconds()
            count = len(self._addresses[name])
        return DnsResult(
            reason=found[0].reason if found else EgressReason.EGRESS_READY,
            detail=str(known.last),
            requeue_after=due,
            addresses=count,
            succeeded=known.succeeded,
            findings=found,
        )

    def _learn(self, name: str, answer: DnsAnswer, now: datetime) -> None:
        """Take over an answer, and queue whom it concerns."""
        with self._lock:
            before = self._names.get(name, CachedName.empty())
            after = update(before, answer, self._limits)
            self._names[name] = after
            self._due[name] = now + next_lookup(after, self._limits, self._jitter())
            self._lookups.update(answer.servers)
            self.rotations += after.growth > before.growth
            is_news = self._publish(name, after) or before.last is None
            is_grown = after.seen.keys() != before.seen.keys()
            self._changed = self._changed or is_grown
            concerned = tuple(self._wanted_by.get(name, ())) if is_news else ()
        if is_grown:
            self._queue.add(CACHE)
        self._tell(concerned)

    def _publish(self, name: str, known: CachedName) -> bool:
        """Set what others read of a name; return whether it is something else."""
        given = addresses(known, self._limits)
        found = findings(name, known, self._limits)
        told = tuple(f.reason for f in self._findings.get(name, ()))
        if given == self._addresses.get(name) and told == tuple(
            f.reason for f in found
        ):
            return False
        self._addresses[name], self._findings[name] = given, found
        self.revision += 1
        return True

    def _expire(self, name: str, now: datetime) -> DnsResult | None:
        """Forget a name a grace period after it was last needed: pods still dial it."""
        with self._lock:
            since = self._unwanted.setdefault(name, now)
            left = (since + self._limits.grace - now).total_seconds()
            if left <= 0 or name not in self._names:
                self._forget(name)
                return None
        return replace(self._result(name, now), requeue_after=left)

    def _forget(self, name: str) -> None:
        self._changed |= self._names.pop(name, None) is not None
        self.revision += self._addresses.pop(name, None) is not None
        self._findings.pop(name, None)
        self._due.pop(name, None)
        del self._unwanted[name]

    def _drop(self, name: str, namespace: str) -> bool:
        """Note that a namespace needs a name no more; return whether nobody does."""
        wanted_by = self._wanted_by[name]
        wanted_by.discard(namespace)
        if wanted_by:
            return False
        del self._wanted_by[name]
        self._unwanted[name] = self._context.clock()
        return True

    def _load_once(self, now: datetime) -> None:
        with self._loading:
            if self._loaded:
                return
            loaded = self._store.load()
            with self._lock:
                self._names = loaded
                for name, known in loaded.items():
                    self._publish(name, known)
                    if name not in self._wanted_by:
                        self._unwanted[name] = now
                concerned = tuple(self._wanted)
                unwanted = tuple(self._unwanted)
                self._loaded = True
        for name in unwanted:
            self._queue.add(name)
        self._queue.add_after(CACHE, (self._limits.grace / 4).total_seconds())
        self._tell(concerned)

    def _save(self, now: datetime) -> None:
        """Save what changed, and the times once in a quarter of the grace period."""
        with self._lock:
            names, is_changed = dict(self._names), self._changed
            self._changed = False
        if not names:
            return
        wait = _PACE if is_changed else self._limits.grace / 4
        since = now - self._saved if self._saved else wait
        if since >= wait and self._context.is_leader():
            try:
                self._store.save(names)
            except ClusterError:
                self._changed = True
                raise
            self._saved, since = now, timedelta(0)
            wait = self._limits.grace / 4
        elif is_changed:
            self._changed = True
        self._queue.add_after(CACHE, max(wait - since, _PACE).total_seconds())

    def _tell(self, namespaces: Iterable[str]) -> None:
        for namespace in namespaces:
            for on_change in self._on_change:
                on_change(namespace)
