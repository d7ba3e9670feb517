"""Runs inside of a task pod, on the standard library of whatever Python is there.

Prints one line of JSON: each stage of the way to the tracking server with a code, empty
where it is in order. The first that fails ends it. No value, address, host or text of
an error is ever printed, since any of them may be a secret.
"""

from __future__ import annotations  # for Pythons before 3.9

import base64
import json
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVERS = ("TRACKING_URI", "MLFLOW_TRACKING_URI", "WANDB_BASE_URL", "CLEARML_API_HOST")
TOKENS = ("TRACKING_API_KEY", "MLFLOW_TRACKING_TOKEN")
BUNDLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "MLFLOW_TRACKING_SERVER_CERT_PATH")
SECONDS = 5.0
UNTRUSTED = (2, 18, 19, 20, 21)
"""OpenSSL's numbers for a chain that ends in no known authority."""
PROXY = 407


OTHERWISE = {
    "environment": "EnvironmentMissing",
    "uri": "ServerUnreadable",
    "dns": "NameUnresolved",
    "tcp": "ConnectRefused",
    "tls": "TlsFails",
    "http": "NotHttp",
    "auth": "NotHttp",
}
"""What a stage that fails in a way of its own is called."""


class Failed(Exception):  # noqa: N818 - it says how a stage ended
    """A stage failed; its argument is the code."""


def environment(env: Mapping[str, str]) -> str:
    """Return the server's URI."""
    found = next((env[name] for name in SERVERS if env.get(name)), None)
    if found is None:
        raise Failed("EnvironmentMissing")
    return found


def place(uri: str) -> tuple[str, str, int]:
    """Return scheme, host and port."""
    try:
        parts = urlsplit(uri)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        raise Failed("ServerUnreadable") from None
    if not parts.hostname:
        raise Failed("ServerUnreadable")
    return parts.scheme, parts.hostname, port


def resolve(host: str, port: int) -> list[Any]:
    """Return the addresses of the server."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise Failed("NameUnresolved") from None


def connect(addresses: list[Any]) -> socket.socket:
    """Return a connection to the first address that answers."""
    code = "ConnectTimeout"
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(SECONDS)
        try:
            connection.connect(address)
        except socket.timeout:  # noqa: UP041 - another class before Python 3.10
            connection.close()
        except OSError:
            code = "ConnectRefused"
            connection.close()
        else:
            return connection
    raise Failed(code)


def context(env: Mapping[str, str]) -> ssl.SSLContext:
    """Return what trusts as the tracker's client does."""
    bundle = next((env[name] for name in BUNDLES if env.get(name)), None)
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError:
        raise Failed("AuthorityUnknown") from None


def handshake(connection: socket.socket, host: str, trust: ssl.SSLContext) -> None:
    """Shake hands, and say what is wrong with the certificate."""
    try:
        trust.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        number = error.verify_code
        if number in (62, 64):
            raise Failed("ServerNameMismatch") from None
        code = "ServerCertificateExpired" if number in (9, 10) else "TlsFails"
        raise Failed("AuthorityUnknown" if number in UNTRUSTED else code) from None
    except (ssl.SSLError, OSError):
        raise Failed("TlsFails") from None


def ask(
    uri: str, trust: ssl.SSLContext, headers: dict[str, str], *, proxied: bool
) -> int:
    """Return the status of an answer, whichever it is."""
    request = urllib.request.Request(uri, headers=headers)  # noqa: S310 - as a client does
    handler = urllib.request.HTTPSHandler(context=trust)
    opener = urllib.request.build_opener(handler)
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError, HTTPException):
        raise Failed("ProxyInTheWay" if proxied else "NotHttp") from None


def answer(status: int, *, proxied: bool) -> None:
    """Say whether an answer is the server's own, and no error of its."""
    if status == PROXY or (proxied and status >= 500):
        raise Failed("ProxyInTheWay")
    if status >= 500:
        raise Failed("ServerError")


def permission(status: int) -> None:
    """Say whether the server takes the credential."""
    if status == 401:
        raise Failed("CredentialRefused")
    if status == 403:
        raise Failed("CredentialForbidden")


def credentials(env: Mapping[str, str]) -> dict[str, str]:
    """Return the header that the tracker's client would send."""
    user, password = (
        env.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD")
    )
    token = next((env[name] for name in TOKENS if env.get(name)), None)
    if user and password:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {"Authorization": f"Bearer {token}"} if token else {}


def bypassed(host: str) -> bool:
    """Return whether no proxy is between."""
    if not urllib.request.getproxies():
        return True
    return bool(urllib.request.proxy_bypass(host))


def stages(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each stage's name with its code, until one fails."""
    stage = "environment"
    try:
        uri = environment(env)
        yield stage, ""
        stage = "uri"
        scheme, host, port = place(uri)
        yield stage, ""
        trust, proxied = context(env), not bypassed(host)
        if not proxied:
            stage = "dns"
            addresses = resolve(host, port)
            yield stage, ""
            stage = "tcp"
            connection = connect(addresses)
            yield stage, ""
            if scheme == "https":
                stage = "tls"
                handshake(connection, host, trust)
                yield stage, ""
            connection.close()
        stage = "http"
        answer(ask(uri, trust, {}, proxied=proxied), proxied=proxied)
        yield stage, ""
        stage = "auth"
        permission(ask(uri, trust, credentials(env), proxied=proxied))
        yield stage, ""
    except Failed as failed:
        yield stage, failed.args[0]
    except Exception:  # noqa: BLE001 - a traceback's last line may quote a value
        yield stage, OTHERWISE[stage]


if __name__ == "__main__":
    TEXT = json.dumps(dict(stages(os.environ)))  # noqa: TID251 - what it is about
    sys.stdout.write(TEXT + "\n")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:  # noqa: PTH123 - any Python, any image
            file.write(TEXT)
