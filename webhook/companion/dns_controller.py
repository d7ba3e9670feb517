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

from webhook.cluster.errors import ClusterError, NotFound, Rejected
from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import CONFIG_MAP
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.controller import Context, Notice, Result
from webhook.companion.pauses import Pauses
from webhook.egress.addresses import Address
from webhook.egress.destinations import Destination, dump_former
from webhook.egress.dns_cache import (
    CachedName,
    DnsAnswer,
    DnsLimits,
    DnsOutcome,
    addresses,
    dump_cache,
    findings,
    load_cache,
    merged,
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
        cache: ObjectKey,
        *,
        limits: DnsLimits,
        jitter: Callable[[], float],
    ) -> None:
        """Prepare; nothing is loaded or asked yet.

        Args:
            context: what all controllers share.
            queue: of this controller.
            look_up: asks DNS.
            cache: the ConfigMap that all is saved to and loaded from, so that neither a
                restart nor another leader forgets anything.
            limits: how long and how much is remembered.
            jitter: a number from -1 to 1 for each lookup, so that they spread.
        """
        self._context, self._queue = context, queue
        self._look_up, self._cache = look_up, cache
        self._limits, self._jitter = limits, jitter
        self._on_change: list[Callable[[str], None]] = []
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: int | None = None
        self._wanted: dict[str, frozenset[str]] = {}
        self._names: dict[str, CachedName] = {}
        self._former: dict[str, tuple[Destination, ...]] = {}
        self._pauses, self._expiring = Pauses(), Pauses()
        self._lookups: Counter[DnsOutcome] = Counter()
        self.revision = 0
        """Grows before anybody is called back; equal revisions, equal addresses."""
        self.rotations = 0
        """Lookups that brought addresses nobody had seen, first ones apart."""

    @property
    def reference(self) -> ObjectReference:
        """Return the cache's ConfigMap, at which is noticed what concerns all."""
        return ObjectReference.to(CONFIG_MAP, self._cache)

    def subscribe(self, on_change: Callable[[str], None]) -> None:
        """Call back with each namespace for whose names something changed."""
        self._on_change.append(on_change)

    def set_names(self, namespace: str, names: frozenset[str]) -> None:
        """Take over which names a namespace needs; those it no longer needs expire."""
        with self._lock:
            before = self._wanted.pop(namespace, frozenset())
            alone = [name for name in names ^ before if not self._needing(name)]
            if names:
                self._wanted[namespace] = names
            for name in alone:
                self._expiring.forget(name)
        for name in alone:
            self._queue.add(name)

    def set_former(self, profile: str, servers: tuple[Destination, ...]) -> None:
        """Take over which servers a profile's keys named until lately.

        They are saved beside the names, for whoever plans what the companion plans.
        """
        with self._lock:
            if self._former.get(profile, ()) == servers:
                return
            self._former[profile] = servers
            pause = self._until_save(self._context.clock())
        self._queue.add_after(CACHE, pause)

    def is_resolved(self, names: Iterable[str]) -> bool:
        """Return whether each name was looked up, now or in an earlier life.

        Until then nothing may be written that could permit less than before.
        """
        with self._lock:
            known = (self._names.get(name) for name in names)
            return all(one is not None and one.last is not None for one in known)

    def addresses(self) -> Mapping[str, tuple[Address, ...]]:
        """Return the addresses to permit, by name."""
        with self._lock:
            known = dict(self._names)
        return {name: addresses(one, self._limits) for name, one in known.items()}

    def findings(self) -> Mapping[str, tuple[Finding, ...]]:
        """Return what is to be said of each name."""
        with self._lock:
            known = dict(self._names)
        return {name: findings(name, one, self._limits) for name, one in known.items()}

    def lookups(self) -> Mapping[DnsOutcome, int]:
        """Return answers by how they ended, one for each server asked."""
        with self._lock:
            return dict(self._lookups)

    def reconcile(self, key: str, now: datetime) -> DnsResult | None:
        """Look a name up when it is due, or forget it when nobody needs it any more.

        Raises:
            ClusterError: the cache could not be loaded or saved.
        """
        self._load_once()
        if key == CACHE:
            self._save(now)
            return None
        with self._lock:
            is_wanted = bool(self._needing(key))
            if is_wanted:
                self._expiring.forget(key)
        if not is_wanted:
            return self._expire(key, now)
        if wait := self._pauses.left(key, now):
            return self._result(key, self._names[key], wait)
        return self._learn(key, self._look_up(key, now), now)

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
        learned = self._learn(key, DnsAnswer(now, DnsOutcome.MALFORMED), now)
        self._pauses.forget(key)  # the queue's backoff says when
        return replace(learned, requeue_after=None, error=error)

    def _result(self, name: str, known: CachedName, wait: timedelta) -> DnsResult:
        found = findings(name, known, self._limits)
        return DnsResult(
            reason=found[0].reason if found else EgressReason.EGRESS_READY,
            detail=str(known.last),
            requeue_after=wait.total_seconds(),
            addresses=len(addresses(known, self._limits)),
            succeeded=known.succeeded,
            findings=found,
        )

    def _learn(self, name: str, answer: DnsAnswer, now: datetime) -> DnsResult:
        """Take over an answer, and queue whom it concerns."""
        with self._lock:
            before = self._names.get(name, CachedName.empty())
            self._names[name] = after = update(before, answer, self._limits)
            self._lookups.update(answer.servers)
            self.rotations += after.growth > before.growth
            is_news = self._given(name, before) != self._given(name, after)
            self.revision += is_news
            is_told = is_news or before.last is None
            concerned = self._needing(name) if is_told else ()
            pause = self._until_save(now)
        if after.seen.keys() != before.seen.keys():
            self._queue.add_after(CACHE, pause)
        self._tell(concerned)
        wait = next_lookup(after, self._limits, self._jitter())
        self._pauses.begin(name, now, wait)
        return self._result(name, after, wait)

    def _given(self, name: str, known: CachedName) -> tuple[object, ...]:
        """Return what of a name concerns namespaces; counts and times do not."""
        reasons = [one.reason for one in findings(name, known, self._limits)]
        return addresses(known, self._limits), reasons

    def _needing(self, name: str) -> tuple[str, ...]:
        """Return the namespaces that need a name."""
        return tuple(key for key, names in self._wanted.items() if name in names)

    def _expire(self, name: str, now: datetime) -> DnsResult | None:
        """Forget a name a grace period after it was last needed: pods still dial it."""
        with self._lock:
            known = self._names.get(name)
            if name not in self._expiring:
                self._expiring.begin(name, now, self._limits.grace)
            left = self._expiring.left(name, now)
            if known is None or not left:
                self.revision += self._names.pop(name, None) is not None
                self._pauses.forget(name)
                self._expiring.forget(name)
                return None
        return self._result(name, known, left)

    def _load_once(self) -> None:
        """Take over what was saved, each time that this replica begins to lead.

        Another one may have led meanwhile, and seen addresses that this one did not.
        """
        term = self._context.term()
        with self._loading:
            if self._loaded == term:
                return
            loaded = self._load()
            with self._lock:
                for name, known in loaded.items():
                    mine = self._names.get(name, CachedName.empty())
                    self._names[name] = merged(mine, known)
                self.revision += 1
                concerned = tuple(self._wanted)
                self._loaded = term
        for name in loaded:
            self._queue.add(name)
        self._queue.add_after(CACHE, (self._limits.grace / 4).total_seconds())
        self._tell(concerned)

    def _load(self) -> dict[str, CachedName]:
        """Return what was saved; what cannot be read is logged, and counts as nothing.

        Raises:
            Unavailable: nobody answered, so nothing is known of what was saved.
        """
        cache = self._cache
        try:
            return load_cache(
                self._context.client.get(CONFIG_MAP, cache.name, cache.namespace)
            )
        except NotFound:
            return {}
        except (Rejected, ValueError) as error:
            fields = {"at": str(cache), "error": type(error).__name__}
            self._context.log.line("warning", "dns-cache-unreadable", fields)
            return {}

    def _save(self, now: datetime) -> None:
        """Save all, and the times again after a quarter of the grace period."""
        with self._lock:
            names, former = dict(self._names), dict(self._former)
        wait = self._limits.grace / 4
        if not self._context.is_leader():
            wait = _PACE
        elif names or former:
            meta = {"name": self._cache.name, "namespace": self._cache.namespace}
            data = dump_cache(names) | dump_former(former)
            body = {"metadata": meta, "data": data}
            self._context.client.apply(CONFIG_MAP, body)
            self._pauses.begin(CACHE, now, _PACE)
        self._queue.add_after(CACHE, wait.total_seconds())

    def _until_save(self, now: datetime) -> float:
        """Return the seconds until the next save may be."""
        return self._pauses.left(CACHE, now).total_seconds()

    def _tell(self, namespaces: Iterable[str]) -> None:
        for namespace in namespaces:
            for on_change in self._on_change:
                on_change(namespace)
