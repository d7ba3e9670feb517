"""Host and port out of a URI whose other parts may be credentials.

No message and no exception of this module carries any part of a URI but its scheme:
a token pasted into the wrong key must not come out again.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

PORTS: Final = {
    "http": 80,
    "https": 443,
    "aim": 53800,
    "postgresql": 5432,
    "mysql": 3306,
    "mssql": 1433,
    "socks5": 1080,
    "socks5h": 1080,
}
"""Schemes of servers, with the port that each means when the URI has none."""

_NAME: Final = re.compile(
    r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*"
)
_HOST_PORT: Final = re.compile(r"(?P<host>[^:/@\[\]]+|\[[^\]/@]+\]):(?P<port>\d+)/?")


class MalformedUriError(ValueError):
    """A value is no URI of a server; the message never repeats it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """What is left of a URI: where to connect, and how.

    Attributes:
        scheme: Without a driver: `postgresql+psycopg2` is `postgresql`.
        host: A name in lower case without its trailing dot, or a bare IP address.
        port: From the URI, else the scheme's.
    """

    scheme: str
    host: str
    port: int


def scheme_of(value: str) -> str:
    """Return the scheme of a URI in lower case, without a driver; empty for a path.

    `host:5000` has none, although it looks like one.
    """
    if _HOST_PORT.fullmatch(value):
        return "http"
    head, colon, _ = value.partition(":")
    valid = colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", head)
    return head.lower().split("+")[0] if valid else ""


def server(value: str, default_scheme: str = "http") -> ServerAddress:
    """Read the URI of a server.

    Args:
        value: A URI, or `host` or `host:port` with the default scheme.
        default_scheme: For a value without one.

    Raises:
        MalformedUriError: No host or port can be told from it.
    """
    text = value.strip()
    if "://" not in text:
        text = f"{default_scheme}://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise MalformedUriError("it is not a URI of a host and a port") from None
    # "user:80/pass@host" reads as host "user": a credential would become a name.
    if "@" in parts.path and "@" not in parts.netloc:
        raise MalformedUriError("it has an @ after its host; percent-encode it")
    scheme = parts.scheme.split("+")[0]
    if scheme not in PORTS:
        raise MalformedUriError("its scheme is not one of a server")
    if port == 0:
        raise MalformedUriError("its port is 0")
    return ServerAddress(
        scheme=scheme, host=canonical_host(host or ""), port=port or PORTS[scheme]
    )


def canonical_host(host: str) -> str:
    """Return the one spelling of a host: lower case, ASCII, no trailing dot.

    Raises:
        MalformedUriError: It is neither a DNS name nor an IP address.
    """
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:  # a label of more than 63 characters among them
        raise MalformedUriError("its host is not a DNS name") from None
    # All digits and dots is an address somebody mistyped, never a name.
    if len(name) > 253 or not _NAME.fullmatch(name) or re.fullmatch(r"[\d.]+", name):
        raise MalformedUriError("its host is not a DNS name")
    return name
