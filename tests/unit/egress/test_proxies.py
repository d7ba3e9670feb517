"""Proxy variables mean what the clients' HTTP library makes of them."""

import pytest

from webhook.egress.proxies import Proxies
from webhook.egress.reasons import EgressReason
from webhook.uri import server


def proxy_for(uri: str, **keys: str) -> str | None:
    """The key that names the proxy a client would dial."""
    proxies, _ = Proxies.read(keys)
    found = proxies.for_server(server(uri))
    return found.origin if found else None


def test_each_scheme_has_its_own_proxy() -> None:
    """`HTTP_PROXY` does nothing for an https URL."""
    assert proxy_for("https://t", HTTP_PROXY="http://p") is None


def test_lower_case_wins_over_upper_case() -> None:
    """As in every client that reads both."""
    assert proxy_for("http://t", http_proxy="p:1", HTTP_PROXY="q:1") == "http_proxy"


def test_the_general_proxy_stands_in() -> None:
    """`ALL_PROXY` is for schemes without one of their own."""
    assert proxy_for("https://t", ALL_PROXY="socks5://p") == "ALL_PROXY"


def test_a_database_is_never_proxied() -> None:
    """No HTTP proxy carries it."""
    assert proxy_for("postgresql://t", ALL_PROXY="http://p") is None


@pytest.mark.parametrize(
    ("uri", "entry", "exempt"),
    [
        ("http://t.ml", "*", True),
        ("http://10.0.0.1", "*", True),
        ("http://t.ml", "ml", True),
        ("http://t.ml", ".t.ml", True),
        ("http://t.ml", "T.ML", True),
        ("http://t.ml:5000", "t.ml:5000", True),
        ("http://t.ml:5000", "t.ml:5001", False),
        ("http://t.ml", "t.com", False),
        ("http://10.1.2.3", "10.0.0.0/8", True),
        ("http://10.1.2.3", "10.1.2.3", True),
        ("http://10.1.2.3", "192.168.0.0/16", False),
        ("http://10.1.2.3", "t.ml", False),
        ("http://[2001:db8::1]", "2001:db8::/32", False),
        ("http://[2001:db8::1]", "2001:db8::1", True),
        ("http://t.ml", "x,*", False),
        ("http://t.ml", "t.ml:80", False),
        ("http://t.ml.", "t.ml", False),
        ("http://t.ml", "l", False),
        ("http://t.ml.", ".", True),
        ("http://10.1.2.3", "2.3", True),
        ("http://10.1.2.3", "10/8", False),
        ("http://10.1.2.3", "0.0.0.0/0", False),
        ("http://10.1.2.3", "012.0x1.0.0/16", True),
        ("http://10.1.2.3", "10.1.2.3/33", False),
        ("http://10.1.2.3", "10.256/16", False),
        ("http://10.1.2.3", "10.1.2.3/x", False),
        ("http://10.1.2.3", "09.0.0.0/8", False),
        ("http://10.1.2.3", "10.1.2.3.4/8", False),
        ("http://10.1.2.3", "x/8", False),
        ("http://10.1.2.3", "300.1.2.3/8", False),
        ("http://10.1.2.3", "10.1.2.300/8", False),
        ("http://t.ml", ".T.ml, x", True),
    ],
)
def test_servers_are_exempted_by_name_port_or_range(
    uri: str, entry: str, exempt: bool
) -> None:
    """`NO_PROXY` as `requests` reads it."""
    named = proxy_for(uri, HTTP_PROXY="http://p", NO_PROXY=entry)

    assert (named is None) == exempt


def test_an_empty_variable_in_lower_case_stands_for_none() -> None:
    """Python drops what is set in upper case; `requests` reads `NO_PROXY` again."""
    assert proxy_for("http://t", http_proxy="", HTTP_PROXY="http://p") is None
    assert proxy_for("http://t", Http_Proxy="http://p") == "Http_Proxy"
    assert (
        proxy_for("http://t", HTTP_PROXY="http://p", no_proxy="", NO_PROXY="t") is None
    )


def test_a_proxy_is_one_host() -> None:
    """Databases alone have several, or none."""
    _, findings = Proxies.read({"ALL_PROXY": "postgresql:///x?host=a,b"})

    assert [f.reason for f in findings] == [EgressReason.MALFORMED_URI]


def test_a_malformed_proxy_is_reported_and_not_used() -> None:
    """Its value may hold a password."""
    proxies, findings = Proxies.read({"HTTPS_PROXY": "http://u:p@:x"})

    assert proxies.for_server(server("https://t")) is None
    assert [(f.reason, f.subject) for f in findings] == [
        (EgressReason.MALFORMED_URI, "HTTPS_PROXY")
    ]
    assert "u:p" not in findings[0].message
