"""Certificates that are only names with dates.

A history of a hundred days then costs milliseconds: what the rotation decides on is the
same, and the code under test reads it through the same functions.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from certs import bundle
from certs.codec import decode_state
from certs.model import Generation, Material, PrivateKey, Root
from certs.validate import CertificateReason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from certs.policy import CertificatePolicy
    from certs.state import State

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----\n\w+\n-----END CERTIFICATE-----\n")


class Mint:
    """Issues certificates that are only names with dates, and knows them again."""

    def __init__(self) -> None:
        """Nothing issued yet."""
        self.roots: dict[bytes, Root] = {}
        self.generations: dict[Material, Generation] = {}
        self.states: dict[frozenset[tuple[str, str]], State] = {}

    def issue(self, policy: CertificatePolicy, now: datetime) -> Generation:
        """Stands for `certs.issue.issue`."""
        number = len(self.roots)
        span = now - policy.backdate, now + policy.life
        root = self.root(f"root{number}", span)
        found = Generation(
            root=root,
            leaf=f"leaf{number}".encode(),
            key=PrivateKey(f"key{number}".encode()),
            fingerprint=f"leaf{number}",
            not_before=span[0],
            not_after=span[1],
            names=frozenset(policy.names),
        )
        self.generations[found.material] = found
        return found

    def root(self, name: str, span: tuple[datetime, datetime]) -> Root:
        """A root of this name and validity."""
        text = f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"
        root = Root(
            pem=text.encode(), fingerprint=name, not_before=span[0], not_after=span[1]
        )
        self.roots[root.pem] = root
        return root

    def load(self, material: Material) -> Generation | CertificateReason:
        """Stands for `certs.validate.load`."""
        return self.generations.get(material, CertificateReason.MISSING)

    def decode_state(self, data: dict[str, str] | None) -> State:
        """As the codec does, but once for each content: this is what costs most."""
        key = frozenset((data or {}).items())
        if key not in self.states:
            self.states[key] = decode_state(data)
        return self.states[key]

    def parse(self, pem: bytes) -> tuple[Root, ...]:
        """Stands for `certs.bundle.parse`."""
        return bundle.union(
            self.roots[block] for block in _BLOCK.findall(pem) if block in self.roots
        )


@contextmanager
def abstract_material(mint: Mint) -> Iterator[None]:
    """Lets the code under test read the mint's certificates instead of X.509."""
    with (
        patch("certs.codec.load", mint.load),
        patch("webhook.companion.certificates.observe.load", mint.load),
        patch("webhook.companion.certificates.observe.decode_state", mint.decode_state),
        patch("certs.bundle.parse", mint.parse),
    ):
        yield
