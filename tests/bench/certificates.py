"""What certificates cost: issue, plan, and handshakes at the real server.

`python -m tests.bench.certificates` prints one line for each; they are medians of five
rounds, taken in one run, and nothing asserts them.
"""

import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from certs import bundle
from certs.issue import issue
from certs.material import Generation
from certs.policy import Policy
from certs.rotation import plan
from certs.state import Observed, Pair, State, Trust
from tests.lab.processes import Process, free_port, listens

NAME: Final = "injector.system.svc"
POLICY: Final = Policy(names=(NAME,))
ROUNDS: Final = 5


def per_call(call: Callable[[], object], times: int) -> float:
    """Seconds of one call: the median of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(times):
            call()
        rounds.append((time.perf_counter() - started) / times)
    return statistics.median(rounds)


def settled(generation: Generation) -> tuple[State, Observed]:
    """What a companion sees at nearly every look: everything in order."""
    pem = bundle.render([generation.root])
    seen = Observed(
        trust=Trust(version="c/1", bundles=(pem, pem)),
        pair=Pair(version="p/1", generation=generation),
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


def handshakes(generation: Generation, folder: Path) -> tuple[float, float | None]:
    """Handshakes per second of one client: first ones, and resumed ones if any."""
    (folder / "tls.crt").write_bytes(generation.leaf)
    (folder / "tls.key").write_bytes(generation.key.reveal())
    port = free_port()
    command = Path(sys.executable).with_name("tracking-injector")
    server = Process.start(
        "webhook",
        [
            *(command, "serve", "--cert-dir", folder, "--bind", f"127.0.0.1:{port}"),
            *("--health-bind", f"127.0.0.1:{free_port()}"),
        ],
        log=folder / "log",
        env={},
    )
    try:
        server.wait_until(lambda: listens(port))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=generation.root.pem.decode())
        server.wait_until(lambda: _serves(port, context))
        first = 1 / per_call(lambda: shake(port, context, None), 200)
        session = offered_session(port, context)
        if session is None or not shake(port, context, session):
            return first, None
        return first, 1 / per_call(lambda: shake(port, context, session), 200)
    finally:
        server.stop(seconds=1)


def _serves(port: int, context: ssl.SSLContext) -> bool:
    try:
        shake(port, context, None)
    except OSError:
        return False
    return True


def main() -> None:
    """Measure and print."""
    now = datetime.now(UTC)  # noqa: TID251 - the server's clock judges what is issued
    generation = issue(POLICY, now)
    state, seen = settled(generation)
    issued = per_call(lambda: issue(POLICY, now), 50)
    planned = per_call(lambda: plan(state, seen, POLICY, now), 1000)
    with tempfile.TemporaryDirectory() as folder:
        first, resumed = handshakes(generation, Path(folder))
    again = "none: the server keeps no sessions, as kube-apiserver resumes none"
    lines = (
        f"issue of a generation   {issued * 1e3:8.2f} ms",
        f"plan, all in order      {planned * 1e6:8.1f} µs",
        f"first handshakes        {first:8.0f} /s, one client",
        "resumed handshakes      "
        + (again if resumed is None else f"{resumed:8.0f} /s"),
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
