"""The published settings are read back as they were."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.egress.sketch import ips
from webhook.egress.baseline import GROUPS, Baseline, Peers
from webhook.egress.destinations import parse_extra
from webhook.egress.dns_cache import DnsLimits
from webhook.egress.mode import EgressMode
from webhook.egress.options import EgressOptions

HOSTS = ["s3.example:9000", "203.0.113.0/24", "[2001:db8::/32]:8443", "10.0.0.1:80"]


def group(origin: str) -> st.SearchStrategy[object]:
    """The servers of a baseline's group."""
    listed = st.lists(st.sampled_from(HOSTS), unique=True)
    return listed.map(lambda hosts: tuple(parse_extra(h, origin) for h in hosts))


OPTIONS = st.builds(
    EgressOptions,
    mode=st.sampled_from(EgressMode),
    extra=st.lists(st.sampled_from(HOSTS), unique=True).map(
        lambda hosts: tuple(parse_extra(host, "hosts") for host in hosts)
    ),
    baseline=st.builds(
        Baseline,
        peers=st.none() | st.sampled_from(Peers),
        groups=st.fixed_dictionaries(
            {}, optional={name: group(f"baseline, {name}") for name in GROUPS}
        ),
    ),
    domain=st.sampled_from(["cluster.local", "example.org"]),
    nameservers=st.sampled_from([(), ips("10.0.0.10"), ips("fd00::a", "10.0.0.10")]),
    limits=st.builds(
        DnsLimits,
        grace=st.integers(1, 7 * 24 * 60).map(lambda n: timedelta(minutes=n)),
        cap=st.integers(1, 4096),
    ),
    dns_cache=st.sampled_from(["a", "tracking-injector-addresses"]),
    allowed=st.sampled_from([(), ("team-*",)]),
    excluded=st.sampled_from([(), ("kube-system", "release")]),
)


@given(OPTIONS)
def test_what_is_published_is_read_back(options: EgressOptions) -> None:
    """Through JSON, as the status holds it."""
    text = json.dumps(options.to_json())

    assert EgressOptions.from_json(json.loads(text)) == options


@pytest.mark.parametrize(
    "broken", [{}, {"mode": "sometimes"}, {"hosts": ["a:b"]}, {"graceHours": "six"}]
)
def test_something_else_is_refused(broken: dict[str, object]) -> None:
    """A newer companion may publish other fields."""
    raw = EgressOptions().to_json() | broken if broken else {}

    with pytest.raises(ValueError, match=r"is not|cannot be read"):
        EgressOptions.from_json(raw)
