"""Judges certificates: sound or not, and whether due.

Two questions, apart because only one of them changes with time. `load` proves that
three PEM blobs belong together and makes a `Generation` of them; `check` says whether
a generation fits a policy at a given time. `assess` asks both. For fixed material, the
reasons of `check` only ever move forward in time: premature, ok, expiring, expired.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.model import Generation, Material, fingerprint, root_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from certs.policy import CertificatePolicy

__all__ = [
    "CertificateReason",
    "CertificateVerdict",
    "assess",
    "check",
    "load",
    "load_strict",
]

_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class CertificateReason(StrEnum):
    """Why a certificate is fit for service or not: also a metric label."""

    OK = "Ok"
    MISSING = "Missing"
    UNPARSABLE = "Unparsable"
    KEY_MISMATCH = "KeyMismatch"
    CHAIN_BROKEN = "ChainBroken"
    WEAK = "Weak"
    FOREIGN = "Foreign"
    WRONG_NAMES = "WrongNames"
    PREMATURE = "Premature"
    EXPIRING = "Expiring"
    EXPIRED = "Expired"


@dataclass(frozen=True, slots=True)
class CertificateVerdict:
    """A reason and the sentence a person reads."""

    reason: CertificateReason
    detail: str

    @property
    def is_ok(self) -> bool:
        """Whether the certificate needs nothing done."""
        return self.reason is CertificateReason.OK


def assess(
    material: Material,
    policy: CertificatePolicy,
    now: datetime,
    known: Collection[str] | None = None,
) -> CertificateVerdict:
    """Whether a Secret's content can serve, and for how much longer.

    Args:
        material: PEM bytes as the Secret holds them.
        policy: Names and margins.
        now: UTC.
        known: Fingerprints of the roots that are ours; None accepts any.

    Returns:
        The first reason against it, or `ok`.
    """
    found = load(material)
    if isinstance(found, CertificateVerdict):
        return found
    if known is not None and found.root.fingerprint not in known:
        return CertificateVerdict(
            CertificateReason.FOREIGN, "a CA that is not ours signed the certificate"
        )
    return check(found, policy, now)


def check(
    generation: Generation, policy: CertificatePolicy, now: datetime
) -> CertificateVerdict:
    """Whether a sound generation fits the policy at this time."""
    absent = [name for name in policy.names if name not in generation.names]
    if absent:
        return CertificateVerdict(
            CertificateReason.WRONG_NAMES, f"the certificate lacks {absent[0]}"
        )
    until = f"{generation.not_after:%Y-%m-%d %H:%M:%S} UTC"
    if now > generation.not_after:
        return CertificateVerdict(
            CertificateReason.EXPIRED, f"the certificate expired at {until}"
        )
    # Issued by a clock one skew ahead and judged by one that is one skew behind.
    if now < generation.not_before - 2 * policy.skew:
        return CertificateVerdict(
            CertificateReason.PREMATURE,
            f"the certificate starts at {generation.not_before:%Y-%m-%d %H:%M:%S} UTC",
        )
    if now >= generation.not_after - policy.renew_before:
        return CertificateVerdict(
            CertificateReason.EXPIRING, f"the certificate ends at {until}"
        )
    return CertificateVerdict(
        CertificateReason.OK, f"the certificate is good until {until}"
    )


def load(material: Material) -> Generation | CertificateVerdict:
    """Prove that CA, leaf and key belong together.

    Returns:
        The generation, or the first reason why there is none.
    """
    blobs = (
        ("CA certificate", material.ca),
        ("certificate", material.leaf),
        ("key", material.key),
    )
    for name, blob in blobs:
        if not blob:
            return CertificateVerdict(CertificateReason.MISSING, f"the {name} is empty")
    try:
        ca = _only(x509.load_pem_x509_certificates(material.ca), "CA certificate")
        leaf = _only(x509.load_pem_x509_certificates(material.leaf), "certificate")
        # TypeError is how an encrypted key is reported.
        key = serialization.load_pem_private_key(material.key.reveal(), None)
        names = _dns_names(leaf)
        # None or a verdict, and a verdict is always true.
        flaw = _mismatch(leaf, key) or _broken(ca, leaf) or _weakness(ca, leaf)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The parser's own words may quote its input; the type cannot.
        kind = type(error).__name__
        return CertificateVerdict(
            CertificateReason.UNPARSABLE, f"the PEM cannot be read ({kind})"
        )
    if flaw is not None:
        return flaw
    return Generation(
        root_of(ca),
        leaf.public_bytes(serialization.Encoding.PEM),
        material.key,
        fingerprint(leaf),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        names,
    )


def load_strict(material: Material) -> Generation:
    """The generation that `load` finds.

    Raises:
        ValueError: There is none; the message says why.
    """
    found = load(material)
    if isinstance(found, CertificateVerdict):
        raise ValueError(found.detail)  # noqa: TRY004 - the content, not the type
    return found


def _only(found: list[x509.Certificate], name: str) -> x509.Certificate:
    if len(found) != 1:
        raise ValueError(f"expected one {name}, found {len(found)}")
    return found[0]


def _dns_names(leaf: x509.Certificate) -> frozenset[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(found.value.get_values_for_type(x509.DNSName))


def _mismatch(leaf: x509.Certificate, key: object) -> CertificateVerdict | None:
    public = getattr(key, "public_key", lambda: None)()
    if public == leaf.public_key():
        return None
    return CertificateVerdict(
        CertificateReason.KEY_MISMATCH, "the key belongs to another certificate"
    )


def _broken(ca: x509.Certificate, leaf: x509.Certificate) -> CertificateVerdict | None:
    """Whatever would keep a TLS client from building the chain."""

    def verdict(detail: str) -> CertificateVerdict:
        return CertificateVerdict(CertificateReason.CHAIN_BROKEN, detail)

    try:
        leaf.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return verdict("the CA did not sign the certificate")
    try:
        constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound as error:
        return verdict(f"an extension is missing: {error.oid.dotted_string}")
    if not (constraints.value.ca and usage.value.key_cert_sign):
        return verdict("the CA certificate may not sign certificates")
    if ExtendedKeyUsageOID.SERVER_AUTH not in purposes.value:
        return verdict("the certificate is not one for servers")
    if leaf.not_valid_after_utc > ca.not_valid_after_utc:
        return verdict("the certificate outlives its CA")
    return None


def _weakness(
    ca: x509.Certificate, leaf: x509.Certificate
) -> CertificateVerdict | None:
    for certificate in (ca, leaf):
        key = certificate.public_key()
        strong = (
            (isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256)
            or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048)
            or isinstance(key, ed25519.Ed25519PublicKey)
        )
        digest = certificate.signature_hash_algorithm
        # Ed25519 signatures name no digest of their own.
        if not strong or not (digest is None or isinstance(digest, _STRONG)):
            return CertificateVerdict(
                CertificateReason.WEAK, "a key or a signature is too weak"
            )
    return None
