"""What a name resolved to, over time.

A pool of servers shows a few of its addresses in each answer, and other caches than
ours see others. So an address stays permitted for a grace period after it was last
seen, and time stands still while lookups fail: nothing shrinks on a failure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

from webhook.egress.addresses import Address, address_key
from webhook.egress.reasons import EgressReason, Finding

CACHE_FIELD: Final = "addresses.json"
"""In the ConfigMap that remembers: every name as JSON."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_FIRST_RETRIES: Final = 10
_REMEMBERED: Final = 2
"""Addresses remembered, as a multiple of those permitted: a bound for hostile DNS."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_METADATA: Final = frozenset(
    {
        ip_address("fd00:ec2::254"),  # AWS
        ip_address("100.100.100.200"),  # Alibaba Cloud
        ip_address("168.63.129.16"),  # Azure
    }
)
"""Cloud metadata services that are not on link-local addresses."""


class DnsOutcome(StrEnum):
    """How a lookup ended; the value is the metric label."""

    NOERROR = "NOERROR"
    EMPTY = "EMPTY"
    NXDOMAIN = "NXDOMAIN"
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    TIMEOUT = "TIMEOUT"
    MALFORMED = "MALFORMED"
    CHAIN = "CHAIN"
    """A CNAME loop, or a chain too long to follow."""


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """The answers of every server asked for one name, taken together.

    Attributes:
        at: When.
        outcome: `NOERROR` when at least one server gave at least one address.
        addresses: As answered, safe or not.
        ttl: The least along the chain; `None` without addresses.
        servers: How each server's answer ended; one failing does not fail the rest.
    """

    at: datetime
    outcome: DnsOutcome
    addresses: tuple[Address, ...] = ()
    ttl: timedelta | None = None
    servers: tuple[DnsOutcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsLimits:
    """How lookups are remembered and repeated; all from the settings.

    Attributes:
        grace: How long an address is permitted after it was last seen.
        cap: Addresses per name. The largest pools known show some 1000, and those that
            left within a grace period come on top. A policy of 2048 is 90 kB; etcd
            takes 1.5 MiB, and Cilium 16384 entries for a pod.
    """

    grace: timedelta = timedelta(hours=6)
    cap: int = 2048
    soonest: timedelta = timedelta(seconds=10)
    latest: timedelta = timedelta(seconds=300)
    retry: timedelta = timedelta(seconds=5)
    slowest_retry: timedelta = timedelta(seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedName:
    """What is known of one name.

    Attributes:
        seen: Each safe address with the time it was last in an answer.
        last: The outcome of the last lookup; `None` before the first.
        succeeded: When a lookup last gave a safe address.
        failures: Lookups failed in a row.
        growth: Successful lookups in a row that brought new addresses.
        rotated: When growth was last seen to go on.
        unsafe: What the last successful lookup answered besides.
        ttl: Of the last successful lookup.
    """

    seen: Mapping[Address, datetime]
    last: DnsOutcome | None = None
    succeeded: datetime | None = None
    failures: int = 0
    growth: int = 0
    rotated: datetime | None = None
    unsafe: tuple[Address, ...] = ()
    ttl: timedelta = timedelta(0)

    @classmethod
    def empty(cls) -> "CachedName":
        """Return what is known before the first lookup."""
        return cls(seen={})


def is_unsafe(address: Address) -> bool:
    """Return whether no tracking server can have an address, whatever DNS says."""
    if isinstance(address, IPv6Address) and address in _NAT64:
        return is_unsafe(IPv4Address(int(address) & 0xFFFFFFFF))
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    reserved = isinstance(address, IPv4Address) and address.is_reserved
    return (
        mapped
        or reserved
        or address in _METADATA
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
    )


def update(memory: CachedName, lookup: DnsAnswer, limits: DnsLimits) -> CachedName:
    """Return what is known after a lookup."""
    unsafe = tuple(
        sorted({a for a in lookup.addresses if is_unsafe(a)}, key=address_key)
    )
    safe = set(lookup.addresses) - set(unsafe)
    if not safe:
        outcome = (
            DnsOutcome.EMPTY if lookup.outcome is DnsOutcome.NOERROR else lookup.outcome
        )
        return replace(
            memory, last=outcome, failures=memory.failures + 1, unsafe=unsafe
        )
    # No time is later than now, or a clock that was ahead would be believed for long.
    past = {a: min(t, lookup.at) for a, t in memory.seen.items()}
    seen = past | dict.fromkeys(safe, lookup.at)
    recent = {a: t for a, t in seen.items() if lookup.at - t <= limits.grace}
    grew = bool(memory.seen) and not safe <= memory.seen.keys()
    growth = memory.growth + 1 if grew else 0
    rotated = lookup.at if growth >= 2 else memory.rotated
    return CachedName(
        seen=_newest(recent, limits.cap * _REMEMBERED),
        last=DnsOutcome.NOERROR,
        succeeded=lookup.at,
        growth=growth,
        rotated=rotated and min(rotated, lookup.at),
        unsafe=unsafe,
        ttl=lookup.ttl or timedelta(0),
    )


def merged(one: CachedName, other: CachedName) -> CachedName:
    """Return what two processes know of a name: the newer state, and all addresses."""
    older, newer = sorted(
        (one, other), key=lambda known: max(known.seen.values(), default=_NEVER)
    )
    times = {a: max(t, newer.seen.get(a, t)) for a, t in older.seen.items()}
    return replace(newer, seen={**newer.seen, **times})


def addresses(memory: CachedName, limits: DnsLimits) -> tuple[Address, ...]:
    """Return the addresses to permit, sorted: the newest, and at most the cap."""
    return tuple(sorted(_newest(memory.seen, limits.cap), key=address_key))


def findings(name: str, memory: CachedName, limits: DnsLimits) -> tuple[Finding, ...]:
    """Return what an operator should know of a name."""
    found: list[Finding] = []
    if memory.failures and memory.seen:
        message = (
            f"the last lookup of {name} ended in {memory.last}; its addresses stay"
        )
        found.append(Finding(EgressReason.RESOLUTION_STALE, name, message))
    if memory.failures and not memory.seen:
        message = (
            f"no lookup of {name} gave an address; the last ended in {memory.last}"
        )
        found.append(Finding(EgressReason.UNRESOLVED, name, message))
    if _rotating(memory, limits):
        message = (
            f"lookups of {name} keep bringing new addresses; name its range instead"
        )
        found.append(Finding(EgressReason.ROTATING_ADDRESSES, name, message))
    if len(memory.seen) > limits.cap:
        message = (
            f"{name} has more than {limits.cap} addresses; the newest are permitted"
        )
        found.append(Finding(EgressReason.TRUNCATED, name, message))
    if memory.unsafe:
        listed = ", ".join(str(a) for a in memory.unsafe)
        message = f"an answer for {name} held {listed}, which is left out"
        found.append(Finding(EgressReason.UNSAFE_ADDRESS, name, message))
    return tuple(found)


def next_lookup(memory: CachedName, limits: DnsLimits, jitter: float) -> timedelta:
    """Return how long until a name is looked up again.

    Args:
        memory: Of the name.
        limits: From the settings.
        jitter: From -1 to 1: up to a tenth sooner or later.
    """
    doublings = max(0, min(memory.failures - _FIRST_RETRIES, 10))
    if memory.failures:
        pause = min(limits.retry * (1 << doublings), limits.slowest_retry)
    else:
        pause = min(max(memory.ttl, limits.soonest), limits.latest)
    return pause * (1 + jitter / 10)


def dump_cache(names: Mapping[str, CachedName]) -> dict[str, str]:
    """Return the `data` of the ConfigMap that remembers names over a restart."""
    return {
        CACHE_FIELD: json.dumps({name: dump(names[name]) for name in sorted(names)})
    }


def load_cache(body: Mapping[str, Any]) -> dict[str, CachedName]:
    """Read the ConfigMap that `dump_cache` filled.

    Raises:
        ValueError: It holds something else.
    """
    raw = json.loads((body.get("data") or {}).get(CACHE_FIELD, "{}"))
    try:
        return {name: load(one) for name, one in raw.items()}
    except AttributeError as error:
        raise ValueError("remembered addresses are no object by name") from error


def dump(memory: CachedName) -> dict[str, Any]:
    """Return a name's state as JSON: what has to survive a restart.

    Addresses stand under the time they were last seen: an answer brings several.
    """
    seen: dict[str, list[str]] = {}
    for address in sorted(memory.seen, key=lambda a: (memory.seen[a], address_key(a))):
        seen.setdefault(_iso(memory.seen[address]), []).append(str(address))
    return {
        "seen": seen,
        "last": memory.last and str(memory.last),
        "succeeded": memory.succeeded and _iso(memory.succeeded),
        "rotated": memory.rotated and _iso(memory.rotated),
        "failures": memory.failures,
        "growth": memory.growth,
    }


def load(raw: Mapping[str, Any]) -> CachedName:
    """Read what `dump` wrote.

    Raises:
        ValueError: It is something else.
    """
    try:
        return CachedName(
            seen={
                ip_address(_text(a)): _time(t)
                for t, found in raw["seen"].items()
                for a in found
            },
            last=raw["last"] and DnsOutcome(raw["last"]),
            succeeded=raw["succeeded"] and _time(raw["succeeded"]),
            failures=int(raw["failures"]),
            growth=int(raw["growth"]),
            rotated=raw["rotated"] and _time(raw["rotated"]),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        message = f"remembered addresses cannot be read: {error!r}"
        raise ValueError(message) from error


def _newest(seen: Mapping[Address, datetime], count: int) -> Mapping[Address, datetime]:
    """Return the addresses seen last, the lowest first where times are equal."""
    if len(seen) <= count:
        return seen
    by_address = sorted(seen, key=address_key)
    return {
        a: seen[a]
        for a in sorted(by_address, key=seen.__getitem__, reverse=True)[:count]
    }


def _rotating(memory: CachedName, limits: DnsLimits) -> bool:
    """Return whether it rotated within the grace period, so that it is not flapping."""
    return (
        memory.rotated is not None
        and memory.succeeded is not None
        and memory.succeeded - memory.rotated <= limits.grace
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a number is no address")  # Python would read one
    return value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without its offset compares with no other")
    return time


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
