"""Anybody who reaches the ports delays nobody: reviews within 1 s, and no restart."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.chart.rendering import Chart
from tests.lab.build import Toolbox
from tests.redteam.conftest import BEARABLE, held_back, waits
from tests.server.bodies import RAY_HEAD
from tests.server.process import Client, Server
from tests.server.test_abuse import WORST
from tests.unit.companion.test_health_server import alive
from tests.unit.companion.test_health_server import serving as health

ATTACKERS: Final = 4

HEAD: Final = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET: Final = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

Attack = Callable[[int, threading.Event], None]
"""Goes on at a port until it is told to stop; refusals are no failure."""


def dial(port: int) -> socket.socket:
    """A plain connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=1)


def says(*parts: bytes, pause: float = 0.0) -> Attack:
    """Send these parts on new connections, again and again."""

    def attack(port: int, stop: threading.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), dial(port) as peer:
                for part in parts:
                    peer.sendall(part)
                    stop.wait(pause)
                peer.settimeout(0.2)
                peer.recv(1 << 16)

    return attack


def drips(data: bytes) -> Attack:
    """Hold many connections, and send each a byte now and then."""

    def attack(port: int, stop: threading.Event) -> None:
        with contextlib.ExitStack() as peers:
            held: list[socket.socket] = []
            for _ in range(40):
                with contextlib.suppress(OSError):
                    held.append(peers.enter_context(dial(port)))
            for place in range(len(data)):
                for one in held:
                    with contextlib.suppress(OSError):
                        one.sendall(data[place : place + 1])
                if stop.wait(0.2):
                    return

    return attack


def deaf(port: int, stop: threading.Event) -> None:
    """Ask a lot, and read nothing."""
    with contextlib.ExitStack() as peers:
        while not stop.wait(0.02):
            with contextlib.suppress(OSError):
                peer = peers.enter_context(dial(port))
                peer.settimeout(0.05)
                peer.sendall(GET * 100)


def resets(port: int, stop: threading.Event) -> None:
    """Connect and go, with a reset instead of an end."""
    linger = (1).to_bytes(4, "little") + bytes(4)
    while not stop.is_set():
        with contextlib.suppress(OSError), dial(port) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.sendall(b"\x16\x03\x01")
        stop.wait(0.002)


ON_BYTES: Final[dict[str, Attack]] = {
    "silence": drips(b""),
    "a head byte by byte": drips(GET),
    "noise": says(os.urandom(4096), pause=0.01),
    "a hello that does not end": says(b"\x16\x03\x01\x40\x00\x01", pause=0.3),
    "headers without end": says(b"GET / HTTP/1.1\r\n", *[b"A: b\r\n" * 2000] * 4),
    "one long header": says(b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000),
    "a long path": says(b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a body that is announced": says(HEAD + b"Content-Length: 3000000\r\n\r\n", b"{"),
    "chunks without end": says(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n" * 500] * 4
    ),
    "requests in one go": says(GET * 300),
    "readers that do not read": deaf,
    "resets": resets,
    "an upgrade": says(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" * 50),
}


@contextlib.contextmanager
def under(attack: Attack, port: int) -> Iterator[None]:
    """Let attackers go on while the block runs."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=attack, args=(port, stop)) for _ in range(ATTACKERS)
    ]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        stop.set()
        for one in threads:
            one.join(20)


@pytest.mark.parametrize("name", ON_BYTES)
@pytest.mark.parametrize("listener", ["reviews", "health"])
def test_no_peer_delays_a_review(server: Server, name: str, listener: str) -> None:
    """Neither on the port that API servers call, nor on the plain one."""
    worker = server.worker()
    port = server.port if listener == "reviews" else server.health_port
    with under(ON_BYTES[name], port), server.client() as client:
        found = waits(lambda: client.mutate(RAY_HEAD).status == 200)

    assert held_back(found) < BEARABLE
    assert server.worker() == worker
    assert server.probe("/healthz").status == 200


@pytest.mark.parametrize("name", WORST)
def test_no_body_delays_a_review(server: Server, name: str) -> None:
    """The worst of each kind, one after the other on connections that stay."""
    worker, body = server.worker(), WORST[name]

    def send(_: int, stop: threading.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), server.client() as one:
                one.mutate(body)

    with under(send, server.port), server.client() as client:
        found = waits(lambda: client.mutate(RAY_HEAD).status == 200)

    assert held_back(found) < BEARABLE
    assert server.worker() == worker


@pytest.mark.parametrize("name", ON_BYTES)
def test_no_peer_keeps_a_probe_from_the_companion(name: str) -> None:
    """The kubelet gives it 5 s; a restart would end nothing."""

    def probe(port: int) -> bool:
        with Client(port, None, timeout=5) as client:
            return client.ask("GET", "/healthz").status == 200

    threads = threading.active_count()
    with health(alive()) as port, under(ON_BYTES[name], port):
        found = waits(lambda: probe(port))
        assert threading.active_count() <= threads + ATTACKERS + 1  # the listener's

    assert held_back(found) < BEARABLE


def test_a_stolen_webhook_pod_has_nothing_to_ask_with(toolbox: Toolbox) -> None:
    """No token is mounted, no right is bound to its account, its root is read-only."""
    rendered = Chart(toolbox.program("helm")).render({})
    (deployment,) = [
        one
        for one in rendered.all("Deployment")
        if not one["metadata"]["name"].endswith("-companion")
    ]
    pod = deployment["spec"]["template"]["spec"]
    bound = {
        subject["name"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for one in rendered.all(kind)
        for subject in one["subjects"]
    }

    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] not in bound
    assert all(
        c["securityContext"]["readOnlyRootFilesystem"] for c in pod["containers"]
    )
