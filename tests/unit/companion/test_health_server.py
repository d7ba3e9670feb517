"""Health, readiness and metrics: answered, bounded, and quiet."""

import errno
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.fakes.log import Lines
from webhook.companion import health_server
from webhook.companion.health_server import HealthServer, Page, pages


def alive(*, ready: bool = True) -> dict[str, Page]:
    """The pages of a companion that lives."""
    return pages(CollectorRegistry(), is_alive=lambda: True, is_ready=lambda: ready)


@contextmanager
def serving(
    answers: dict[str, Page] | None = None,
    bind: str = "127.0.0.1:0",
    log: Lines | None = None,
) -> Iterator[int]:
    """The server's port."""
    server = HealthServer(bind, answers or alive(), log or Lines())
    server.start()
    try:
        yield server.port
    finally:
        server.close()


def code(port: int, path: str, host: str = "127.0.0.1") -> int:
    """The status of an answer."""
    try:
        url = f"http://{host}:{port}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def exchange(port: int, sent: bytes) -> bytes:
    """What a peer gets that sends exactly this."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(sent)
        return b"".join(iter(lambda: peer.recv(65536), b""))


def test_it_answers_health_readiness_and_metrics() -> None:
    """And nothing else."""
    with serving(alive(ready=False)) as port:
        paths = ("/healthz", "/readyz", "/metrics", "/other", "/healthz?x=1")
        assert [code(port, path) for path in paths] == [200, 503, 200, 404, 200]


def has_ipv6() -> bool:
    """Whether loopback has its IPv6 address here."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


only_with_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="IPv6 is off here")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", pytest.param("[::1]", marks=only_with_ipv6)]
)
def test_one_listener_serves_both_families(host: str) -> None:
    """Pods have IPv4 addresses, IPv6 addresses, or both."""
    with serving(bind="[::]:0") as port:
        assert code(port, "/healthz", host) == 200


def test_a_node_without_ipv6_serves_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same chart value fits every node."""
    create = socket.create_server

    def refused(address: tuple[str, int], **options: Any) -> socket.socket:
        if options:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6")
        return create(address)

    monkeypatch.setattr(socket, "create_server", refused)
    with serving(bind="[::]:0") as port:
        assert code(port, "/healthz") == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /healthz HTTP/1.1\r\n\r\n", b"405"),
        (b"\r\n\r\n", b"405"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20000, b"431"),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", b"200"),
    ],
)
def test_an_odd_request_has_its_status(sent: bytes, status: bytes) -> None:
    """No header is kept that is longer than a probe's ever is."""
    with serving() as port:
        answer = exchange(port, sent)

    assert answer.split(b" ", 2)[1] == status
    assert not (sent.startswith(b"HEAD") and answer.endswith(b"ok\n"))


def drips(peer: socket.socket) -> bool:
    """Whether one more byte can be sent."""
    try:
        peer.sendall(b"x")
    except OSError:
        return False
    return True


def test_a_peer_that_drips_ends_with_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each byte in time is not a request in time."""
    monkeypatch.setattr(health_server, "_SECONDS", 0.3)
    with serving() as port, socket.create_connection(("127.0.0.1", port)) as peer:
        started = time.monotonic()
        while drips(peer) and time.monotonic() - started < 5:
            time.sleep(0.02)

    assert time.monotonic() - started < 2


def test_silent_peers_keep_no_probe_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of too many makes room."""
    monkeypatch.setattr(health_server, "_CONNECTIONS", 3)
    with serving() as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        try:
            assert code(port, "/healthz") == 200
        finally:
            for peer in silent:
                peer.close()


def test_a_page_that_raises_is_logged_without_its_text(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It might quote a value; and nothing goes to stderr."""

    def broken() -> health_server.HealthAnswer:
        raise ValueError("canary")

    log = Lines()
    with serving({"/metrics": broken}, log=log) as port:
        assert code(port, "/metrics") == 500

    fields = {"path": "/metrics", "error": "ValueError"}
    assert log.lines == [("health-page-failed", fields)]
    assert capfd.readouterr().err == ""


def test_it_closes_while_peers_are_connected() -> None:
    """Within a moment, whoever is silent."""
    with serving() as port:
        peer = socket.create_connection(("127.0.0.1", port))
        code(port, "/healthz")
        started = time.monotonic()
    peer.close()

    assert time.monotonic() - started < 1
