"""Bundles of CA certificates: parse, unite, render.

Canonical: the same set of certificates gives the same bytes, whatever order, spacing
or comments they were read with, so that comparing bytes is comparing trust.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509

from certs.model import Root, root_of

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)


def parse(pem: bytes) -> tuple[Root, ...]:
    """Return every readable certificate of a bundle, canonical; leave out the rest.

    A bundle may have been written by anybody: one bad block must not hide the others.
    """
    roots = []
    for block in _BLOCK.findall(pem):
        try:
            roots.append(root_of(x509.load_pem_x509_certificate(block)))
        except ValueError:
            continue
    return union(roots)


def first(pem: bytes) -> Root | None:
    """Return the first certificate of a chain, the one that is served, or None."""
    return next((root for block in _BLOCK.findall(pem) for root in parse(block)), None)


def union(*groups: Iterable[Root]) -> tuple[Root, ...]:
    """Return all roots of all groups, each once, oldest first."""
    unique = {root.fingerprint: root for group in groups for root in group}
    return tuple(
        sorted(unique.values(), key=lambda root: (root.not_before, root.fingerprint))
    )


def live(roots: Iterable[Root], now: datetime, skew: timedelta) -> tuple[Root, ...]:
    """Return the roots that are valid by some clock within the skew."""
    return tuple(root for root in roots if now <= root.not_after + skew)


def render(roots: Iterable[Root]) -> bytes:
    """Return the canonical PEM of a set of roots; empty for none."""
    return b"".join(root.pem for root in union(roots))
