"""Keys and certificates of one control plane, made anew for each.

RSA client keys in PKCS#1, because Spark's Kubernetes client reads no others.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_LIFE: Final = datetime.timedelta(days=2)
_SKEW: Final = datetime.timedelta(minutes=5)

_SIGNS: Final = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority whose key exists in this process only."""

    def __init__(self, folder: Path, *, now: datetime.datetime) -> None:
        """Make one.

        Args:
            folder: Where it writes certificates.
            now: The current time, UTC.
        """
        self._folder = folder
        self._now = now
        self._key = _rsa_key()
        self._name = _name("tracking-injector lab")
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = folder / "ca.crt"
        self.certificate.write_bytes(_pem(certificate))

    def issue(
        self,
        file: str,
        *,
        user: str,
        groups: tuple[str, ...] = (),
        addresses: Sequence[str] = (),
    ) -> Pair:
        """Issue a certificate.

        Args:
            file: Stem of the two files.
            user: Common name; to the API server, the user.
            groups: Organizations; to the API server, the user's groups.
            addresses: Where it serves, if it does.
        """
        key = _rsa_key()
        builder = self._builder(
            _name(user, *groups), key.public_key()
        ).add_extension(  # Python 3.13 insists on it
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
            critical=False,
        )
        if addresses:
            names = [
                x509.DNSName("localhost"),
                x509.DNSName("kubernetes.default.svc"),
                *(x509.IPAddress(ipaddress.ip_address(a)) for a in addresses),
            ]
            builder = builder.add_extension(
                x509.SubjectAlternativeName(names), critical=False
            )
        pair = Pair(
            certificate=self._folder / f"{file}.crt", key=self._folder / f"{file}.key"
        )
        pair.certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        write_key(pair.key, key)
        return pair

    def _builder(
        self, subject: x509.Name, public_key: rsa.RSAPublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _SKEW)
            .not_valid_after(self._now + _LIFE)
        )


def service_account_keys(folder: Path) -> Pair:
    """Make the key pair that signs ServiceAccount tokens; `certificate` is public."""
    key = _rsa_key()
    pair = Pair(certificate=folder / "sa.pub", key=folder / "sa.key")
    pair.certificate.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
    )
    write_key(pair.key, key)
    return pair


def write_key(path: Path, key: rsa.RSAPrivateKey) -> None:
    """Write a private key in PKCS#1, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(user: str, *groups: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        + [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
