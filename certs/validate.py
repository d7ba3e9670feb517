"""Validates certificates.

Two functions, because only one answer changes with time: `load` proves that three PEM
blobs belong together and makes a `Generation` of them; `check` says whether a
generation fits a policy at a given time. For fixed material, the reasons of `check`
only ever move forward in time: premature, ok, expiring, expired.
"""

from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.model import Generation, Material, fingerprint, root_of
from certs.policy import CertificatePolicy

_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class CertificateReason(StrEnum):
    """Why a certificate can serve or not."""

    OK = "Ok"
    MISSING = "Missing"
    UNPARSABLE = "Unparsable"
    KEY_MISMATCH = "KeyMismatch"
    CHAIN_BROKEN = "ChainBroken"
    WEAK = "Weak"
    WRONG_NAMES = "WrongNames"
    PREMATURE = "Premature"
    EXPIRING = "Expiring"
    EXPIRED = "Expired"


def check(
    generation: Generation, policy: CertificatePolicy, now: datetime
) -> CertificateReason:
    """Return whether a generation fits the policy at this time."""
    if not generation.names.issuperset(policy.names):
        return CertificateReason.WRONG_NAMES
    if now > generation.not_after:
        return CertificateReason.EXPIRED
    # Issued by a clock one skew ahead and judged by one that is one skew behind.
    if now < generation.not_before - 2 * policy.skew:
        return CertificateReason.PREMATURE
    if now >= generation.not_after - policy.renew_before:
        return CertificateReason.EXPIRING
    return CertificateReason.OK


def load(material: Material) -> Generation | CertificateReason:
    """Prove that CA, leaf and key belong together.

    Returns:
        The generation, or the first reason why there is none.
    """
    if not (material.ca and material.leaf and material.key):
        return CertificateReason.MISSING
    try:
        ca = _only(x509.load_pem_x509_certificates(material.ca))
        leaf = _only(x509.load_pem_x509_certificates(material.leaf))
        # TypeError is how an encrypted key is reported.
        key = serialization.load_pem_private_key(material.key.reveal(), None)
        names = _dns_names(leaf)
        reason = _reason_against(ca, leaf, key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return CertificateReason.UNPARSABLE
    if reason is not None:
        return reason
    return Generation(
        root=root_of(ca),
        leaf=leaf.public_bytes(serialization.Encoding.PEM),
        key=material.key,
        fingerprint=fingerprint(leaf),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        names=names,
    )


def load_strict(material: Material) -> Generation:
    """Return the generation that `load` finds.

    Raises:
        ValueError: there is none; the message says why.
    """
    found = load(material)
    if isinstance(found, CertificateReason):
        raise ValueError(found.value)  # noqa: TRY004 - the content, not the type
    return found


def _only(found: list[x509.Certificate]) -> x509.Certificate:
    if len(found) != 1:
        raise ValueError(f"expected one certificate, found {len(found)}")
    return found[0]


def _dns_names(leaf: x509.Certificate) -> frozenset[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(found.value.get_values_for_type(x509.DNSName))


def _reason_against(
    ca: x509.Certificate, leaf: x509.Certificate, key: object
) -> CertificateReason | None:
    public = getattr(key, "public_key", lambda: None)()
    if public != leaf.public_key():
        return CertificateReason.KEY_MISMATCH
    if not _is_chain(ca, leaf):
        return CertificateReason.CHAIN_BROKEN
    strong = _is_strong(ca) and _is_strong(leaf)
    return None if strong else CertificateReason.WEAK


def _is_chain(ca: x509.Certificate, leaf: x509.Certificate) -> bool:
    """Return whether a TLS client can build the chain."""
    try:
        leaf.verify_directly_issued_by(ca)
        constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return (
        constraints.value.ca
        and usage.value.key_cert_sign
        and ExtendedKeyUsageOID.SERVER_AUTH in purposes.value
        and leaf.not_valid_after_utc <= ca.not_valid_after_utc
    )


def _is_strong(certificate: x509.Certificate) -> bool:
    key, digest = certificate.public_key(), certificate.signature_hash_algorithm
    strong = (
        (isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256)
        or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048)
        or isinstance(key, ed25519.Ed25519PublicKey)
    )
    # Ed25519 signatures name no digest of their own.
    return strong and (digest is None or isinstance(digest, _STRONG))
