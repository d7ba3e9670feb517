"""Addresses and ranges, read as Kubernetes reads them.

API servers up to 1.35 take octets with leading zeros and read them as decimal numbers,
and what they once took stays stored.
"""

import re
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_ZEROS: Final = re.compile(r"(?<![0-9])0+(?=[0-9])")


def read_address(text: Any) -> Address | None:
    """Return the address that a text means; None when it means none.

    One with a zone means a different host on every node, so it is none.
    """
    if not isinstance(text, str) or "%" in text:
        return None
    try:
        address = ip_address(_decimal(text))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def read_network(text: Any) -> Network:
    """Return the range that a text means.

    Raises:
        ValueError: It means none.
    """
    if not isinstance(text, str) or "%" in text:
        raise ValueError(f"{text!r} is no range of addresses")
    return ip_network(_decimal(text), strict=False)


def address_key(address: Address) -> tuple[int, int]:
    """Return what sorts IPv4 before IPv6, each by number."""
    return address.version, int(address)


def _decimal(text: str) -> str:
    """Return a text without zeros ahead of IPv4 octets, which may end an IPv6 one."""
    head, colon, tail = text.rpartition(":")
    return head + colon + _ZEROS.sub("", tail) if "." in tail else text
