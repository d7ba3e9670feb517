"""Tracking keys → the servers that task pods have to reach.

`derive` is the only function that sees values, and only hosts and ports leave it:
no user, password, token, path or query of any key is in its result or its errors.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from webhook.egress.addresses import Network
from webhook.egress.proxies import Proxies
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.trackers import (
    AZURE_CONNECTION,
    AZURE_KEYS,
    AZURE_SETTINGS,
    DEFAULTS,
    INDIRECT_HOSTS,
    TRACKING_KEYS,
    is_url_key,
)
from webhook.uri import (
    DATABASES,
    INDIRECT,
    LOCAL,
    MalformedUriError,
    ServerAddress,
    canonical_host,
    is_path,
    scheme_of,
    server,
    servers,
)

FORMER_FIELD: Final = "servers.json"
"""In the ConfigMap that remembers addresses: servers that keys named until lately."""
_ASKING: Final = (EgressReason.HOST_NEEDED, EgressReason.STORE_HOST_NEEDED)
_PLAIN: Final = re.compile(r"[-.:\[\]\w]+(/\d+)?(:\d+)?", re.ASCII)
"""Such as a host, an address, a range and a port are, and no URI is."""
_EXTRA: Final = re.compile(
    r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^\[\]:]+))(?::(?P<port>\d+))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Destination:
    """A server to permit.

    Attributes:
        host: A DNS name, an IP address, or a range of addresses from the settings.
        port: TCP.
        origin: The key or setting that named it.
    """

    host: str
    port: int
    origin: str

    @property
    def text(self) -> str:
        """Return it as the settings write it; `parse_extra` reads it back."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def network(self) -> Network | None:
        """Return the addresses, when no name has to be looked up."""
        if not self.host[-1].isdigit() and ":" not in self.host:
            return None  # most are names, and to fail at reading one takes its time
        try:
            return ip_network(self.host)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class DerivedDestinations:
    """What a set of keys asks for.

    Attributes:
        destinations: Sorted, one per host and port.
        findings: Sorted.
    """

    destinations: tuple[Destination, ...]
    findings: tuple[Finding, ...]


def derive(
    keys: Mapping[str, str], extra: Iterable[Destination] = ()
) -> DerivedDestinations:
    """Return the destinations that tracking keys imply, and those of the settings.

    Args:
        keys: The merged tracking keys with their values.
        extra: Hosts and ranges named in the settings; never proxied.
    """
    proxies, findings = Proxies.read(keys)
    found: dict[tuple[str, int], Destination] = {}
    extra = tuple(extra)
    for origin, outcome in _outcomes(keys):
        if isinstance(outcome, Finding):
            # A host in the settings is taken for the answer to what asks for one.
            if not (extra and outcome.reason in _ASKING):
                findings.append(outcome)
            continue
        if outcome.scheme in DATABASES:
            message = f"{origin} is a database: every task holds its credentials"
            findings.append(Finding(EgressReason.DATABASE_URI, origin, message))
        via = proxies.for_server(outcome)
        target, named = (outcome, origin) if via is None else (via.server, via.origin)
        place = Destination(target.host, target.port, named)
        found.setdefault((place.host, place.port), place)
    for place in extra:
        found.setdefault((place.host, place.port), place)
    if not found and not findings:
        message = "no tracking key names a server"
        findings.append(
            Finding(EgressReason.NO_NETWORK_NEEDED, "TRACKING_URI", message)
        )
    return DerivedDestinations(
        tuple(sorted(found.values())), tuple(sorted(set(findings)))
    )


def parse_extra(text: str, origin: str) -> Destination:
    """Read `HOST[:PORT]` or `CIDR[:PORT]` of the settings; the port is 443 by default.

    Args:
        text: IPv6 goes in brackets when a port follows: `[2001:db8::/32]:443`.
        origin: The setting, for messages.

    Raises:
        ValueError: It is neither; the message names the setting, and the text unless
            that might be a URI with a credential.
    """
    try:
        return Destination(str(ip_network(text, strict=False)), 443, origin)
    except ValueError:
        pass
    match = _EXTRA.fullmatch(text)
    try:
        if match is None:
            raise MalformedUriError("it is not HOST[:PORT] or CIDR[:PORT]")
        port = int(match["port"] or 443)
        if not 0 < port < 65536:
            raise MalformedUriError("its port is not between 1 and 65535")
        host = match["v6"] or match["host"]
        if "/" in host or match["v6"]:
            return Destination(str(ip_network(host, strict=False)), port, origin)
        return Destination(canonical_host(host), port, origin)
    except ValueError as error:
        shown = repr(text) if _PLAIN.fullmatch(text) else "an entry"
        message = f"{origin}: {shown} is not a destination: {error}"
        raise ValueError(message) from None


def dump_former(former: Mapping[str, Iterable[Destination]]) -> dict[str, str]:
    """Return the `data` that tells which servers each profile's keys named of late."""
    told = {
        profile: [[one.host, one.port, one.origin] for one in servers]
        for profile, servers in sorted(former.items())
        if servers
    }
    return {FORMER_FIELD: json.dumps(told)}


def load_former(body: Mapping[str, Any]) -> dict[str, tuple[Destination, ...]]:
    """Read what `dump_former` wrote, from the ConfigMap that it is in.

    Raises:
        ValueError: It holds something else.
    """
    raw = json.loads((body.get("data") or {}).get(FORMER_FIELD, "{}"))
    try:
        return {
            profile: tuple(
                Destination(str(host), int(port), str(origin))
                for host, port, origin in servers
            )
            for profile, servers in raw.items()
        }
    except (AttributeError, TypeError) as error:
        raise ValueError("former servers are no lists by profile") from error


_Found = Iterable[ServerAddress | Finding]


def _outcomes(keys: Mapping[str, str]) -> Iterator[tuple[str, ServerAddress | Finding]]:
    for key in sorted(keys):
        for found in _of_key(key, keys[key].strip(), keys):
            yield key, found
    for default in DEFAULTS:
        trigger = default.applies(keys)
        if trigger is not None:
            for host in default.hosts:
                yield trigger, server(f"https://{host}")
            if default.ask:
                yield trigger, _store(trigger, default.ask)


def _of_key(key: str, value: str, keys: Mapping[str, str]) -> _Found:
    """Read what one key alone says."""
    if key in TRACKING_KEYS:
        return _tracking_uri(key, value, keys)
    if not value:
        return ()
    if is_url_key(key):
        return _urls(key, value)
    if key in AZURE_KEYS:
        return _azure(key, value)
    return _of_token(key, value, keys)


def _of_token(key: str, value: str, keys: Mapping[str, str]) -> _Found:
    if key == "NEPTUNE_API_TOKEN":
        message = "Neptune's hosted service is ending; a self-hosted one goes on"
        ending = Finding(EgressReason.LEGACY_TRACKER, key, message)
        return [ending, *_encoded(key, value, "api_address")]
    if key == "COMET_API_KEY" and "*" in value and not keys.get("COMET_URL_OVERRIDE"):
        return _encoded(key, value.partition("*")[2], "baseUrl")
    return ()


def _tracking_uri(key: str, value: str, keys: Mapping[str, str]) -> _Found:
    """Read MLflow's registered schemes, and the generic contract's plain URL."""
    scheme = value.lower() if value.lower() in INDIRECT else scheme_of(value)
    if scheme == "uc" and "://" in value:
        return _urls(key, value.partition(":")[2])
    if scheme == "azureml":
        # Its client dials the same host by HTTPS.
        ask = "ACCOUNT.blob.core.windows.net of its workspace"
        return [*_urls(key, f"https{value[len(scheme) :]}"), _store(key, ask)]
    if scheme in INDIRECT:
        if scheme.startswith("databricks") and keys.get("DATABRICKS_HOST", "").strip():
            return _urls("DATABRICKS_HOST", keys["DATABRICKS_HOST"])
        message = f"{key} is {scheme!r}, which names no host; {INDIRECT_HOSTS[scheme]}"
        return [Finding(EgressReason.HOST_NEEDED, key, message)]
    if scheme in LOCAL or is_path(value):
        message = f"{key} is a local path; no server has to be reached"
        return [Finding(EgressReason.NO_NETWORK_NEEDED, key, message)]
    return _urls(key, value, "")


def _store(key: str, ask: str) -> Finding:
    message = f"{key}: its files go to a host that no key names; add {ask} to the hosts"
    return Finding(EgressReason.STORE_HOST_NEEDED, key, f"{message} of the settings")


def _urls(key: str, value: str, default_scheme: str = "https") -> _Found:
    try:
        found = servers(value, default_scheme)
    except MalformedUriError as error:
        message = f"{key} names no server: {error}"
        return [Finding(EgressReason.MALFORMED_URI, key, message)]
    remote: list[ServerAddress | Finding] = [one for one in found if not one.is_local]
    if not remote:
        message = f"{key} is a socket or the pod itself; no rule is needed for it"
        return [Finding(EgressReason.NO_NETWORK_NEEDED, key, message)]
    return remote


def _encoded(key: str, value: str, field: str) -> _Found:
    """Read a URL inside base64-encoded JSON inside a credential."""
    try:
        decoded = json.loads(base64.b64decode(value + "=" * (-len(value) % 4)))
        url = decoded[field]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = f"{key} names no server: it holds no {field}"
        return [Finding(EgressReason.MALFORMED_URI, key, message)]
    return _urls(key, str(url))


def _azure(key: str, value: str) -> _Found:
    """Read an account, or Azure's `NAME=VALUE;…`, most of which is secret.

    A semicolon in a value cuts it, and what is left in front may be half a password:
    then what follows bears none of the names.
    """
    account, suffix = value, "core.windows.net"
    if key == AZURE_CONNECTION:
        pairs = [part.strip().partition("=")[::2] for part in value.split(";") if part]
        parts = {name.lower(): text for name, text in pairs}
        if not parts.keys() <= AZURE_SETTINGS:
            message = f"{key} names no server: it has a part that is no setting"
            return [Finding(EgressReason.MALFORMED_URI, key, message)]
        if parts.get("blobendpoint"):
            return _urls(key, parts["blobendpoint"])
        account = parts.get("accountname", "")
        suffix = parts.get("endpointsuffix", suffix)
    if not re.fullmatch("[a-z0-9]{3,24}", account):
        message = f"{key} names no server: it holds no account"
        return [Finding(EgressReason.MALFORMED_URI, key, message)]
    return _urls(key, f"https://{account}.blob.{suffix}")
