"""Certificates that are wrong in one way each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.model import Material, PrivateKey
from certs.policy import CertificatePolicy
from certs.validate import CertificateReason, check, load

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
POLICY = CertificatePolicy(names=("injector.system.svc",))
PEM = serialization.Encoding.PEM
PLAIN = serialization.NoEncryption()

UNUSED = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | dsa.DSAPrivateKey


def elliptic() -> ec.EllipticCurvePrivateKey:
    """A key as we make them."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(slots=True, kw_only=True)
class Case:
    """What to deviate in; everything else is as `certs.issue` does it."""

    ca_key: Key = field(default_factory=elliptic)
    leaf_key: Key = field(default_factory=elliptic)
    ca: bool = True
    signs: bool = True
    constraints: bool = True
    purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH,)
    names: tuple[str, ...] = POLICY.names
    ca_life: timedelta = POLICY.life
    encryption: serialization.KeySerializationEncryption = PLAIN

    def material(self) -> Material:
        """The three blobs."""
        ca, leaf = self._ca(), self._leaf()
        key = self.leaf_key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, self.encryption
        )
        return Material(
            ca=ca.public_bytes(PEM), leaf=leaf.public_bytes(PEM), key=PrivateKey(key)
        )

    def _ca(self) -> x509.Certificate:
        draft = _draft("ca", self.ca_life).public_key(self.ca_key.public_key())
        usage = dict.fromkeys(UNUSED, False)
        draft = draft.add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=self.signs, **usage),
            critical=True,
        )
        if self.constraints:
            draft = draft.add_extension(
                x509.BasicConstraints(ca=self.ca, path_length=None), critical=True
            )
        return draft.sign(self.ca_key, hashes.SHA256())

    def _leaf(self) -> x509.Certificate:
        draft = _draft("leaf", POLICY.life).public_key(self.leaf_key.public_key())
        if self.names:
            names = x509.SubjectAlternativeName(map(x509.DNSName, self.names))
            draft = draft.add_extension(names, critical=False)
        if self.purposes:
            draft = draft.add_extension(
                x509.ExtendedKeyUsage(self.purposes), critical=False
            )
        return draft.sign(self.ca_key, hashes.SHA256())


def reason_of(material: Material) -> CertificateReason:
    """The first reason against a Secret's content, or `Ok`."""
    found = load(material)
    if isinstance(found, CertificateReason):
        return found
    return check(found, POLICY, NOW)


def _draft(name: str, life: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + life)
    )
