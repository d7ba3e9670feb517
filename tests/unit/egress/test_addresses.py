"""Addresses are read as Kubernetes reads them."""

import pytest

from tests.unit.egress.sketch import ips
from webhook.egress.addresses import read_address, read_network


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("010.000.0.001", "10.0.0.1"),
        ("::ffff:010.0.0.1", "10.0.0.1"),
        ("64:ff9b::010.0.0.1", "64:ff9b::a00:1"),
        ("2001:db8:0000::0001", "2001:db8::1"),
    ],
)
def test_zeros_ahead_of_a_number_are_nothing(text: str, meant: str) -> None:
    """They are decimal, not octal; and IPv4 within IPv6 is IPv4."""
    assert (read_address(text),) == ips(meant)


@pytest.mark.parametrize(
    "text", [None, 5, "", "None", "256.0.0.1", "x", "fe80::1%eth0", "10.0.0.1/32", []]
)
def test_what_means_no_address_is_none(text: object) -> None:
    """No error ends the object that holds it."""
    assert read_address(text) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("010.0.0.0/08", "10.0.0.0/8"),
        ("10.1.2.3/24", "10.1.2.0/24"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_ranges_are_read_alike(text: str, meant: str) -> None:
    """Bits beyond the mask are left out."""
    assert str(read_network(text)) == meant


@pytest.mark.parametrize("text", [None, 5, "x", "10.0.0.0/33", "fe80::%1/64"])
def test_what_means_no_range_is_an_error(text: object) -> None:
    """A policy with it is told of; to read it otherwise would permit too much."""
    with pytest.raises(ValueError, match=r"."):
        read_network(text)
