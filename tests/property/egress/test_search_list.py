"""A short name is completed as dnspython completes it, over generated search lists."""

import io
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.companion.dns import read_resolv_conf

EXAMPLES = settings().max_examples * 3 // 2
LABELS = st.sampled_from(["t", "ml", "a-b", "xn--p1ai", "0", "svc", "x" * 63])
BARE = st.lists(LABELS, min_size=1, max_size=7).map(".".join)
NAMES = st.builds(str.__add__, BARE, st.sampled_from(["", "", "", "."]))


def can_be_asked(name: str) -> bool:
    """Whether DNS can carry a name."""
    try:
        dns.name.from_text(f"{name}.")
    except dns.exception.DNSException:
        return False
    return True


DOMAINS = st.lists(
    BARE.filter(can_be_asked)
    | st.sampled_from([".", "corp.example", "Corp.Example.", "cluster.local"]),
    max_size=6,
)


class NothingExists(dns.resolver.CacheBase):
    """A cache that knows of every name that there is none, so that all are tried."""

    def get(self, key: Any) -> dns.resolver.Answer | None:
        """The answer NXDOMAIN, which is kept for all types together."""
        name, kind, rdclass = key
        if kind != dns.rdatatype.ANY:
            return None
        response = dns.message.make_response(dns.message.make_query(name, kind))
        response.set_rcode(dns.rcode.NXDOMAIN)
        assert isinstance(response, dns.message.QueryMessage)
        return dns.resolver.Answer(name, kind, rdclass, response)


def tried_by_dnspython(name: str, conf: str) -> list[str] | None:
    """The names that it asks for, in order; none where one of them is too long."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.read_resolv_conf(io.StringIO(conf))
    resolver.cache = NothingExists()
    try:
        resolver.resolve(name, search=True)
    except dns.resolver.NXDOMAIN as error:
        names: list[dns.name.Name] = error.kwargs["qnames"]
        return [one.to_text(omit_final_dot=True).lower() for one in names]
    except dns.name.NameTooLong:
        return None
    raise AssertionError("there is no such name")


@settings(max_examples=EXAMPLES)
@given(NAMES, DOMAINS, st.none() | st.integers(0, 15))
def test_a_name_is_completed_as_dnspython_does_it(
    name: str, domains: list[str], ndots: int | None
) -> None:
    """The same names in the same order.

    One difference is meant: where a completed name is longer than DNS can carry,
    dnspython gives up the whole look-up, while we, like the C library, pass over that
    candidate alone, so that one long domain of a node does not hide every name.
    """
    conf = "nameserver 10.0.0.10\n"
    conf += f"search {' '.join(domains)}\n" if domains else ""
    conf += f"options ndots:{ndots}\n" if ndots is not None else ""

    ours = read_resolv_conf(conf).search.candidates(name)
    theirs = tried_by_dnspython(name, conf)

    if theirs is None:
        assert not all(can_be_asked(one) for one in ours)
    else:
        assert theirs == list(ours)


def test_the_order_turns_at_ndots_dots() -> None:
    """Where the order turns, both say it in the same words: the test can fail."""
    conf = "nameserver 10.0.0.10\nsearch a.example b.example\noptions ndots:2"
    for name, first in (("t.b", "t.b.a.example"), ("t.b.c", "t.b.c"), ("t.", "t")):
        assert tried_by_dnspython(name, conf) == list(
            read_resolv_conf(conf).search.candidates(name)
        )
        assert (tried_by_dnspython(name, conf) or [""])[0] == first
