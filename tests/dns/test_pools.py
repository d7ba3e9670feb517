"""Hours of rotating pools in simulated time: how many connections would be denied.

Caches answer a pool's name with a random handful for a TTL; pods ask any cache and
connect; the companion asks the DNS replicas and, on nodes with caches of their own,
the one on its own node. A connection is denied when its address is not permitted.
"""

import functools
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

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
from webhook.egress.reasons import EgressReason

START = datetime(2026, 3, 1, tzinfo=UTC)
SMALL = DnsLimits(cap=256)
DOCS = Path(__file__).parents[2] / "docs" / "explanation" / "egress.md"


@dataclass(frozen=True, slots=True)
class Pool:
    """A name: how many addresses it has, how many an answer shows, for how long."""

    size: int
    shown: int
    ttl: int


class Cache:
    """A DNS cache: one answer at a time, renewed when it expires and is asked for."""

    def __init__(self, pool: Pool, chance: random.Random) -> None:
        """Cold."""
        self._pool, self._chance = pool, chance
        self._until = -1.0
        self._answer: tuple[Address, ...] = ()

    def ask(self, second: float) -> tuple[Address, ...]:
        """What it answers now."""
        if second >= self._until:
            chosen = self._chance.sample(range(self._pool.size), self._pool.shown)
            self._answer = tuple(ip_address(0x08080000 + n) for n in chosen)
            self._until = second + self._pool.ttl
        return self._answer


@dataclass(frozen=True, slots=True)
class Course:
    """What came of it.

    Attributes:
        first_hour: Share of connections denied in the first hour.
        later: The same, after it.
        memory: At the end.
    """

    first_hour: float
    later: float
    memory: CachedName


@functools.cache
def run(pool: Pool, *, caches: int, limits: DnsLimits, hours: int = 8) -> Course:
    """A connection every five seconds."""
    chance = random.Random(7)  # noqa: S311 - repeatable on purpose
    replicas = [Cache(pool, chance) for _ in range(2)]
    nodes = [Cache(pool, chance) for _ in range(caches)] if caches > 2 else replicas
    asked = replicas if caches <= 2 else [*replicas, nodes[0]]
    memory, due, permitted = CachedName.empty(), 0.0, frozenset[Address]()
    denied, made = [0, 0], [0, 0]
    for second in range(0, hours * 3600, 5):
        while due <= second:
            now = START + timedelta(seconds=due)
            found = tuple(a for cache in asked for a in cache.ask(due))
            ttl = timedelta(seconds=pool.ttl)
            memory = update(
                memory, DnsAnswer(now, DnsOutcome.NOERROR, found, ttl), limits
            )
            permitted = frozenset(addresses(memory, limits))
            due += next_lookup(memory, limits, chance.uniform(-1, 1)).total_seconds()
        address = chance.choice(chance.choice(nodes).ask(second))
        later = second >= 3600
        made[later] += 1
        denied[later] += address not in permitted
    return Course(denied[0] / made[0], denied[1] / made[1], memory)


POOL_OF_1000 = Pool(1000, 8, 5)
POOLS = [
    pytest.param(Pool(4, 4, 60), id="all addresses in each answer"),
    pytest.param(Pool(12, 4, 60), id="12 by 4"),
    pytest.param(Pool(60, 4, 60), id="60 by 4"),
    pytest.param(POOL_OF_1000, id="1000 by 8"),
]


@pytest.mark.parametrize("pool", POOLS)
def test_after_the_first_hour_hardly_a_connection_is_denied(pool: Pool) -> None:
    """Pods that ask the cluster's two DNS replicas, with the settings' defaults."""
    course = run(pool, caches=2, limits=DnsLimits())

    assert course.later <= 0.001


@pytest.mark.parametrize("pool", POOLS)
def test_caches_on_fifty_nodes_make_only_the_first_hour_harder(
    pool: Pool,
) -> None:
    """Nobody can ask another node's cache, but the pool is soon known."""
    course = run(pool, caches=50, limits=DnsLimits())

    assert course.later <= 0.001


def test_a_pool_beyond_the_cap_is_denied_and_said_so() -> None:
    """What helps is the provider's range, and the finding says that."""
    course = run(POOL_OF_1000, caches=2, limits=SMALL)
    words = {f.reason for f in findings("s3.example", course.memory, SMALL)}

    assert EgressReason.TRUNCATED in words
    assert course.later > 0.1


def test_the_page_on_egress_tells_these_numbers() -> None:
    """Every row of its table."""
    held = [
        row(pool, f"{pool.size}, {pool.shown}, {pool.ttl} s", DnsLimits())
        for pool in (Pool(4, 4, 60), Pool(12, 4, 60), Pool(60, 4, 60), POOL_OF_1000)
    ]
    cut = row(POOL_OF_1000, "1000, 8, 5 s, with `addressesPerName: 256`", SMALL)

    assert "\n".join([*held, cut]) in DOCS.read_text("utf-8")


def row(pool: Pool, name: str, limits: DnsLimits) -> str:
    """A pool's line in the table: two DNS replicas, then fifty caches on nodes."""
    two, fifty = (run(pool, caches=n, limits=limits) for n in (2, 50))
    shares = (two.first_hour, two.later, fifty.first_hour, fifty.later)
    return f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |"
