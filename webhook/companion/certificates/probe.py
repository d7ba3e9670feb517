"""Probes webhook replicas for their certificate the way kube-apiserver connects.

HTTP/1.1 only, the Service's name as server name, and the `caBundle` as the only trust:
what is accepted here is accepted there.
"""

import hashlib
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

from certs.state import ReplicaCertificate

TIMEOUT: Final = 3.0
"""Seconds for one handshake. A healthy replica needs milliseconds; a slower one is not
attested, and the rotation waits."""
_WORKERS: Final = 16
"""Replicas probed at the same time: few processes, many replicas."""


class ReplicaAddress(NamedTuple):
    """Where a replica listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


Dial = Callable[[ReplicaAddress, float], socket.socket]
"""Connects to a replica within seconds, or raises `OSError`."""


def connect(replica: ReplicaAddress, timeout: float) -> socket.socket:
    """Connect to a replica's own address."""
    return socket.create_connection(replica, timeout=timeout)


@dataclass(frozen=True, slots=True)
class TlsProber:
    """Probes replicas for their certificate.

    Attributes:
        server_name: the server name that API servers ask for.
        timeout: seconds for each connection.
        dial: connects to a replica in another way than directly.
    """

    server_name: str
    timeout: float = TIMEOUT
    dial: Dial = connect

    def __call__(
        self, replicas: tuple[ReplicaAddress, ...], bundle: bytes
    ) -> tuple[ReplicaCertificate, ...]:
        """Return what each replica serves, and whether this bundle trusts it.

        Args:
            replicas: where they listen.
            bundle: PEM; empty trusts nobody.

        Returns:
            One answer for each replica, in order, also for those that do not answer.
        """
        if not replicas:
            return ()
        with ThreadPoolExecutor(min(_WORKERS, len(replicas))) as pool:
            return tuple(pool.map(lambda one: self.probe(one, bundle), replicas))

    def probe(self, replica: ReplicaAddress, bundle: bytes) -> ReplicaCertificate:
        """Return one replica's answer; connects again when it is not trusted."""
        der, trusted = self.certificate(replica, bundle)
        leaf = hashlib.sha256(der).hexdigest() if der else ""
        return ReplicaCertificate(replica=str(replica), leaf=leaf, trusted=trusted)

    def certificate(self, replica: ReplicaAddress, bundle: bytes) -> tuple[bytes, bool]:
        """Return what a replica serves, as DER, and whether the bundle trusts it.

        Empty where it does not answer a handshake.
        """
        der = self._served(replica, _trusting(bundle)) if bundle else b""
        return (der, True) if der else (self._served(replica, _unverified()), False)

    def _served(self, replica: ReplicaAddress, context: ssl.SSLContext | None) -> bytes:
        if context is None:
            return b""
        try:
            with (
                self.dial(replica, self.timeout) as plain,
                context.wrap_socket(plain, server_hostname=self.server_name) as tls,
            ):
                return tls.getpeercert(binary_form=True) or b""
        except (OSError, ValueError):  # ssl.SSLError; a host that is no name
            return b""


def _trusting(bundle: bytes) -> ssl.SSLContext | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_verify_locations(cadata=bundle.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError):
        return None
    return context


def _unverified() -> ssl.SSLContext:
    """Return a context to read what an untrusted replica serves; it sends nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
