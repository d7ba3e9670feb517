"""What certificates cost: issue, plan, and handshakes at the real server.

`python -m tests.bench.certificates --tools FOLDER` prints one line for each; they are
medians of five rounds, taken in one run, and nothing asserts them. All of it is CPU
time, of this process or of the server's, so that a busy machine changes little; beside
ours stands the bare Go webhook of FOLDER.
"""

import argparse
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from certs import bundle
from certs.issue import issue
from certs.model import Generation
from certs.policy import CertificatePolicy
from certs.rotation import plan
from certs.state import ClientTrust, ObservedState, ServingSecret, State
from tests.bench.measure import cpu_seconds
from tests.lab.processes import Process, free_port, listens
from webhook.server.certwatcher import CertWatcher

NAME: Final = "injector.system.svc"
POLICY: Final = CertificatePolicy(names=(NAME,))
ROUNDS: Final = 5


def per_call(
    call: Callable[[], object],
    times: int,
    spent: Callable[[], float] = time.process_time,
) -> float:
    """CPU seconds of one call: the median of some rounds.

    Args:
        call: What to measure.
        times: Calls in a round.
        spent: Whose CPU seconds; this process's unless told.
    """
    rounds = []
    for _ in range(ROUNDS):
        started = spent()
        for _ in range(times):
            call()
        rounds.append((spent() - started) / times)
    return statistics.median(rounds)


def settled(generation: Generation) -> tuple[State, ObservedState]:
    """What a companion sees at nearly every look: everything in order."""
    pem = bundle.render([generation.root])
    seen = ObservedState(
        trust=ClientTrust(version="c/1", bundles=(pem, pem)),
        pair=ServingSecret(version="p/1", generation=generation),
    )
    return State(current=generation), seen


def shake(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
    """One connection; whether the server resumed the session."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=NAME, session=session) as tls,
    ):
        return bool(tls.session_reused)


def offered_session(port: int, context: ssl.SSLContext) -> ssl.SSLSession | None:
    """What the server lets a client resume; None when it keeps no sessions."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as tls,
    ):
        tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        tls.recv(1)
        session = tls.session
        return session if session is not None and session.has_ticket else None


@contextmanager
def running(name: str, command: Sequence[str | Path], port: int) -> Iterator[int]:
    """A server on its port, until the block ends; its process id."""
    with tempfile.TemporaryDirectory() as folder:
        server = Process.start(name, command, log=Path(folder) / "log", env={})
        try:
            server.wait_until(lambda: listens(port))
            yield server.popen.pid
        finally:
            server.stop(seconds=1)


def handshakes(
    port: int, context: ssl.SSLContext, pid: int
) -> tuple[float, float | None]:
    """Handshakes per CPU-second of a server: first ones, and resumed ones if any."""

    def spent() -> float:
        return cpu_seconds(pid)

    first = 1 / per_call(lambda: shake(port, context, None), 500, spent)
    session = offered_session(port, context)
    if session is None or not shake(port, context, session):
        return first, None
    return first, 1 / per_call(lambda: shake(port, context, session), 500, spent)


def servers(tools: Path, folder: Path) -> Iterator[tuple[str, list[str | Path], int]]:
    """Ours and the bare Go webhook, each with its port."""
    port = free_port()
    command = Path(sys.executable).with_name("tracking-injector")
    pair = ("--cert-dir", folder, "--bind")
    health = ("--health-bind", f"127.0.0.1:{free_port()}")
    yield "ours", [command, "serve", *pair, f"127.0.0.1:{port}", *health], port
    port = free_port()
    yield "bare Go", [tools / "stub", *pair, f"127.0.0.1:{port}"], port


def shaken(generation: Generation, tools: Path) -> Iterator[str]:
    """A line for each server: the same pair, the same client, one after the other.

    Handshakes per CPU-second of the server.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=generation.root.pem.decode())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tls.crt").write_bytes(generation.leaf)
        (folder / "tls.key").write_bytes(generation.key.reveal())
        watch = CertWatcher(folder)
        watch.check()
        yield f"look at the mount       {per_call(watch.check, 1000) * 1e6:8.1f} µs"
        proof = per_call(lambda: _prove(folder), 50)
        yield f"proof of a new pair     {proof * 1e3:8.2f} ms"
        for server, command, port in servers(tools, folder):
            with running(server, command, port) as pid:
                while not _serves(port, context):
                    time.sleep(0.05)
                first, resumed = handshakes(port, context, pid)
            again = (
                "none, it keeps no sessions" if resumed is None else f"{resumed:.0f}"
            )
            yield f"handshakes, {server:<8} {first:8.0f} per CPU-s, resumed {again}"


def _prove(folder: Path) -> bool:
    return CertWatcher(folder).check()


def _serves(port: int, context: ssl.SSLContext) -> bool:
    try:
        shake(port, context, None)
    except OSError:
        return False
    return True


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help="folder of the stub")
    tools = parser.parse_args().tools
    now = datetime.now(UTC)  # noqa: TID251 - the server's clock judges what is issued
    generation = issue(POLICY, now)
    state, seen = settled(generation)
    issued = per_call(lambda: issue(POLICY, now), 50)
    planned = per_call(lambda: plan(state, seen, POLICY, now), 1000)
    sys.stdout.write(
        f"issue of a generation   {issued * 1e3:8.2f} ms\n"
        f"plan, all in order      {planned * 1e6:8.1f} µs\n"
    )
    for line in shaken(generation, tools):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
