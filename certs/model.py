"""Certificates and keys as values.

No `repr`, `str` or `format` of anything here shows a private key; `reveal` is the only
way to one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

__all__ = ["Generation", "Material", "PrivateKey", "Root", "fingerprint", "root_of"]


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key in PEM that does not print itself."""

    _pem: bytes = field(repr=False)

    def reveal(self) -> bytes:
        """The PEM bytes, for a Secret or a TLS context and nothing else."""
        return self._pem

    def __bool__(self) -> bool:
        """Whether there are any bytes at all."""
        return bool(self._pem)

    def __repr__(self) -> str:
        """Three stars, whatever the key is."""
        return "***"

    def __format__(self, spec: str) -> str:
        """Three stars, whatever the key and the format are."""
        return format("***", spec)


@dataclass(frozen=True, slots=True)
class Material:
    """What a Secret holds, unjudged: PEM bytes that may be anything.

    Attributes:
        ca: The CA certificate.
        leaf: The serving certificate.
        key: The serving certificate's key.
    """

    ca: bytes = b""
    leaf: bytes = b""
    key: PrivateKey = PrivateKey(b"")


@dataclass(frozen=True, slots=True)
class Root:
    """One CA certificate of a bundle.

    Attributes:
        pem: Canonical PEM, one block, newline at the end.
        fingerprint: SHA-256 of the DER, lower-case hex.
        not_before: Start of validity, UTC.
        not_after: End of validity, UTC.
    """

    pem: bytes = field(repr=False)
    fingerprint: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Generation:
    """A CA certificate with the one leaf it ever signed: proven sound when made.

    Attributes:
        root: The CA's certificate; its key no longer exists.
        leaf: The serving certificate, canonical PEM.
        key: The serving certificate's key.
        fingerprint: SHA-256 of the leaf's DER, lower-case hex.
        not_before: Start of the leaf's validity, UTC.
        not_after: End of the leaf's validity, UTC; never after the root's.
        names: The leaf's DNS names.
    """

    root: Root
    leaf: bytes = field(repr=False)
    key: PrivateKey
    fingerprint: str
    not_before: datetime
    not_after: datetime
    names: frozenset[str]

    @property
    def material(self) -> Material:
        """The same as PEM, for a Secret."""
        return Material(self.root.pem, self.leaf, self.key)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate's DER, lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def root_of(certificate: x509.Certificate) -> Root:
    """A parsed certificate as a bundle's entry."""
    return Root(
        certificate.public_bytes(serialization.Encoding.PEM),
        fingerprint(certificate),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )
