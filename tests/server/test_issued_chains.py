"""What `certs` issues, judged by real handshakes and by OpenSSL's own command."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from certs import bundle
from certs.issue import issue
from certs.policy import CertificatePolicy
from certs.state import ReplicaCertificate
from webhook.companion.certificates.probe import ReplicaAddress, TlsProber

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from certs.model import Generation

NAME = "injector.system.svc"
POLICY = CertificatePolicy(names=(NAME,))
NOW = datetime.now(UTC)  # noqa: TID251 - OpenSSL reads the clock itself
OLD, NEW = issue(POLICY, NOW - timedelta(days=60)), issue(POLICY, NOW)
BOTH = bundle.render([OLD.root, NEW.root])
ASK = TlsProber(NAME, timeout=2.0)


@contextmanager
def serving(generation: Generation, folder: Path) -> Iterator[ReplicaAddress]:
    """A TLS server on loopback with this pair."""
    path = folder / "pair.pem"
    path.write_bytes(generation.leaf + generation.key.reveal())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, context), daemon=True)
        thread.start()
        yield ReplicaAddress("127.0.0.1", listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(1)
        except OSError:
            connection.close()


@pytest.mark.parametrize("generation", [OLD, NEW], ids=["old", "new"])
def test_either_of_two_generations_is_trusted(
    generation: Generation, tmp_path: Path
) -> None:
    """The bundle of a rotation serves both sides of it."""
    with serving(generation, tmp_path) as address:
        assert ASK((address,), BOTH) == (
            ReplicaCertificate(
                replica=str(address), leaf=generation.fingerprint, trusted=True
            ),
        )


@pytest.mark.parametrize(
    "trust", [b"", b"no PEM", NEW.root.pem], ids=["nothing", "garbage", "another"]
)
def test_without_its_root_a_leaf_is_seen_but_not_trusted(
    trust: bytes, tmp_path: Path
) -> None:
    """So a rotation knows what is served even when the bundle is broken."""
    with serving(OLD, tmp_path) as address:
        assert ASK((address,), trust) == (
            ReplicaCertificate(
                replica=str(address), leaf=OLD.fingerprint, trusted=False
            ),
        )


def test_another_name_is_not_trusted(tmp_path: Path) -> None:
    """API servers ask for the GunicornApp's name."""
    with serving(NEW, tmp_path) as address:
        (served,) = TlsProber("other.system.svc", timeout=2.0)((address,), BOTH)

    assert (served.leaf, served.trusted) == (NEW.fingerprint, False)


def test_an_expired_leaf_is_not_trusted(tmp_path: Path) -> None:
    """Though its root is in the bundle."""
    expired = issue(POLICY, NOW - timedelta(days=91))

    with serving(expired, tmp_path) as address:
        (served,) = ASK((address,), expired.root.pem)

    assert (served.leaf, served.trusted) == (expired.fingerprint, False)


def test_who_does_not_answer_shows_nothing() -> None:
    """Refused, and silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (served,) = TlsProber(NAME, timeout=0.2)(
            (ReplicaAddress("127.0.0.1", port),), BOTH
        )
    (refused,) = ASK((ReplicaAddress("127.0.0.1", port),), BOTH)

    assert (served.leaf, refused.leaf) == ("", "")
    assert ASK((), BOTH) == ()


@pytest.mark.parametrize("generation", [OLD, NEW], ids=["old", "new"])
def test_openssl_verifies_the_chain_strictly(
    generation: Generation, tmp_path: Path
) -> None:
    """`-x509_strict` asks for every extension that RFC 5280 does."""
    (tmp_path / "bundle.pem").write_bytes(BOTH)
    (tmp_path / "leaf.pem").write_bytes(generation.leaf)

    done = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-purpose", "sslserver"),
            *("-verify_hostname", NAME, "-CAfile", tmp_path / "bundle.pem"),
            tmp_path / "leaf.pem",
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.rstrip().endswith("leaf.pem: OK"), done.stderr


def test_an_address_prints_as_people_write_it() -> None:
    """IPv6 in brackets."""
    assert str(ReplicaAddress("10.0.0.1", 8443)) == "10.0.0.1:8443"
    assert str(ReplicaAddress("fd00::1", 8443)) == "[fd00::1]:8443"
