"""Whether a client dials a server or its proxy.

The variables mean what the `requests` library makes of them, which MLflow and most
tracking clients use. It looks at `NO_PROXY` twice, once by itself and once by Python's
own rule, and a server that either exempts is dialed itself.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Final

from webhook.egress.reasons import EgressReason, Finding
from webhook.uri import MalformedUriError, ServerAddress, server


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the key that names it."""

    server: ServerAddress
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The proxies of an environment.

    Attributes:
        by_scheme: For `http`, `https` and `all`.
        exempt: `NO_PROXY` as `requests` reads it itself.
        exempt_by_name: The same as Python's library reads it.
    """

    by_scheme: Mapping[str, Proxy]
    exempt: str = ""
    exempt_by_name: str = ""

    @classmethod
    def read(cls, keys: Mapping[str, str]) -> tuple["Proxies", list[Finding]]:
        """Read the proxy variables among the keys; bad ones become findings."""
        origins = dict(_variables(keys))
        by_scheme: dict[str, Proxy] = {}
        findings: list[Finding] = []
        for scheme in origins.keys() & {"http", "https", "all"}:
            origin = origins[scheme]
            try:
                by_scheme[scheme] = Proxy(server(keys[origin], "http"), origin)
            except MalformedUriError as error:
                message = f"{origin} names no proxy: {error}"
                findings.append(Finding(EgressReason.MALFORMED_URI, origin, message))
        exempt = keys.get("no_proxy") or keys.get("NO_PROXY") or ""
        by_name = keys[origins["no"]] if "no" in origins else ""
        return cls(by_scheme=by_scheme, exempt=exempt, exempt_by_name=by_name), findings

    def for_server(self, target: ServerAddress) -> Proxy | None:
        """Return the proxy that a client dials to reach a server, if it does."""
        if target.scheme not in ("http", "https") or self._exempts(target):
            return None
        return self.by_scheme.get(target.scheme) or self.by_scheme.get("all")

    def _exempts(self, target: ServerAddress) -> bool:
        host = target.spelled
        names = {host, f"{host}:{target.port}" if target.explicit else host}
        entries = [e for e in self.exempt.replace(" ", "").split(",") if e]
        in_range = _is_v4(host) and any(_holds(e, host) for e in entries)
        by_name = not _is_v4(host) and any(_ends(names, e) for e in entries)
        # Python takes the last group of an IPv6 address for a port, and drops it.
        port = re.fullmatch(r"(.*):[0-9]*", host)
        names = {host, port[1] if port else host}
        listed = [e.strip().lower() for e in self.exempt_by_name.split(",")]
        again = self.exempt_by_name == "*" or any(_ends(names, e) for e in listed if e)
        return in_range or by_name or again


def _ends(names: Iterable[str], entry: str) -> bool:
    """Return whether an entry is a name, or the whole last labels of one."""
    bare = entry.lstrip(".")
    return any(name == bare or name.endswith(f".{bare}") for name in names)


def _variables(keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what each variable is for, and its name; later ones win.

    One in lower case wins, and one that is empty in lower case counts as none.
    """
    lower = {key for key in keys if key.endswith("_proxy") and key == key.lower()}
    for key in sorted(keys):
        name = key.lower()
        if name.endswith("_proxy") and name not in lower and keys[key]:
            yield name.removesuffix("_proxy"), key
    for key in sorted(lower):
        if keys[key]:
            yield key.removesuffix("_proxy"), key


def _is_v4(host: str) -> bool:
    try:
        return isinstance(ip_address(host), IPv4Address)
    except ValueError:
        return False


_PARTS: Final = re.compile(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+)){0,3}", re.I)


def _aton(text: str) -> int | None:
    """Read an address as C's `inet_aton` does: short, octal and hexadecimal too."""
    if not _PARTS.fullmatch(text):
        return None
    try:
        *first, last = (
            int(part, 16 if part[:2] in ("0x", "0X") else 8 if part[0] == "0" else 10)
            for part in text.split(".")
        )
    except ValueError:
        return None
    if any(part > 255 for part in first) or last >= 256 ** (4 - len(first)):
        return None
    return sum(part << (24 - 8 * place) for place, part in enumerate(first)) + last


def _holds(entry: str, host: str) -> bool:
    """Return whether an entry is an IPv4 address, or a range that has it."""
    net, _, bits = entry.partition("/")
    number = _aton(net)
    try:
        shift = 32 - int(bits)
    except ValueError:
        shift = -1
    if number is None or not 0 <= shift < 32:
        return entry == host
    return int(IPv4Address(host)) >> shift == number >> shift
