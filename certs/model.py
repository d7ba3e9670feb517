"""Certificates and keys as values.

No `repr`, `str` or `format` of anything here shows a private key; `reveal` is the only
way to one.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key in PEM that does not print itself."""

    _pem: bytes = field(repr=False)

    def reveal(self) -> bytes:
        """Return the PEM bytes, for a Secret or a TLS context and nothing else."""
        return self._pem

    def __bool__(self) -> bool:
        """Return whether there are any bytes at all."""
        return bool(self._pem)

    def __repr__(self) -> str:
        """Return three stars, whatever the key is."""
        return "***"

    def __format__(self, spec: str) -> str:
        """Return three stars, whatever the key and the format are."""
        return format("***", spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a Secret holds, not validated: PEM bytes that may be anything.

    Attributes:
        ca: the CA certificate.
        leaf: the serving certificate.
        key: the serving certificate's key.
    """

    ca: bytes = b""
    leaf: bytes = b""
    key: PrivateKey = PrivateKey(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One CA certificate of a bundle.

    Attributes:
        pem: canonical PEM, one block, newline at the end.
        fingerprint: SHA-256 of the DER, lower-case hex.
        not_before: start of validity, UTC.
        not_after: end of validity, UTC.
    """

    pem: bytes = field(repr=False)
    fingerprint: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A CA certificate with the one leaf it ever signed, validated when made.

    Attributes:
        root: the CA's certificate; its key no longer exists.
        leaf: the serving certificate, canonical PEM.
        key: the serving certificate's key.
        fingerprint: SHA-256 of the leaf's DER, lower-case hex.
        not_before: start of the leaf's validity, UTC.
        not_after: end of the leaf's validity, UTC; never after the root's.
        names: the leaf's DNS names.
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
        """Return the same as PEM, for a Secret."""
        return Material(ca=self.root.pem, leaf=self.leaf, key=self.key)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate's DER, lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def root_of(certificate: x509.Certificate) -> Root:
    """Return a parsed certificate as a bundle's entry."""
    return Root(
        pem=certificate.public_bytes(serialization.Encoding.PEM),
        fingerprint=fingerprint(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
