"""Issues a generation: a CA that signs one certificate and is then without a key.

The CA's private key lives in one local variable of `issue` and is part of no value
that leaves it, so it can be neither stored nor stolen.
"""

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.model import Generation, Material, PrivateKey
from certs.policy import CertificatePolicy
from certs.validate import load_strict

_PEM = serialization.Encoding.PEM


def issue(policy: CertificatePolicy, now: datetime) -> Generation:
    """Return a new CA and its one leaf, valid from `now - backdate` to `now + life`.

    P-256 with SHA-256 throughout: every TLS client of a control plane supports it, FIPS
    builds included. Subject and key identifiers are unique to the generation, so that
    verifiers which look a CA up by name find the right one of two.

    Args:
        policy: names and durations.
        now: UTC; fractions of a second are dropped, X.509 has none.

    Returns:
        The generation, validated by `load_strict`.
    """
    ca_key = ec.generate_private_key(ec.SECP256R1())
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    ca_name = _name(f"tracking-injector CA {serial:040x}")
    leaf_name = _name("tracking-injector webhook")
    ca = (
        _draft(policy, now, ca_name, ca_name)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    leaf = _for_a_server(policy, _draft(policy, now, leaf_name, ca_name))
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        _subject_id(ca_key)
    )
    leaf = leaf.add_extension(issuer_id, critical=False)
    key = leaf_key.private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return load_strict(
        Material(
            ca=_signed(ca, ca_key, ca_key),
            leaf=_signed(leaf, leaf_key, ca_key),
            key=PrivateKey(key),
        )
    )


def _for_a_server(
    policy: CertificatePolicy, leaf: x509.CertificateBuilder
) -> x509.CertificateBuilder:
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in policy.names])
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    no_ca = x509.BasicConstraints(ca=False, path_length=None)
    return (
        leaf.serial_number(x509.random_serial_number())
        .add_extension(no_ca, critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(purpose, critical=False)
        .add_extension(names, critical=False)
    )


def _signed(
    draft: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> bytes:
    """Return the certificate of `key`, as PEM."""
    certificate = (
        draft.public_key(key.public_key())
        .add_extension(_subject_id(key), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(_PEM)


def _draft(
    policy: CertificatePolicy, now: datetime, subject: x509.Name, issuer: x509.Name
) -> x509.CertificateBuilder:
    now = now.replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .not_valid_before(now - policy.backdate)
        .not_valid_after(now + policy.life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _subject_id(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
