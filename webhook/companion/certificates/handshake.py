"""Shakes hands with webhook replicas the way kube-apiserver does.

HTTP/1.1 only, the Service's name as server name, and the `caBundle` as the only trust:
what passes here passes there.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

from certs.state import ReplicaCertificate

PATIENCE: Final = 3.0
"""Seconds for one handshake. A healthy replica needs milliseconds; who needs longer is
not attested, and the rotation waits."""
_AT_ONCE: Final = 16
"""Replicas asked at the same time: few processes, many replicas."""


class Address(NamedTuple):
    """Where a replica listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """`host:port`, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Handshakes:
    """Asks replicas for their certificate.

    Attributes:
        name: The server name that API servers ask for.
        seconds: Patience for each connection.
    """

    name: str
    seconds: float = PATIENCE

    def __call__(
        self, replicas: tuple[Address, ...], bundle: bytes
    ) -> tuple[ReplicaCertificate, ...]:
        """What each replica shows, and whether this bundle trusts it.

        Args:
            replicas: Where they listen.
            bundle: PEM; empty trusts nobody.

        Returns:
            One answer for each replica, in order, also for those that do not answer.
        """
        if not replicas:
            return ()
        with ThreadPoolExecutor(min(_AT_ONCE, len(replicas))) as pool:
            return tuple(pool.map(lambda replica: self.ask(replica, bundle), replicas))

    def ask(self, replica: Address, bundle: bytes) -> ReplicaCertificate:
        """One replica's answer; two connections when the first is not trusted."""
        leaf = self._leaf(replica, _trusting(bundle)) if bundle else ""
        if leaf:
            return ReplicaCertificate(replica=str(replica), leaf=leaf, trusted=True)
        leaf = self._leaf(replica, _blind())
        return ReplicaCertificate(replica=str(replica), leaf=leaf, trusted=False)

    def _leaf(self, replica: Address, context: ssl.SSLContext | None) -> str:
        if context is None:
            return ""
        try:
            with (
                socket.create_connection(replica, timeout=self.seconds) as plain,
                context.wrap_socket(plain, server_hostname=self.name) as tls,
            ):
                der = tls.getpeercert(binary_form=True)
        except OSError:  # ssl.SSLError is one
            return ""
        return hashlib.sha256(der or b"").hexdigest()


def _trusting(bundle: bytes) -> ssl.SSLContext | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_verify_locations(cadata=bundle.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError):
        return None
    return context


def _blind() -> ssl.SSLContext:
    """Only to read what an untrusted replica shows; nothing is sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
