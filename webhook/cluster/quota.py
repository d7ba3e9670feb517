"""What one namespace's objects may take up in an informer's store.

API servers take objects of 1.5 MB, and whoever may write in one namespace may write as
many as etcd holds. A namespace whose objects take too much pays for it alone: those
that do not fit are named and left out.
"""

import sys
from collections import Counter
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

NAMESPACE_BYTES: Final = 12 << 20
"""In one store: 14 000 task pods, or 20 000 addresses in policies."""

_ADDRESS: Final = 128
_NETWORK: Final = 560
_WHOLE: Final[dict[type, int]] = {
    IPv4Address: _ADDRESS,
    IPv6Address: _ADDRESS,
    IPv4Network: _NETWORK,
    IPv6Network: _NETWORK,
}
"""Bytes of values that are made of others, with these."""


class NamespaceUsage:
    """How much the projections of each namespace take up."""

    def __init__(self, limit: int = NAMESPACE_BYTES) -> None:
        """Start empty; `limit` is in bytes for each namespace."""
        self._limit = limit
        self._used: Counter[str] = Counter()

    def takes(self, namespace: str, projection: object) -> bool:
        """Count a projection, unless its namespace is full.

        Objects without a namespace are administrators', and are not bounded.
        """
        if not namespace:
            return True
        used = self._used[namespace]
        room = self._limit - used
        taken = footprint(projection, room)
        if taken > room:
            return False
        self._used[namespace] = used + taken
        return True

    def drop(self, namespace: str, projection: object) -> None:
        """Count a projection no more."""
        if namespace:
            self._used[namespace] -= footprint(projection)
            if not self._used[namespace]:
                del self._used[namespace]


def footprint(projection: object, enough: int = sys.maxsize) -> int:
    """Return about the bytes that a projection takes, as if it shared none.

    Counting ends above `enough`.
    """
    total, left = 0, [projection]
    while left and total <= enough:
        one = left.pop()
        kind = type(one)
        if not one or isinstance(one, bool | Enum):
            continue  # there is one of each in the whole process
        total += _WHOLE.get(kind) or sys.getsizeof(one)
        if isinstance(one, tuple | list | frozenset | set):
            left.extend(one)
        elif isinstance(one, dict):
            left.extend(one)
            left.extend(one.values())
        elif kind not in _WHOLE and not isinstance(one, str | int):
            left.extend(getattr(one, name) for name in getattr(kind, "__slots__", ()))
    return total
