"""Hosts and ports out of a URI whose other parts may be credentials.

No message and no exception of this module carries any part of a URI but its scheme: a
token pasted into the wrong key must not come out again. Where a part of a credential
could be taken for a host, the URI is malformed: nothing is guessed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs

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

DATABASES: Final = frozenset({"postgresql", "mysql", "mssql"})
LOCAL: Final = frozenset({"file", "sqlite"})
"""Schemes of a tracking URI that need no network."""
INDIRECT: Final = frozenset({"databricks", "databricks-uc", "uc", "arn"})
"""Schemes of a tracking URI that name no host."""

QUOTES: Final = ("'", '"', "`", "\ufeff")
"""Quotes and the byte order mark, with which no URI begins."""

_NAME: Final = re.compile(
    r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*"
)
_NUMBER: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
"""A last label that makes clients read all of it as an address."""
# One that is read differently by the two standards for international names.
_DEVIATING: Final = re.compile("[\xdf\u1e9e\u03c2\u200c\u200d]")
_URI: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?:[^/?#]*@)?(?:\[(?P<v6>[^\]@/?#]+)\]|(?P<host>[^:@/?#\[\]]*))(?::(?P<port>\d{1,5}))?"
    r"(?P<rest>[/?#].*)?",
    re.IGNORECASE,
)
_PATH: Final = re.compile(r"|[~./\\].*|[A-Za-z]:[/\\].*")


class MalformedUriError(ValueError):
    """A value is no URI of a server; the message never repeats it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """What is left of a URI: where to connect, and how.

    Attributes:
        scheme: Without a driver: `postgresql+psycopg2` is `postgresql`.
        host: A name in lower case without its trailing dot, or a bare IP address.
        port: From the URI, else the scheme's.
        spelled: The host as clients compare it: in lower case, its dot kept.
        explicit: Whether the URI has a port.
    """

    scheme: str
    host: str
    port: int
    spelled: str = ""
    explicit: bool = False

    @property
    def is_local(self) -> bool:
        """Return whether it is the pod itself."""
        try:
            address = ip_address(self.host)
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")
        return address.is_loopback or address.is_unspecified


def scheme_of(value: str) -> str:
    """Return the scheme of a URI in lower case, without a driver; empty without one.

    `host:5000` has one by its form; the caller knows which schemes there are.
    """
    head, colon, _ = value.partition(":")
    valid = colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", head)
    return head.lower().split("+")[0] if valid else ""


def is_path(value: str) -> bool:
    """Return whether a value is a path that says so itself, or nothing."""
    return _PATH.fullmatch(value) is not None


def server(value: str, default_scheme: str = "") -> ServerAddress:
    """Read the URI of one server; arguments and errors as `servers`."""
    found = servers(value, default_scheme)
    if len(found) != 1:
        raise MalformedUriError("it does not name one host")
    return found[0]


def servers(value: str, default_scheme: str = "") -> tuple[ServerAddress, ...]:
    """Read the URI of a server, or of a database with several; none for a socket.

    Args:
        value: A URI.
        default_scheme: For a value without one, where clients take that.

    Raises:
        MalformedUriError: No host or port can be told from it for certain.
    """
    text = _with_scheme(value.strip(), default_scheme)
    match = _URI.fullmatch(text)
    # What comes before an @ may be a password: `user:80/pass@host` is not host "user".
    if match is not None and "@" in (match["rest"] or ""):
        raise MalformedUriError("it has an @ after its host; percent-encode it")
    if match is None:
        raise MalformedUriError("it is not a URI of one host and a port")
    scheme = match["scheme"].lower().split("+")[0]
    if scheme not in PORTS:
        raise MalformedUriError("its scheme is not one of a server")
    rest = match["rest"] or ""
    if scheme in DATABASES and rest.startswith("#"):
        raise MalformedUriError("it has a # behind its host, which it may not")
    asked = parse_qs(rest.partition("?")[2])
    if scheme in DATABASES and asked.keys() & _IN_QUERY:
        return tuple(_in_query(scheme, asked, match))
    spelled = (match["v6"] or match["host"]).lower()
    return (_address(scheme, spelled, match["port"], v6=bool(match["v6"])),)


def _with_scheme(text: str, default_scheme: str) -> str:
    """Return a URI with its scheme, after refusing what no client reads as one."""
    if text.startswith(QUOTES):
        raise MalformedUriError("it has quotes or a byte order mark around it")
    # Some clients take a backslash for a slash.
    if re.search(r"[\s\0-\x1f\x7f\\]", text):
        raise MalformedUriError("it has white space or a backslash in it")
    if "://" in text:
        return text
    if re.match(r"(https?|aim|[a-z]+ql(\+\w+)?):", text, re.IGNORECASE):
        raise MalformedUriError("it lacks the two slashes after its scheme")
    if default_scheme:
        return f"{default_scheme}://{text}"
    if re.match(r"[a-z][a-z0-9+.-]+:(?!\d+(/|$))", text, re.IGNORECASE):
        raise MalformedUriError("its scheme is not one of a server")
    raise MalformedUriError(
        "it has no scheme, so clients take it for a local path; write http:// or"
        " https:// in front"
    )


_IN_QUERY: Final = frozenset({"host", "hostaddr", "unix_socket"})
"""Where a database's drivers take the host from instead."""


def _in_query(
    scheme: str, asked: dict[str, list[str]], match: re.Match[str]
) -> Iterator[ServerAddress]:
    """Read hosts as libpq does: several, each with a port of its own or one for all."""
    given = asked.get("hostaddr") or asked.get("host") or asked["unix_socket"]
    hosts = [host for one in given for host in one.split(",")]
    ports = [port for one in asked.get("port", ()) for port in one.split(",")]
    for index, text in enumerate(hosts):
        if text.startswith("/"):
            continue  # a socket
        of_all = ports[index if len(ports) > 1 else 0 :][:1] or [match["port"]]
        name, _, own = (text, "", "") if text.count(":") > 1 else text.partition(":")
        yield _address(scheme, name.lower(), own or of_all[0])


def _address(
    scheme: str, spelled: str, port: str | None, *, v6: bool = False
) -> ServerAddress:
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise MalformedUriError("its port is not between 1 and 65535")
    host = canonical_host(spelled)
    if v6 and ":" not in host:
        raise MalformedUriError("its host is not an IPv6 address")
    return ServerAddress(
        scheme=scheme,
        host=host,
        port=int(port or PORTS[scheme]),
        spelled=spelled
        if spelled.isascii()
        else f"{host}{'.' * spelled.endswith('.')}",
        explicit=bool(port),
    )


def canonical_host(host: str) -> str:
    """Return the one spelling of a host: lower case, ASCII, no trailing dot.

    Raises:
        MalformedUriError: It is neither a DNS name nor an IP address.
    """
    if "%" in host and ":" in host:
        raise MalformedUriError("its address has a zone, another host on every node")
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:  # a label of more than 63 characters among them
        raise MalformedUriError("its host is not a DNS name") from None
    # A number at the end is an address somebody mistyped, never a name.
    mistyped = len(name) > 253 or not _NAME.fullmatch(name) or _NUMBER.fullmatch(name)
    if mistyped or _DEVIATING.search(host):
        raise MalformedUriError("its host is not a DNS name")
    return name
