"""Addresses over time: nothing shrinks on a failure, nothing unsafe gets in."""

import json
from datetime import timedelta
from ipaddress import ip_address

import pytest

from tests.unit.egress.sketch import NOW, answer, failure, ips
from webhook.egress.dns_cache import (
    CachedName,
    DnsAnswer,
    DnsLimits,
    DnsOutcome,
    addresses,
    dump,
    dump_cache,
    findings,
    load,
    load_cache,
    merged,
    next_lookup,
    update,
)
from webhook.egress.reasons import EgressReason

LIMITS = DnsLimits()
HOUR = 3600.0


def after(*lookups: DnsAnswer, limits: DnsLimits = LIMITS) -> CachedName:
    """What is known after lookups in order."""
    memory = CachedName.empty()
    for lookup in lookups:
        memory = update(memory, lookup, limits)
    return memory


def words(memory: CachedName, limits: DnsLimits = LIMITS) -> list[EgressReason]:
    """The findings' words."""
    return [f.reason for f in findings("t", memory, limits)]


def seconds(memory: CachedName) -> float:
    """The pause before the next lookup, without jitter."""
    return next_lookup(memory, LIMITS, 0).total_seconds()


def test_what_two_processes_saw_is_taken_together() -> None:
    """Each address with the later of its times; the rest is that of the newer."""
    one = after(answer("203.0.113.1", "203.0.113.2"), answer("203.0.113.1", after=60))
    other = after(
        answer("203.0.113.2", "203.0.113.3", after=30),
        failure(DnsOutcome.TIMEOUT, after=90),
    )
    both = merged(one, other)

    assert merged(other, one) == both
    assert (both.last, both.failures) == (DnsOutcome.NOERROR, 0)
    assert both.seen == {
        address: NOW + timedelta(seconds=seconds)
        for address, seconds in zip(
            ips("203.0.113.1", "203.0.113.2", "203.0.113.3"), (60, 30, 30), strict=True
        )
    }
    assert merged(CachedName.empty(), one) == merged(one, CachedName.empty()) == one


@pytest.mark.parametrize(
    "outcome", [o for o in DnsOutcome if o is not DnsOutcome.NOERROR]
)
def test_a_first_lookup_that_fails_gives_nothing(outcome: DnsOutcome) -> None:
    """And the next one that succeeds gives all."""
    failed = after(failure(outcome))

    assert (addresses(failed, LIMITS), words(failed)) == ((), [EgressReason.UNRESOLVED])
    assert addresses(
        update(failed, answer("203.0.113.7", after=5), LIMITS), LIMITS
    ) == ips("203.0.113.7")


@pytest.mark.parametrize("outcome", list(DnsOutcome))
def test_a_day_of_failures_changes_nothing(outcome: DnsOutcome) -> None:
    """Past the grace period too, for time stands still while lookups fail."""
    known = after(answer("203.0.113.7", "203.0.113.8"))
    for minute in range(24 * 60):
        known = update(known, failure(outcome, after=60 * minute), LIMITS)
    expected = DnsOutcome.EMPTY if outcome is DnsOutcome.NOERROR else outcome

    assert addresses(known, LIMITS) == ips("203.0.113.7", "203.0.113.8")
    assert (words(known), known.last) == ([EgressReason.RESOLUTION_STALE], expected)


def test_an_address_goes_only_after_its_grace() -> None:
    """Six hours after it was last seen."""
    first = after(answer("203.0.113.7", "203.0.113.8"))
    within = update(first, answer("203.0.113.8", after=6 * HOUR), LIMITS)
    beyond = update(first, answer("203.0.113.8", after=6 * HOUR + 1), LIMITS)

    assert addresses(within, LIMITS) == ips("203.0.113.7", "203.0.113.8")
    assert addresses(beyond, LIMITS) == ips("203.0.113.8")


def test_a_growing_pool_is_reported_until_it_rests() -> None:
    """Two lookups in a row with something new, for a grace period."""
    twice = after(*(answer(f"203.0.113.{n}", after=60 * n) for n in (1, 2, 3)))
    resting = update(twice, answer("203.0.113.3", after=240), LIMITS)
    rested = update(twice, answer("203.0.113.3", after=7 * HOUR), LIMITS)

    assert words(after(answer("203.0.113.1"), answer("203.0.113.2", after=60))) == []
    assert words(twice) == words(resting) == [EgressReason.ROTATING_ADDRESSES]
    assert words(rested) == []


def test_a_restart_changes_nothing() -> None:
    """What was written down is what was known."""
    known = after(
        *(answer(f"203.0.113.{n}", after=60 * n) for n in (1, 2, 3)),
        failure(DnsOutcome.TIMEOUT, after=240),
    )
    again = load(json.loads(json.dumps(dump(known))))

    assert addresses(again, LIMITS) == addresses(known, LIMITS)
    assert words(again) == words(known)
    assert load(dump(CachedName.empty())) == CachedName.empty()


EMPTY = dump(CachedName.empty())


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"seen": []},
        EMPTY | {"last": "x"},
        EMPTY | {"seen": {"2026-01-02T03:04:05+00:00": [False]}},
        EMPTY | {"succeeded": "2026-01-02T03:04:05"},
        EMPTY | {"failures": float("inf")},
    ],
)
def test_what_is_not_a_memory_is_refused(raw: dict[str, object]) -> None:
    """Somebody edited the ConfigMap."""
    with pytest.raises(ValueError, match=r"x|cannot be read|without its offset"):
        load(raw)


@pytest.mark.parametrize(
    ("ttl", "expected"), [(0, 10), (5, 10), (20, 20), (60, 60), (86400, 300)]
)
def test_the_next_lookup_follows_the_ttl_within_bounds(ttl: int, expected: int) -> None:
    """300, 60 and 20 along a chain make 20."""
    known = after(answer("203.0.113.7", ttl=ttl))

    assert seconds(known) == expected
    assert next_lookup(known, LIMITS, -1) == timedelta(seconds=expected * 0.9)
    assert next_lookup(known, LIMITS, 1) == timedelta(seconds=expected * 1.1)


def test_failures_are_retried_soon_and_then_less_often() -> None:
    """Ten times after five seconds, then doubling up to two minutes."""
    memory = CachedName.empty()
    pauses = []
    for _ in range(17):
        memory = update(memory, failure(DnsOutcome.SERVFAIL), LIMITS)
        pauses.append(seconds(memory))

    assert pauses == [5.0] * 10 + [10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0]


UNSAFE = (
    "169.254.169.254 127.0.0.1 ::1 0.0.0.0 :: 224.0.0.1 ff02::1 fe80::1 ::ffff:10.0.0.1"
    " 255.255.255.255 64:ff9b::a9fe:a9fe fd00:ec2::254 100.100.100.200 168.63.129.16"
)


@pytest.mark.parametrize("bad", UNSAFE.split())
def test_an_address_that_no_server_has_is_left_out(bad: str) -> None:
    """Whatever DNS says, and the rest is kept."""
    known = after(answer("203.0.113.7", bad))

    assert addresses(known, LIMITS) == ips("203.0.113.7")
    assert words(known) == [EgressReason.UNSAFE_ADDRESS]


def test_an_answer_of_unsafe_addresses_is_no_answer() -> None:
    """No rule, and what was known stays."""
    alone = after(answer(*UNSAFE.split()))
    later = after(answer("203.0.113.7"), answer("127.0.0.1", after=60))

    assert addresses(alone, LIMITS) == ()
    assert words(alone) == [EgressReason.UNRESOLVED, EgressReason.UNSAFE_ADDRESS]
    assert addresses(later, LIMITS) == ips("203.0.113.7")


def test_a_translated_address_is_judged_by_what_it_stands_for() -> None:
    """An IPv6 cluster reaches IPv4 servers that way."""
    assert addresses(after(answer("64:ff9b::808:808")), LIMITS) == ips(
        "64:ff9b::808:808"
    )


def test_private_addresses_are_permitted() -> None:
    """Trackers often are internal."""
    lookup = answer("10.0.0.1", "8.8.8.8")

    assert addresses(after(lookup), LIMITS) == ips("8.8.8.8", "10.0.0.1")


def test_the_newest_addresses_stay_when_there_are_too_many() -> None:
    """Whatever order the answer has."""
    pool = [str(ip_address("203.0.0.0") + n) for n in range(400)]
    shuffled = pool[::-1]
    newer, small = answer(*pool[300:], after=60), DnsLimits(cap=256)
    known = after(answer(*pool), newer, limits=small)
    other = after(answer(*shuffled), newer, limits=small)

    assert [f.reason for f in findings("t", known, small)] == [EgressReason.TRUNCATED]
    assert addresses(known, small) == ips(*pool[:156], *pool[300:])
    assert addresses(other, small) == addresses(known, small)


def test_the_largest_pools_known_are_held_by_default() -> None:
    """A thousand addresses, and those that left within six hours."""
    pool = [str(ip_address("203.0.0.0") + n) for n in range(1500)]
    known = after(answer(*pool))

    assert (words(known), len(addresses(known, LIMITS))) == ([], 1500)


def test_memory_is_bounded_whatever_dns_answers() -> None:
    """A hostile server may invent an address for every query."""
    small = DnsLimits(cap=2)
    known = after(*(answer(f"203.0.113.{n}", after=n) for n in range(50)), limits=small)

    assert len(known.seen) == 4
    assert addresses(known, small) == ips("203.0.113.48", "203.0.113.49")


def test_nothing_asked_is_nothing_found() -> None:
    """Before the first lookup."""
    assert (words(CachedName.empty()), addresses(CachedName.empty(), LIMITS)) == (
        [],
        (),
    )
    assert NOW.tzinfo is not None


def test_a_cache_is_read_back_by_name() -> None:
    """It has outlived a restart, and the command line plans with it."""
    names = {"t.example": after(answer("203.0.113.7")), "s.example": CachedName.empty()}
    again = load_cache({"data": dump_cache(names)})

    assert {n: addresses(one, LIMITS) for n, one in again.items()} == {
        "s.example": (),
        "t.example": ips("203.0.113.7"),
    }
    assert load_cache({}) == load_cache({"data": None}) == {}


@pytest.mark.parametrize("text", ["[]", "{", '{"t.example": {}}', '{"t.example": 5}'])
def test_something_else_is_no_cache(text: str) -> None:
    """Somebody edited it."""
    with pytest.raises(ValueError, match=r"."):
        load_cache({"data": {"addresses.json": text}})
