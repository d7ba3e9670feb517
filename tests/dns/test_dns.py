"""The resolver against real packets: every way in which a DNS server can answer."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import dns.rcode
import pytest

from tests.fakes.dns_server import DnsServer, Reply, Script
from webhook.companion.dns import Resolver, Search, read_resolv_conf
from webhook.egress.addresses import Address
from webhook.egress.dns_cache import (
    CachedName,
    DnsAnswer,
    DnsLimits,
    DnsOutcome,
    addresses,
    update,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Serve = Callable[[Script], DnsServer]


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    """A resolver with time: the machine may be busy."""
    made = Resolver(timeout=timedelta(seconds=10))
    yield made
    made.close()


@pytest.fixture
def hasty() -> Iterator[Resolver]:
    """A resolver that gives up soon, for servers that say nothing."""
    made = Resolver(timeout=timedelta(seconds=1))
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that stop with the test."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(DnsServer(script))


def where(*servers: DnsServer) -> list[tuple[Address, int]]:
    """The servers as the resolver is told of them."""
    return [(ip_address("127.0.0.1"), server.port) for server in servers]


def always(*records: str, **how: Any) -> Script:
    """The records of the asked type, whoever asks."""

    def script(name: str, kind: str) -> Reply:
        del name
        chosen = [r for r in records if r.split()[3] in (kind, "CNAME")]
        return Reply(tuple(chosen), **how)

    return script


def seconds(lookup: DnsAnswer) -> float | None:
    """The TTL."""
    return lookup.ttl.total_seconds() if lookup.ttl is not None else None


def texts(lookup: DnsAnswer) -> list[str]:
    """The addresses, sorted as text."""
    return sorted(str(a) for a in lookup.addresses)


def test_both_families_are_asked_for(resolver: Resolver, serve: Serve) -> None:
    """As an absolute name: no search list of ours applies."""
    server = serve(
        always("t.example. 60 IN A 8.8.8.8", "t.example. 30 IN AAAA 2001:db8::7")
    )
    lookup = resolver.look_up("t.example", where(server), NOW)

    assert (lookup.outcome, texts(lookup), seconds(lookup)) == (
        DnsOutcome.NOERROR,
        ["2001:db8::7", "8.8.8.8"],
        30,
    )
    assert sorted(server.queries) == [
        ("t.example.", "A", "udp"),
        ("t.example.", "AAAA", "udp"),
    ]


@pytest.mark.parametrize("ttl", [0, 5, 60, 86400])
def test_the_ttl_is_told_as_it_is(resolver: Resolver, serve: Serve, ttl: int) -> None:
    """Bounds are the memory's business."""
    server = serve(always(f"t. {ttl} IN A 8.8.8.8"))

    assert seconds(resolver.look_up("t", where(server), NOW)) == ttl


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ({"rcode": dns.rcode.SERVFAIL}, DnsOutcome.SERVFAIL),
        ({"rcode": dns.rcode.NXDOMAIN}, DnsOutcome.NXDOMAIN),
        ({"rcode": dns.rcode.REFUSED}, DnsOutcome.REFUSED),
        ({"rcode": dns.rcode.NOTIMP}, DnsOutcome.MALFORMED),
        ({}, DnsOutcome.EMPTY),
        ({"silent": True}, DnsOutcome.TIMEOUT),
        ({"garbage": True}, DnsOutcome.MALFORMED),
    ],
)
def test_each_failure_has_its_name_and_shrinks_nothing(
    hasty: Resolver, serve: Serve, how: dict[str, object], outcome: DnsOutcome
) -> None:
    """What was known before it stays."""
    server = serve(always(**how))
    lookup = hasty.look_up("t", where(server), NOW + timedelta(days=1))
    before = DnsAnswer(
        NOW, DnsOutcome.NOERROR, (ip_address("8.8.8.8"),), timedelta(seconds=60)
    )
    known = update(update(CachedName.empty(), before, DnsLimits()), lookup, DnsLimits())

    assert (lookup.outcome, lookup.addresses) == (outcome, ())
    assert (addresses(known, DnsLimits()), known.last) == (before.addresses, outcome)


def test_an_answer_that_contradicts_itself_hides_no_other_servers(
    resolver: Resolver, serve: Serve
) -> None:
    """There is no such name, and here is its address: that server alone is odd."""
    odd = serve(always("t. 60 IN A 8.8.8.8", rcode=dns.rcode.NXDOMAIN))
    other = serve(always("t. 60 IN A 8.8.4.4"))
    lookup = resolver.look_up("t", where(odd, other), NOW)

    assert (lookup.outcome, texts(lookup)) == (DnsOutcome.NOERROR, ["8.8.4.4"])
    assert lookup.servers == (DnsOutcome.MALFORMED, DnsOutcome.NOERROR)


def test_a_family_that_fails_is_not_an_empty_one(
    resolver: Resolver, serve: Serve
) -> None:
    """No AAAA, and nobody knows about A."""

    def script(name: str, kind: str) -> Reply:
        del name
        return Reply(rcode=dns.rcode.SERVFAIL) if kind == "A" else Reply()

    lookup = resolver.look_up("t", where(serve(script)), NOW)

    assert lookup.outcome is DnsOutcome.SERVFAIL


def test_an_answer_cut_short_is_asked_for_over_tcp(
    resolver: Resolver, serve: Serve
) -> None:
    """Hundreds of addresses do not fit into a packet."""
    many = [f"t. 60 IN A 8.8.{n // 256}.{n % 256}" for n in range(400)]
    server = serve(always(*many, truncated=True))
    lookup = resolver.look_up("t", where(server), NOW)

    assert len(lookup.addresses) == 400
    assert ("t.", "A", "tcp") in server.queries


def test_a_slow_server_is_waited_for(resolver: Resolver, serve: Serve) -> None:
    """Within the timeout."""
    server = serve(always("t. 60 IN A 8.8.8.8", delay=0.1))

    assert texts(resolver.look_up("t", where(server), NOW)) == ["8.8.8.8"]


def test_one_dead_replica_does_not_hide_the_others(
    hasty: Resolver, serve: Serve
) -> None:
    """And it is counted."""
    alive = serve(always("t. 60 IN A 8.8.8.8"))
    dead = serve(always(silent=True))
    lookup = hasty.look_up("t", where(dead, alive), NOW)

    assert (lookup.outcome, texts(lookup)) == (DnsOutcome.NOERROR, ["8.8.8.8"])
    assert lookup.servers == (DnsOutcome.TIMEOUT, DnsOutcome.NOERROR)


def test_a_port_that_nobody_listens_on_is_a_dead_replica(hasty: Resolver) -> None:
    """Its host says so at once."""
    with DnsServer(always()) as gone:
        pass
    lookup = hasty.look_up("t", where(gone), NOW)

    assert (lookup.outcome, lookup.servers) == (
        DnsOutcome.TIMEOUT,
        (DnsOutcome.TIMEOUT,),
    )


def test_without_servers_there_is_no_answer(resolver: Resolver) -> None:
    """A cluster without DNS."""
    assert resolver.look_up("t", [], NOW) == DnsAnswer(NOW, DnsOutcome.TIMEOUT)


def test_replicas_with_different_caches_are_merged(
    resolver: Resolver, serve: Serve
) -> None:
    """A pod may be answered by any of them."""
    one = serve(always("t. 60 IN A 8.8.8.8"))
    two = serve(always("t. 20 IN A 8.8.4.4"))
    lookup = resolver.look_up("t", where(one, two), NOW)

    assert (texts(lookup), seconds(lookup)) == (["8.8.4.4", "8.8.8.8"], 20)


CHAIN = ("t. 300 IN CNAME a.", "a. 60 IN CNAME b.", "b. 20 IN A 8.8.8.8")


def test_the_least_ttl_of_a_chain_counts(resolver: Resolver, serve: Serve) -> None:
    """300, 60, 20: the next lookup is in 20 seconds."""
    lookup = resolver.look_up("t", where(serve(always(*CHAIN))), NOW)

    assert (texts(lookup), seconds(lookup)) == (["8.8.8.8"], 20)


def test_a_chain_in_pieces_is_followed(resolver: Resolver, serve: Serve) -> None:
    """A server need not answer for the alias's target."""
    zone = {record.split()[0]: record for record in CHAIN}

    def script(name: str, kind: str) -> Reply:
        record = zone[name]
        return Reply((record,) if record.split()[3] in (kind, "CNAME") else ())

    lookup = resolver.look_up("t", where(serve(script)), NOW)

    assert (texts(lookup), seconds(lookup)) == (["8.8.8.8"], 20)


def chain_of(length: int) -> list[str]:
    """`t` through aliases to an address."""
    names = ["t", *(f"n{n}" for n in range(1, length + 1))]
    aliases = itertools.pairwise(names)
    links = [f"{name}. 60 IN CNAME {target}." for name, target in aliases]
    return [*links, f"{names[-1]}. 60 IN A 8.8.8.8"]


@pytest.mark.parametrize(
    ("records", "outcome"),
    [
        (["t. 60 IN CNAME a.", "a. 60 IN CNAME t."], DnsOutcome.CHAIN),
        (chain_of(20), DnsOutcome.CHAIN),
        (chain_of(9), DnsOutcome.CHAIN),
        (chain_of(8), DnsOutcome.NOERROR),
    ],
)
def test_a_loop_or_a_long_chain_is_a_failure(
    resolver: Resolver, serve: Serve, records: list[str], outcome: DnsOutcome
) -> None:
    """Eight aliases are followed, nine are not."""
    lookup = resolver.look_up("t", where(serve(always(*records))), NOW)

    assert lookup.outcome is outcome


def test_an_alias_that_loops_across_answers_is_a_failure(
    resolver: Resolver, serve: Serve
) -> None:
    """One alias an answer, for ever."""
    other = {"t.": "a.", "a.": "t."}
    server = serve(lambda name, _: Reply((f"{name} 60 IN CNAME {other[name]}",)))

    assert resolver.look_up("t", where(server), NOW).outcome is DnsOutcome.CHAIN


def test_an_alias_to_nothing_is_no_answer(resolver: Resolver, serve: Serve) -> None:
    """The alias is there, its target is not."""
    records = always("t. 60 IN CNAME gone.", rcode=dns.rcode.NXDOMAIN)

    assert (
        resolver.look_up("t", where(serve(records)), NOW).outcome is DnsOutcome.NXDOMAIN
    )


def test_a_pool_that_rotates_is_remembered_whole(
    resolver: Resolver, serve: Serve
) -> None:
    """Twelve addresses, four an answer, two replicas with caches of their own."""
    turns = {"one": 0, "two": 2}

    def rotating(replica: str) -> Script:
        def script(name: str, kind: str) -> Reply:
            if kind == "AAAA":
                return Reply()
            turns[replica] += 1
            first = 4 * turns[replica]
            answer = (f"{name} 60 IN A 8.8.8.{(first + n) % 12}" for n in range(4))
            return Reply(tuple(answer))

        return script

    servers = where(serve(rotating("one")), serve(rotating("two")))
    memory = CachedName.empty()
    for minute in range(3):
        lookup = resolver.look_up("t", servers, NOW + timedelta(minutes=minute))
        memory = update(memory, lookup, DnsLimits())

    assert len(addresses(memory, DnsLimits())) == 12


RESOLV_CONF = """# pod
search release.svc.cluster.local svc.cluster.local cluster.local Corp.example
nameserver 10.0.0.10
options ndots:5
nameserver fd00::a
"""


def test_a_resolv_conf_is_read_in_order() -> None:
    """Comments and options are not servers."""
    conf = read_resolv_conf(RESOLV_CONF)

    assert conf.nameservers == (ip_address("10.0.0.10"), ip_address("fd00::a"))
    assert conf.search.domains[-2:] == ("cluster.local", "corp.example")


def test_what_leads_to_services_is_not_looked_up() -> None:
    """They are followed, and the first domain is another one in each namespace."""
    conf = read_resolv_conf(RESOLV_CONF)

    assert conf.beyond("cluster.local") == Search(("corp.example",), 5)


@pytest.mark.parametrize("word", ["search", "domain"])
def test_a_domain_that_dns_cannot_carry_is_left_out(word: str) -> None:
    """API servers take one with a label of 64 characters, and no name is in it."""
    conf = f"nameserver 10.0.0.10\n{word} {'a' * 64}.example corp.example\n"
    domains = read_resolv_conf(conf).search.domains

    assert domains == (("corp.example",) if word == "search" else ())


def test_without_options_one_dot_makes_a_name_whole() -> None:
    """As resolv.conf(5) has it."""
    search = read_resolv_conf("search a.example\nnameserver 10.0.0.10\n").search

    assert search.candidates("t") == ("t.a.example", "t")
    assert search.candidates("t.b") == ("t.b", "t.b.a.example")


def zone(**records: str) -> Script:
    """A records by name; every other name does not exist."""

    def script(name: str, kind: str) -> Reply:
        address = records.get(name.removesuffix(".").replace(".", "_"))
        if address is None:
            return Reply(rcode=dns.rcode.NXDOMAIN)
        return Reply((f"{name} 60 IN A {address}",) if kind == "A" else ())

    return script


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({"mlflow_corp_example": "8.8.8.8", "mlflow": "8.8.4.4"}, ["8.8.8.8"]),
        ({"mlflow": "8.8.4.4"}, ["8.8.4.4"]),
    ],
)
def test_a_short_name_is_completed_as_a_pods_is(
    serve: Serve, records: dict[str, str], expected: list[str]
) -> None:
    """`http://mlflow:5000` with the node's own search list."""
    searching = Resolver(Search(("corp.example",), 5), timedelta(seconds=10))
    lookup = searching.look_up("mlflow", where(serve(zone(**records))), NOW)
    searching.close()

    assert texts(lookup) == expected


def test_a_name_that_fails_everywhere_fails_as_itself(serve: Serve) -> None:
    """What its completions said interests nobody."""

    def script(name: str, kind: str) -> Reply:
        del kind
        whole = dns.rcode.SERVFAIL if name == "mlflow." else dns.rcode.NXDOMAIN
        return Reply(rcode=whole)

    searching = Resolver(Search(("corp.example",), 5), timedelta(seconds=10))
    lookup = searching.look_up("mlflow", where(serve(script)), NOW)
    searching.close()

    assert lookup.outcome is DnsOutcome.SERVFAIL


@pytest.mark.parametrize(
    "name", ["a" * 64 + ".example", "a..b", ".".join(["a" * 60] * 5), "\udce4.example"]
)
def test_a_name_that_dns_cannot_carry_is_malformed(
    resolver: Resolver, serve: Serve, name: str
) -> None:
    """It is an answer, not an error: no other name is kept waiting."""
    lookup = resolver.look_up(name, where(serve(always("t. 60 IN A 8.8.8.8"))), NOW)

    assert lookup == DnsAnswer(NOW, DnsOutcome.MALFORMED)


def test_a_completion_that_dns_cannot_carry_is_passed_over(serve: Serve) -> None:
    """A long name and a long search domain together exceed 255 characters."""
    long = ".".join(["a" * 60] * 4)
    searching = Resolver(Search(("corp.example",), 9), timedelta(seconds=10))
    script = always(f"{long}. 60 IN A 8.8.8.8")
    lookup = searching.look_up(long, where(serve(script)), NOW)
    searching.close()

    assert texts(lookup) == ["8.8.8.8"]
