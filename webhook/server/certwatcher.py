"""The served certificate: read from a mounted Secret, proved, then swapped in.

A pair is loaded into a new context, which has to pass a handshake in memory before
it replaces the one in use; the context in use is never changed. So a half-written,
mismatched or expired pair is a counted problem while the last good one keeps serving.
Nobody calls the files' readers but `CertWatcher.check`.
"""

import contextlib
import hashlib
import os
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, cast

from webhook.server.metrics import Handshake

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"

FILE_LIMIT: Final = 1 << 20
"""A Secret holds at most 1 MiB."""


class Problem(StrEnum):
    """Why the files give no usable pair."""

    MISSING = "missing"
    NOT_A_FILE = "not-a-file"
    UNREADABLE = "unreadable"
    ENCRYPTED_KEY = "encrypted-key"
    NOT_A_PAIR = "not-a-pair"
    NOT_FOR_SERVERS = "not-for-servers"
    NOT_VALID_NOW = "not-valid-now"


class BadCertificateError(Exception):
    """The files give no usable pair; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem; the message is its value."""
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two files' bytes, as read from one state of the folder."""

    certificate: bytes
    key: bytes

    def digest(self) -> str:
        """Changes when either file does."""
        parts = hashlib.sha256(self.certificate), hashlib.sha256(self.key)
        return "".join(part.hexdigest() for part in parts)

    def __repr__(self) -> str:
        """Never the key."""
        return "Pair(***)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A proved pair.

    Attributes:
        context: Serves it; for new connections.
        fingerprint: SHA-256 of the certificate, in hexadecimal.
        not_before: Start of its validity, in UTC.
        not_after: End of its validity, in UTC.
    """

    context: ssl.SSLContext
    fingerprint: str
    not_before: datetime
    not_after: datetime

    def valid_at(self, now: datetime) -> bool:
        """Whether clients whose clock says `now` accept its validity."""
        return self.not_before <= now < self.not_after


class CertWatcher:
    """The certificate in use, and what was last found in the folder.

    Attributes:
        current: The last good one; `None` until there was one.
        problem: Of the last look; `None` when it was good.
    """

    def __init__(self, directory: Path) -> None:
        """Watch `directory`; nothing is read yet."""
        self._directory = directory
        self._digest = ""
        self.current: Certificate | None = None
        self.problem: Problem | None = None

    def check(self) -> bool:
        """Look at the files, and take their pair when it is new and good.

        A refused pair is tried again at each look: it may become valid, or be half
        of a change that is still being written.

        Returns:
            Whether `current` is a new one.
        """
        try:
            pair = read(self._directory)
            if pair.digest() == self._digest:
                self.problem = None
                return False
            self.current = load(pair)
        except BadCertificateError as error:
            self.problem = error.problem
            return False
        self._digest = pair.digest()
        self.problem = None
        return True


def read(directory: Path) -> Pair:
    """Read both files from one state of `directory`.

    The kubelet replaces a mounted Secret by turning the link `..data` to a new
    folder; following it once gives both files of the same folder.

    Raises:
        BadCertificateError: One of them cannot be read.
    """
    data = directory / "..data"
    with contextlib.suppress(OSError):
        directory = data.resolve(strict=True)
    return Pair(certificate=_file(directory / CERTIFICATE), key=_file(directory / KEY))


def _file(path: Path) -> bytes:
    """The bytes of a regular file; anything else cannot make the reader wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadCertificateError(Problem.MISSING) from None
    except OSError:
        raise BadCertificateError(Problem.UNREADABLE) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadCertificateError(Problem.NOT_A_FILE)
        return os.read(descriptor, FILE_LIMIT)
    except OSError:
        raise BadCertificateError(Problem.UNREADABLE) from None
    finally:
        os.close(descriptor)


def load(pair: Pair) -> Certificate:
    """Build a context for `pair` and shake hands with it in memory.

    Raises:
        BadCertificateError: The pair would not serve a client.
    """
    context = _server_context()
    try:
        with _as_path(pair) as path:
            context.load_cert_chain(path, password=_refuse_password)
        leaf = ssl.PEM_cert_to_DER_cert(_first(pair.certificate))
        facts = _shake_hands(context, leaf)
    except ssl.SSLCertVerificationError as error:
        dated = error.verify_code in _NOT_VALID_NOW
        problem = Problem.NOT_VALID_NOW if dated else Problem.NOT_FOR_SERVERS
        raise BadCertificateError(problem) from None
    except (ssl.SSLError, ValueError):
        raise BadCertificateError(Problem.NOT_A_PAIR) from None
    except OSError:  # out of descriptors or memory: better luck at the next look
        raise BadCertificateError(Problem.UNREADABLE) from None
    return Certificate(
        context=context,
        fingerprint=hashlib.sha256(leaf).hexdigest(),
        not_before=_moment(facts["notBefore"]),
        not_after=_moment(facts["notAfter"]),
    )


_NOT_VALID_NOW: Final = (9, 10)
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # kube-apiserver keeps no sessions: tickets would only cost each handshake, and
    # renegotiation lets a peer ask for work without end.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    # The client's order of ciphers: any that both know is good, and it knows which is
    # cheap on its side.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _refuse_password() -> str:
    """Without this OpenSSL would ask a terminal, and wait."""
    raise BadCertificateError(Problem.ENCRYPTED_KEY)


@contextlib.contextmanager
def _as_path(pair: Pair) -> Iterator[str]:
    """A path to both files' bytes, for OpenSSL loads from nothing else.

    The bytes are in memory and the same that were read, whatever the files say now.
    """
    both = pair.certificate + b"\n" + pair.key
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, both)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _first(pem: bytes) -> str:
    """The first certificate, which is the one that is served."""
    text = pem.decode("ascii")
    return text[text.index(_BEGIN) : text.index(_END) + len(_END)]


_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


def _shake_hands(context: ssl.SSLContext, leaf: bytes) -> dict[str, str]:
    """Connect a client that trusts `leaf` alone; return what it learned."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False  # the client of the cluster checks the name
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(cadata=leaf)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(up, down, server_side=True)
    client = trusting.wrap_bio(down, up)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return cast("dict[str, str]", client.getpeercert())


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def handshake_failure(problem: OSError) -> Handshake:
    """What ended a client's handshake."""
    if isinstance(problem, ssl.SSLEOFError):
        return Handshake.DISCONNECTED
    if isinstance(problem, ssl.SSLError):
        return _FAILURES.get(problem.reason or "", Handshake.OTHER)
    return Handshake.DISCONNECTED


_FAILURES: Final = {
    "HTTP_REQUEST": Handshake.NOT_TLS,
    "WRONG_VERSION_NUMBER": Handshake.NOT_TLS,
    "UNSUPPORTED_PROTOCOL": Handshake.OLD_PROTOCOL,
    "VERSION_TOO_LOW": Handshake.OLD_PROTOCOL,
    "NO_SHARED_CIPHER": Handshake.NO_COMMON_CIPHER,
    "TLSV1_ALERT_UNKNOWN_CA": Handshake.CERTIFICATE_REFUSED,
    "SSLV3_ALERT_BAD_CERTIFICATE": Handshake.CERTIFICATE_REFUSED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": Handshake.CERTIFICATE_REFUSED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": Handshake.CERTIFICATE_REFUSED,
}
"""OpenSSL's reasons, as `ssl.SSLError.reason` has them."""
