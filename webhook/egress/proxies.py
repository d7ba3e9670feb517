"""Whether a client dials a server or its proxy.

The variables mean what the `requests` library makes of them, which MLflow and most
tracking clients use: per scheme, lower case before upper case, and `NO_PROXY` matched
against the end of the host, against host and port, or against a range of addresses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.uri import MalformedUriError, ServerAddress, server


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the key that names it."""

    server: ServerAddress
    origin: str


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of an environment.

    Attributes:
        by_scheme: For `http` and `https`.
        exempt: The entries of `NO_PROXY`.
    """

    by_scheme: Mapping[str, Proxy]
    exempt: tuple[str, ...]

    @classmethod
    def read(cls, keys: Mapping[str, str]) -> tuple["Proxies", list[Finding]]:
        """Read the proxy variables among the keys; bad ones become findings."""
        by_scheme: dict[str, Proxy] = {}
        findings: list[Finding] = []
        for scheme in ("http", "https"):
            origin = _first(keys, f"{scheme}_proxy", "all_proxy")
            if origin is None:
                continue
            try:
                by_scheme[scheme] = Proxy(server(keys[origin]), origin)
            except MalformedUriError as error:
                message = f"{origin} names no proxy: {error}"
                findings.append(Finding(EgressReason.MALFORMED_URI, origin, message))
        none = _first(keys, "no_proxy")
        entries = keys[none].replace(" ", "").lower().split(",") if none else []
        return cls(by_scheme, tuple(e for e in entries if e)), findings

    def for_server(self, target: ServerAddress) -> Proxy | None:
        """Return the proxy that a client dials to reach a server, if it does."""
        proxy = self.by_scheme.get(target.scheme)
        if proxy is None or any(_exempts(entry, target) for entry in self.exempt):
            return None
        return proxy


def _first(keys: Mapping[str, str], *names: str) -> str | None:
    spellings = (spelling for name in names for spelling in (name, name.upper()))
    return next((s for s in spellings if keys.get(s, "").strip()), None)


def _exempts(entry: str, target: ServerAddress) -> bool:
    try:
        address = ip_address(target.host)
    except ValueError:
        names = (target.host, f"{target.host}:{target.port}", f".{target.host}")
        return entry == "*" or any(name.endswith(entry) for name in names)
    try:
        return entry == "*" or address in ip_network(entry, strict=False)
    except ValueError:
        return False
