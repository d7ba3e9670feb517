"""Looks up the names that destinations have, and remembers what they resolved to.

A concern of its own: a DNS server that takes seconds must not keep a shadow waiting.
What is remembered is written to a ConfigMap when the set of addresses changes, and
now and then for the times; an idle cluster costs no request.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from webhook.cluster.errors import NotFound
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import CONFIG_MAP
from webhook.companion.means import Means
from webhook.egress.addresses import Address
from webhook.egress.dns_cache import (
    CachedName,
    DnsAnswer,
    DnsLimits,
    DnsOutcome,
    addresses,
    dump_cache,
    findings,
    load_cache,
    next_lookup,
    update,
)
from webhook.egress.reasons import Finding

_PACE: Final = timedelta(seconds=5)
"""Between two writes of what is remembered, while a pool is still being learned."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
Servers = Sequence[tuple[Address, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakes:
    """Whom what wakes: a new name wakes `names`, a changed address wakes `egress`."""

    names: Callable[[], None]
    egress: Callable[[], None]


class LooksUp(Protocol):
    """Asks servers for a name."""

    def look_up(self, name: str, servers: Servers, now: datetime) -> DnsAnswer:
        """What they say, merged."""


class Names:
    """The concern."""

    name = "names"

    def __init__(
        self,
        means: Means,
        home: ObjectKey,
        resolver: LooksUp,
        *,
        limits: DnsLimits,
        jitter: Callable[[], float],
        wakes: Wakes,
    ) -> None:
        """Prepares.

        Args:
            means: What it acts with.
            home: The ConfigMap that remembers.
            resolver: Asks DNS.
            limits: How long and how much is remembered.
            jitter: A number from -1 to 1 for each lookup, so that they spread.
            wakes: Whom to wake.
        """
        self._means, self.home, self._resolver = means, home, resolver
        self._limits, self._jitter = limits, jitter
        self._wakes = wakes
        self._lock = threading.Lock()
        self._wanted: tuple[frozenset[str], Servers] = frozenset(), ()
        self._memories: dict[str, CachedName] | None = None
        self._due: dict[str, datetime] = {}
        self._unwanted: dict[str, datetime] = {}
        self._written: tuple[object, datetime] = ({}, _NEVER)
        self._saved: datetime | None = None
        self.rotations = 0
        """Lookups that brought addresses nobody had seen, first ones apart."""
        self.lookups: Counter[DnsOutcome] = Counter()
        """Answers by how they ended, one for each server asked."""

    def want(self, names: Iterable[str], servers: Servers) -> None:
        """Takes over which names to know, and whom to ask."""
        wanted = frozenset(names)
        with self._lock:
            new = wanted - self._wanted[0]
            self._wanted = wanted, servers
        if new:
            self._wakes.names()

    def is_settled(self, names: Iterable[str]) -> bool:
        """Whether each name was looked up at least once, now or in an earlier life.

        Until then nothing may be written that could permit less than before.
        """
        known = self._memories
        return known is not None and all(
            name in known and known[name].last is not None for name in names
        )

    def memories(self) -> Mapping[str, CachedName]:
        """Everything remembered, for metrics."""
        return dict(self._memories or {})

    def known(self) -> Mapping[str, tuple[Address, ...]]:
        """The addresses to permit, by name."""
        memories = dict(self._memories or {})
        return {name: addresses(one, self._limits) for name, one in memories.items()}

    def findings(self) -> Mapping[str, tuple[Finding, ...]]:
        """What is to be said of each name."""
        memories = dict(self._memories or {})
        return {n: findings(n, one, self._limits) for n, one in memories.items()}

    def step(self, now: datetime) -> float | None:
        """Looks up whatever is due."""
        memories = self._memories
        if memories is None:
            memories = self._load()
            self._memories = memories
            self._written = _sets(memories), now
            self._wakes.egress()
        with self._lock:
            wanted, servers = self._wanted
        self._forget(memories, wanted, now)
        changed = False
        for name in sorted(wanted):
            if self._due.get(name, now) <= now:
                changed |= self._look_up(memories, name, servers, now)
        if changed:
            self._wakes.egress()
        pauses = [(self._due[name] - now).total_seconds() for name in wanted]
        later = self._save(memories, now)
        pauses += [] if later is None else [later]
        return max(0.01, min(pauses)) if pauses else None

    def _look_up(
        self,
        memories: dict[str, CachedName],
        name: str,
        servers: Servers,
        now: datetime,
    ) -> bool:
        before = memories.get(name, CachedName.empty())
        lookup = self._resolver.look_up(name, servers, now)
        self.lookups.update(lookup.servers)
        after = update(before, lookup, self._limits)
        memories[name] = after
        self.rotations += after.growth > before.growth
        self._due[name] = now + next_lookup(after, self._limits, self._jitter())
        return before.last is None or _told(before, self._limits) != _told(
            after, self._limits
        )

    def _forget(
        self, memories: dict[str, CachedName], wanted: frozenset[str], now: datetime
    ) -> None:
        """A name that nobody wants is kept for a grace period: pods still dial it."""
        for name in set(memories) | set(self._due):
            if name in wanted:
                self._unwanted.pop(name, None)
            elif now - self._unwanted.setdefault(name, now) > self._limits.grace:
                memories.pop(name, None)
                self._due.pop(name, None)
                del self._unwanted[name]

    def _load(self) -> dict[str, CachedName]:
        try:
            body = self._means.resources.get(
                CONFIG_MAP, self.home.name, self.home.namespace
            )
            return load_cache(body)
        except NotFound:
            return {}
        except ValueError:
            where = {"at": str(self.home)}
            self._means.log.line("warning", "memory-unreadable", where)
            return {}

    def _save(self, memories: Mapping[str, CachedName], now: datetime) -> float | None:
        """Seconds until it is to be tried again, if it was too soon."""
        sets = _sets(memories)
        before, at = self._written
        fresh = now - at < self._limits.grace / 4
        if (sets == before and fresh) or not memories or not self._means.may_act():
            return None
        paced = now - self._saved if self._saved else _PACE
        if paced < _PACE:
            return (_PACE - paced).total_seconds()
        meta = {"name": self.home.name, "namespace": self.home.namespace}
        self._means.resources.apply(
            CONFIG_MAP, {"metadata": meta, "data": dump_cache(memories)}
        )
        self._written, self._saved = (sets, now), now
        return None


def _sets(memories: Mapping[str, CachedName]) -> dict[str, list[str]]:
    return {name: sorted(map(str, one.seen)) for name, one in memories.items()}


def _told(memory: CachedName, limits: DnsLimits) -> tuple[object, ...]:
    return addresses(memory, limits), [f.reason for f in findings("", memory, limits)]
