"""What the probe says of a server that is broken in one way, run as it is in a pod."""

import base64
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from certs.issue import issue
from certs.model import Generation
from certs.policy import CertificatePolicy
from webhook.cli.doctor_probe import SCRIPT
from webhook.doctor.check import Outcome, examine_all, first_cause
from webhook.doctor.probe import PROBE, ProbeFacts, read_stages

KEY: Final = "canary-2f9b-value-of-a-key"
WORDS: Final = {"namespace": "ray", "home": "ml-tracking", "release": "injector"}
WAY: Final = "203.0.113.7/32 TCP/443: isolated by deny; no rule permits it"


def probe(**env: str) -> str:
    """What it prints, with this environment and no other."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"PATH": "/usr/bin", "TRACKING_API_KEY": KEY, **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert KEY not in done.stdout + done.stderr
    return done.stdout


def named(said: str, *closed: str) -> str:
    """The code of what doctor makes of it; empty where all is in order."""
    facts = ProbeFacts(
        namespace="ray",
        where="pod/head",
        stages=read_stages(said),
        closed=closed,
        words=WORDS,
    )
    found = first_cause(examine_all(PROBE, facts, namespace="ray"))
    return found.check.code if found else ""


class Tracker(BaseHTTPRequestHandler):
    """A tracking server that wants the key."""

    status: Callable[[Mapping[str, Any]], int]

    def do_GET(self) -> None:
        """Answer as the test has it."""
        self.send_response(type(self).status(dict(self.headers)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def tracker(
    status: Callable[[Mapping[str, Any]], int], pair: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """A server whose answers have this status; the URI of it."""
    handler = type("Handler", (Tracker,), {"status": staticmethod(status)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    scheme = "http"
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{scheme}://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def wants_key(headers: Mapping[str, Any]) -> int:
    """200 with the key, 401 without."""
    return 200 if headers.get("Authorization") == f"Bearer {KEY}" else 401


def always(status: int) -> Callable[[Mapping[str, Any]], int]:
    """The same to everybody."""
    return lambda _: status


def written(pair: Generation, folder: Path) -> tuple[Path, Path]:
    """A pair as files, its root beside it."""
    leaf, key = folder / "tls.crt", folder / "tls.key"
    leaf.write_bytes(pair.leaf)
    key.write_bytes(pair.key.reveal())
    (folder / "ca.crt").write_bytes(pair.root.pem)
    return leaf, key


def issued(name: str, days: float = 0) -> Generation:
    """A pair for a name, as of some days from now."""
    at = datetime.now(UTC) + timedelta(days=days)  # noqa: TID251 - a test's own
    return issue(CertificatePolicy(names=(name,)), at)


def test_all_is_in_order() -> None:
    """By HTTP: every stage but TLS."""
    with tracker(wants_key) as uri:
        said = probe(TRACKING_URI=uri)

    assert named(said) == ""
    assert list(read_stages(said)) == [
        "environment",
        "uri",
        "dns",
        "tcp",
        "http",
        "auth",
    ]


def test_all_is_in_order_by_tls(tmp_path: Path) -> None:
    """With the authority that the pod was given."""
    pair = written(issued("localhost"), tmp_path)
    with tracker(wants_key, pair) as uri:
        bundle = str(tmp_path / "ca.crt")
        said = probe(TRACKING_URI=uri, REQUESTS_CA_BUNDLE=bundle)

    assert named(said) == ""
    assert "tls" in read_stages(said)


def test_a_user_and_a_password_are_sent_as_mlflow_does() -> None:
    """Basic, where both are there."""
    pair = base64.b64encode(b"me:secret").decode()

    def status(headers: Mapping[str, Any]) -> int:
        return 200 if headers.get("Authorization") == f"Basic {pair}" else 401

    with tracker(status) as uri:
        said = probe(
            MLFLOW_TRACKING_URI=uri,
            MLFLOW_TRACKING_USERNAME="me",
            MLFLOW_TRACKING_PASSWORD="secret",  # noqa: S106 - a test's own
        )
    assert named(said) == ""


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (always(401), "CredentialRefused"),
        (always(403), "CredentialForbidden"),
        (always(500), "ServerError"),
        (always(503), "ServerError"),
        (always(407), "ProxyInTheWay"),
    ],
    ids=["401", "403", "500", "503", "407"],
)
def test_a_refusal_is_told_apart(
    status: Callable[[Mapping[str, Any]], int], code: str
) -> None:
    """Who refuses what."""
    with tracker(status) as uri:
        assert named(probe(TRACKING_URI=uri)) == code


@pytest.mark.parametrize(
    ("name", "days", "trusted", "code"),
    [
        ("localhost", 0, False, "AuthorityUnknown"),
        ("mlflow.example.org", 0, True, "ServerNameMismatch"),
        ("localhost", -400, True, "ServerCertificateExpired"),
    ],
    ids=["private CA", "another name", "expired"],
)
def test_a_certificate_that_does_not_fit(
    tmp_path: Path, name: str, days: float, trusted: bool, code: str
) -> None:
    """An unknown authority, another name, an end in the past."""
    pair = written(issued(name, days), tmp_path)
    bundle = {"SSL_CERT_FILE": str(tmp_path / "ca.crt")} if trusted else {}
    with tracker(always(200), pair) as uri:
        assert named(probe(TRACKING_URI=uri, **bundle)) == code


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("", "EnvironmentMissing"),
        ("mlflow.example.org", "ServerUnreadable"),
        ("https://", "ServerUnreadable"),
        ("https://nobody.invalid", "NameUnresolved"),
        ("http://127.0.0.1:9", "ConnectRefused"),
    ],
)
def test_no_server_is_reached(uri: str, code: str) -> None:
    """No key, no server in it, no such name, nobody there."""
    assert named(probe(TRACKING_URI=uri)) == code


def test_http_at_a_port_for_tls_is_told() -> None:
    """A scheme that does not fit the port."""
    with tracker(always(200)) as uri:
        assert named(probe(TRACKING_URI=uri.replace("http", "https"))) == "TlsFails"


def test_what_is_no_http_is_told() -> None:
    """Something listens, and speaks of something else."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            with suppress(OSError):  # closed, when it was asked enough
                while True:
                    client, _ = server.accept()
                    client.sendall(b"SSH-2.0-nothing\r\n")
                    client.close()

        threading.Thread(target=talk, daemon=True).start()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert named(probe(TRACKING_URI=uri)) == "NotHttp"


def test_a_proxy_that_does_not_answer_is_told() -> None:
    """It is in the environment, and the server is not excepted."""
    said = probe(
        TRACKING_URI="http://mlflow.example.org", http_proxy="http://127.0.0.1:9"
    )
    assert named(said) == "ProxyInTheWay"


def test_a_policy_is_told_from_a_firewall() -> None:
    """The same silence: NetworkPolicies close the way, or nobody knows who."""
    said = json.dumps(
        {"environment": "", "uri": "", "dns": "", "tcp": "ConnectTimeout"}
    )

    assert named(said, WAY) == "BlockedByPolicy"
    assert named(said) == "ConnectTimeout"


def test_a_policy_that_closes_dns_is_told_from_a_name_that_nobody_knows() -> None:
    """A way to the server that is closed says nothing about names."""
    said = json.dumps({"environment": "", "uri": "", "dns": "NameUnresolved"})
    dns = "pods k8s-app=kube-dns in kube-system UDP/53: isolated by deny"

    assert named(said, dns) == "BlockedByPolicy"
    assert named(said, WAY) == "NameUnresolved"


def test_later_stages_are_not_vouched_for() -> None:
    """What was not reached is not in order either."""
    facts = ProbeFacts(
        namespace="ray",
        where="pod/head",
        stages={"environment": "", "uri": "", "dns": "NameUnresolved"},
        closed=(),
        words=WORDS,
    )
    found = {one.check.code: one for one in examine_all(PROBE, facts)}

    assert found["ServerError"].outcome is Outcome.SKIPPED
    assert found["ServerError"].why == "stage dns failed"
