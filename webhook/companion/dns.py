"""Looks names up at every DNS server that may answer task pods, and merges the answers.

One server failing never hides what another one answers, and an answer is taken only
whole: through its chain of aliases to addresses, with the least TTL on the way.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

from webhook.egress.addresses import Address
from webhook.egress.dns_cache import DnsAnswer, DnsOutcome

_MAX_ALIASES = 8
_PAYLOAD = 1232
"""EDNS0: what fits into one packet on every path."""
_AT_ONCE = 16
_NO_TTL = 2**31

_RCODES = {
    dns.rcode.NOERROR: DnsOutcome.EMPTY,
    dns.rcode.NXDOMAIN: DnsOutcome.NXDOMAIN,
    dns.rcode.SERVFAIL: DnsOutcome.SERVFAIL,
    dns.rcode.REFUSED: DnsOutcome.REFUSED,
}
_MOST_TELLING = (
    DnsOutcome.NOERROR,
    DnsOutcome.NXDOMAIN,
    DnsOutcome.EMPTY,
    DnsOutcome.CHAIN,
    DnsOutcome.SERVFAIL,
    DnsOutcome.REFUSED,
    DnsOutcome.MALFORMED,
    DnsOutcome.TIMEOUT,
)
"""Precedence when servers disagree, most informative first."""
_OF_FAMILIES = (
    DnsOutcome.NOERROR,
    DnsOutcome.CHAIN,
    DnsOutcome.SERVFAIL,
    DnsOutcome.REFUSED,
    DnsOutcome.MALFORMED,
    DnsOutcome.TIMEOUT,
    DnsOutcome.NXDOMAIN,
    DnsOutcome.EMPTY,
)
"""Precedence between the two address families at one server."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """One server's answer for a name: in one family, or in both."""

    outcome: DnsOutcome
    addresses: tuple[Address, ...] = ()
    ttl: int = 0


_LOOP = _Answer(DnsOutcome.CHAIN)


@dataclass(frozen=True, slots=True)
class Search:
    """How short names are completed, as the C library does it.

    Attributes:
        domains: tried in this order; the root is empty.
        ndots: a name with fewer dots is completed first and tried as it is last.
    """

    domains: tuple[str, ...] = ()
    ndots: int = 1

    def candidates(self, name: str) -> tuple[str, ...]:
        """Return what a name may mean, in the order in which it is tried."""
        bare = name.removesuffix(".")
        if name != bare:
            return (bare,)
        completed = tuple(f"{name}.{domain}".rstrip(".") for domain in self.domains)
        if name.count(".") < self.ndots:
            return (*completed, name)
        return (name, *completed)


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """A resolv.conf, as the kubelet writes it for every pod with `ClusterFirst`."""

    nameservers: tuple[Address, ...]
    search: Search

    def beyond(self, domain: str) -> Search:
        """Return the search list without the cluster's own domains.

        Those lead to Services, which are followed and need not be looked up; the first
        differs for each namespace. What is left comes from the node, for all alike.
        """
        left = (d for d in self.search.domains if not f".{d}".endswith(f".{domain}"))
        return Search(tuple(left), self.search.ndots)


def read_resolv_conf(text: str) -> ResolvConf:
    """Parse a resolv.conf, without the domains that DNS cannot carry."""
    resolver = dns.resolver.Resolver(configure=False)
    lines = "\n".join(map(_with_names_only, text.splitlines()))
    resolver.read_resolv_conf(io.StringIO(lines))
    return ResolvConf(
        tuple(ip_address(str(server)) for server in resolver.nameservers),
        Search(
            tuple(d.to_text().lower().rstrip(".") for d in resolver.search),
            1 if resolver.ndots is None else resolver.ndots,
        ),
    )


def _with_names_only(line: str) -> str:
    word, *values = line.split() or [""]
    if word not in ("search", "domain"):
        return line
    return " ".join((word, *(one for one in values if _parsed(one) is not None)))


def _parsed(name: str) -> dns.name.Name | None:
    """Return an absolute name; None where DNS can carry none such."""
    try:
        return dns.name.from_text(name)
    except (dns.exception.DNSException, UnicodeError):
        return None


class Resolver:
    """Looks names up at several servers at once."""

    def __init__(
        self, search: Search = Search(), timeout: timedelta = timedelta(seconds=2)
    ) -> None:
        """Create the pool of threads that queries run in.

        Args:
            search: how names are completed.
            timeout: of each query; an answer cut short is asked for again over TCP.
        """
        self._search, self._timeout = search, timeout.total_seconds()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="dns")

    def close(self) -> None:
        """Let running queries end and take no more."""
        self._pool.shutdown()

    def look_up(
        self, name: str, servers: Sequence[tuple[Address, int]], now: datetime
    ) -> DnsAnswer:
        """Return A and AAAA of a name, from every server.

        The first candidate of the search list with an address is what the name means;
        one that fails is passed over, as the C library does it. A name that DNS cannot
        carry, such as one with a label of 64 characters, is `MALFORMED`.

        Args:
            name: with its trailing dot, it is not completed.
            servers: address and port of each.
            now: the time that the answer bears.
        """
        lookups: dict[str, DnsAnswer] = {}
        for candidate in self._search.candidates(name):
            found = self._absolute(candidate, servers, now)
            if found.addresses:
                return found
            lookups[candidate] = found
        return lookups[name.removesuffix(".")]

    def _absolute(
        self, name: str, servers: Sequence[tuple[Address, int]], now: datetime
    ) -> DnsAnswer:
        absolute = _parsed(f"{name}.")
        if absolute is None:
            return DnsAnswer(now, DnsOutcome.MALFORMED)
        answers = list(self._pool.map(lambda s: self._both(absolute, *s), servers))
        found = [answer for answer in answers if answer.addresses]
        outcomes = tuple(answer.outcome for answer in answers)
        return DnsAnswer(
            at=now,
            outcome=min(outcomes, key=_MOST_TELLING.index, default=DnsOutcome.TIMEOUT),
            addresses=tuple({a: None for answer in found for a in answer.addresses}),
            ttl=min((timedelta(seconds=a.ttl) for a in found), default=None),
            servers=outcomes,
        )

    def _both(self, name: dns.name.Name, address: Address, port: int) -> _Answer:
        """Ask for both families: one may be missing, then the other is the answer.

        Where one fails and the other is empty, it failed: half an answer is none.
        """
        families = (dns.rdatatype.A, dns.rdatatype.AAAA)
        both = [self._one(name, kind, str(address), port) for kind in families]
        found = [answer for answer in both if answer.addresses]
        return _Answer(
            min((answer.outcome for answer in both), key=_OF_FAMILIES.index),
            tuple(a for answer in found for a in answer.addresses),
            min((answer.ttl for answer in found), default=0),
        )

    def _one(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, where: str, port: int
    ) -> _Answer:
        """Follow aliases across answers, since a server need not do it."""
        aliases, ttl = 0, _NO_TTL
        while aliases <= _MAX_ALIASES:
            response = self._ask(name, kind, where, port)
            if isinstance(response, DnsOutcome):
                return _Answer(response)
            try:
                chain = response.resolve_chaining()
            except dns.message.ChainTooLong:
                break
            except dns.exception.DNSException:  # such as an address of no such name
                return _Answer(DnsOutcome.MALFORMED)
            aliases += len(chain.cnames)
            ttl = min(ttl, chain.minimum_ttl)
            if chain.answer is not None:
                addresses = tuple(ip_address(item.address) for item in chain.answer)
                whole = aliases <= _MAX_ALIASES
                return _Answer(DnsOutcome.NOERROR, addresses, ttl) if whole else _LOOP
            if not chain.cnames or response.rcode() != dns.rcode.NOERROR:
                return _Answer(_RCODES[response.rcode()])
            name = chain.canonical_name
        return _LOOP

    def _ask(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, where: str, port: int
    ) -> dns.message.QueryMessage | DnsOutcome:
        query = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD)
        try:
            response, _ = dns.query.udp_with_fallback(
                query, where, self._timeout, port, ignore_unexpected=True
            )
        except dns.exception.Timeout:
            return DnsOutcome.TIMEOUT
        except (dns.exception.DNSException, EOFError):
            return DnsOutcome.MALFORMED
        except OSError:
            return DnsOutcome.TIMEOUT
        if not isinstance(response, dns.message.QueryMessage):
            return DnsOutcome.MALFORMED
        if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return response
        return _RCODES.get(response.rcode(), DnsOutcome.MALFORMED)
