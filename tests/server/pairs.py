"""Certificates made in memory, good ones and every kind of broken one."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "tracking-injector.test.svc"
DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PemPair:
    """A certificate and its key, as the two files hold them."""

    crt: bytes
    key: bytes

    def write(self, directory: Path) -> None:
        """Write both files, one after the other."""
        (directory / "tls.crt").write_bytes(self.crt)
        (directory / "tls.key").write_bytes(self.key)


def issue(
    *,
    begins: dt.timedelta = -DAY,
    ends: dt.timedelta = DAY,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    password: bytes = b"",
) -> PemPair:
    """A self-signed pair for `HOST`, valid from `begins` to `ends` around now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - validity is about the real clock
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), False)
        .add_extension(x509.ExtendedKeyUsage([usage]), False)
        .sign(key, hashes.SHA256())
    )
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return PemPair(
        crt=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            encryption,
        ),
    )
