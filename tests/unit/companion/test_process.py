"""The threads of the companion: led, woken, told once, ended within seconds."""

import errno
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from wsgiref.simple_server import WSGIServer

import pytest
from prometheus_client import CollectorRegistry

from tests.unit.companion.world import START, Lines, World
from webhook.cluster.errors import Throttled
from webhook.cluster.interface import ObjectKey
from webhook.cluster.leader_election import LeaderElector, parse_lease
from webhook.cluster.resources import LEASE
from webhook.companion import listener
from webhook.companion.listener import application, listen
from webhook.companion.loop import Runner, Surroundings
from webhook.companion.process import Process, Wake


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether it comes to hold."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


class Scripted:
    """A concern whose steps do as they are told."""

    name = "scripted"

    def __init__(self, *outcomes: float | Exception | None) -> None:
        """One outcome for each step, the last for ever."""
        self.outcomes = list(outcomes)
        self.steps = 0

    def step(self, now: datetime) -> float | None:
        """The next outcome."""
        del now
        self.steps += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def uncounted(name: str) -> None:
    """Counts no failure."""


def surroundings(log: Lines, *, leads: bool = True) -> Surroundings:
    """A runner's surroundings at a standing clock."""
    return Surroundings(
        leads=lambda: leads, clock=lambda: START, log=log, failed=uncounted
    )


def test_a_failing_step_is_told_and_taken_again() -> None:
    """By its type and place; its text might quote a value."""
    log = Lines()
    runner = Runner(
        Scripted(ValueError("canary"), None), threading.Event(), surroundings(log)
    )

    assert (runner.step() or 0) > 0
    assert runner.step() is None
    assert log.events() == ["step-failed"]
    assert "canary" not in repr(log.lines)


def test_a_throttled_step_waits_as_asked() -> None:
    """Not only as long as its own backoff."""
    concern = Scripted(Throttled("busy", retry_after=7.0))
    runner = Runner(concern, threading.Event(), surroundings(Lines()))

    assert (runner.step() or 0) >= 7.0


def test_who_does_not_lead_does_not_step() -> None:
    """Until it leads."""
    concern, stop, woken = Scripted(None), threading.Event(), threading.Event()
    runner = Runner(concern, woken, surroundings(Lines(), leads=False))
    thread = threading.Thread(target=runner.run, args=(stop,), daemon=True)
    thread.start()
    woken.set()
    time.sleep(0.1)
    stop.set()
    woken.set()
    thread.join(5)

    assert concern.steps == 0


@pytest.fixture(name="world")
def _world() -> World:
    return World()


def lead(world: World, identity: str = "one") -> LeaderElector:
    """A candidate for the companion's Lease."""
    return LeaderElector(
        world.cluster.client(),
        ObjectKey("release", "companion"),
        identity,
        clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
        wake=lambda: None,
    )


def test_a_process_leads_works_and_ends(world: World) -> None:
    """Its Lease is free again when it has ended."""
    woken = threading.Event()
    leadership = lead(world)
    shared = Surroundings(
        leads=lambda: leadership.is_leader,
        clock=lambda: START,
        log=world.log,
        failed=uncounted,
    )
    process = Process(
        observed=world.observed,
        leadership=leadership,
        runners={"mirrors": Runner(world.mirrors, woken, shared)},
        log=world.log,
        wake=Wake(woken),
        close=world.mirrors.close,
    )
    world.label("ray")
    process.start()
    assert eventually(lambda: world.mirror("ray") is not None)
    assert process.is_alive()
    assert process.is_ready()
    started = time.monotonic()
    process.end()

    assert time.monotonic() - started < 5
    assert not leadership.is_leader
    lease = world.user.get(LEASE, "companion", "release")
    assert parse_lease(lease).holder == ""


def test_the_listener_tells_health_readiness_and_metrics() -> None:
    """And nothing else."""
    ready = threading.Event()
    app = application(CollectorRegistry(), is_alive=lambda: True, is_ready=ready.is_set)
    server = listen("127.0.0.1:0", app)

    def code(path: str) -> int:
        url = f"http://127.0.0.1:{server.server_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    codes = [code(path) for path in ("/healthz", "/readyz", "/metrics", "/other")]
    ready.set()
    codes.append(code("/readyz"))
    server.shutdown()
    server.server_close()

    assert codes == [200, 503, 200, 404, 200]


def has_ipv6() -> bool:
    """Whether this machine lets anybody listen on IPv6's loopback."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("[::1]", marks=IPV6)])
def test_one_listener_serves_both_families(host: str) -> None:
    """Pods have IPv4 addresses, IPv6 addresses, or both."""
    app = application(CollectorRegistry(), is_alive=lambda: True, is_ready=bool)
    server = listen("[::]:0", app)
    try:
        url = f"http://{host}:{server.server_port}/healthz"
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.status == 200
    finally:
        server.shutdown()
        server.server_close()


def test_a_node_without_ipv6_serves_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same chart value fits every node."""

    def refused(server: WSGIServer) -> None:
        raise OSError(errno.EAFNOSUPPORT, "no IPv6")

    monkeypatch.setattr(listener._BothServer, "server_bind", refused)
    app = application(CollectorRegistry(), is_alive=lambda: True, is_ready=bool)
    server = listen("[::]:0", app)
    host = server.server_address[0]
    server.shutdown()
    server.server_close()

    assert host == "0.0.0.0"  # noqa: S104 - compared, not bound
