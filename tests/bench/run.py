"""`make bench`: our server and a bare Go webhook, the same reviews, one core each.

Both are alive together and measured in turn, so that a slow moment of the machine hits
both: only ratios inside a round are worth quoting. The server runs as it is shipped:
decision, metrics and log on, the log written to a file.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.measure import cpu_seconds, held, load, pin, write_bodies
from tests.server.pairs import issue
from tests.server.process import Client

SERVER_CORE, CLIENT_CORE = 0, 1
CONNECTIONS = (25, 1)
PEERS = ("stub", "stock")
"""The bare Go webhook, and gunicorn's own asgi worker around our answer."""
console = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measurement of one server."""

    server: str
    conns: int
    per_cpu_second: float
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A running server."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    ready_seconds: float


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def start(name: str, command: list[str], port: int, log: Path, ready: Any) -> Peer:
    """Start a server on its core; measure exec to the first answered review."""
    begun = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*pin(SERVER_CORE), *command], stdout=out, stderr=subprocess.STDOUT
        )
    while not ready(port):
        time.sleep(0.002)
    return Peer(
        name=name,
        process=process,
        port=port,
        ready_seconds=time.perf_counter() - begun,
    )


def answers(pair: Any, body: bytes) -> Any:
    """Whether the server at a port answers a review."""

    def ask(port: int) -> bool:
        try:
            with Client(port, pair) as client:
                return client.mutate(body).status == 200
        except OSError:
            return False

    return ask


def measure(peer: Peer, conns: int, seconds: float, tools: Path, bodies: Any) -> Round:
    """One round of one server."""
    before = cpu_seconds(peer.process.pid)
    report = load(
        tools / "load",
        peer.port,
        bodies,
        conns=conns,
        seconds=seconds,
        core=CLIENT_CORE,
    )
    spent = cpu_seconds(peer.process.pid) - before
    return Round(
        server=peer.name,
        conns=conns,
        per_cpu_second=round(report["requests"] / spent),
        rate=round(report["rate"]),
        p50_ms=report["p50_ms"],
        p99_ms=report["p99_ms"],
        errors=report["errors"],
    )


def ratios(rounds: list[Round], conns: int, peer: str) -> dict[str, list[float]]:
    """Ours to a peer's, round by round."""
    ours = [one for one in rounds if one.server == "ours" and one.conns == conns]
    theirs = [one for one in rounds if one.server == peer and one.conns == conns]
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "per_cpu_second": [a.per_cpu_second / b.per_cpu_second for a, b in pairs],
        "p50": [a.p50_ms / b.p50_ms for a, b in pairs],
        "p99": [a.p99_ms / b.p99_ms for a, b in pairs],
    }


def show(rounds: list[Round], summary: dict[str, Any]) -> None:
    """The table."""
    table = Table(title="medians of the rounds; ratio to the stub [lowest-highest]")
    for column in (
        "server",
        "conns",
        "per CPU-s",
        "rate",
        "p50 ms",
        "p99 ms",
        "errors",
    ):
        table.add_column(column, justify="right")
    for conns in CONNECTIONS:
        for name in (*PEERS, "ours"):
            of = [one for one in rounds if (one.server, one.conns) == (name, conns)]
            cells = [
                f"{statistics.median(getattr(one, key) for one in of):.4g}"
                for key in ("per_cpu_second", "rate", "p50_ms", "p99_ms")
            ]
            errors = sum(one.errors for one in of)
            table.add_row(name, str(conns), *cells, str(errors))
    console.print(table)
    for key, value in summary.items():
        console.print(f"{key}: {value}", highlight=False)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help="folder of binaries")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--warm-up", type=float, default=4)
    parser.add_argument("--out", type=Path, help="file for the JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = run(args, Path(name))
    text = json.dumps(result, indent=1)
    if args.out:
        args.out.write_text(text)
    sys.stdout.write(text + "\n")


def run(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start both, measure in turn, stop both."""
    pair = issue()
    pair.write(folder)
    bodies = write_bodies(folder)
    ready = answers(pair, bodies[0].read_bytes())
    serve = str(Path(sys.executable).with_name("tracking-injector"))
    ports = [free_port() for _ in range(3)]
    binds = [f"127.0.0.1:{port}" for port in ports]
    certificate = ["--cert-dir", str(folder)]
    stub = [str(args.tools / "stub"), *certificate, "--bind", binds[0]]
    health = ["--health-bind", "127.0.0.1:0"]
    ours = [serve, "serve", *certificate, "--bind", binds[1], *health]
    stock = [sys.executable, "-m", "tests.bench.stock", *certificate]
    stock += ["--bind", binds[2]]
    peers = [
        start("stub", stub, ports[0], folder / "stub.log", ready),
        start("stock", stock, ports[2], folder / "stock.log", ready),
        start("ours", ours, ports[1], folder / "ours.log", ready),
    ]
    rounds: list[Round] = []
    server = peers[-1]
    try:
        for peer in peers:
            measure(peer, 25, args.warm_up, args.tools, bodies)
        before = held(server.process.pid)
        for number in range(args.rounds):
            for conns in CONNECTIONS:
                for peer in peers:
                    console.print(
                        f"round {number + 1}, {conns} connections, {peer.name}"
                    )
                    rounds.append(
                        measure(peer, conns, args.seconds, args.tools, bodies)
                    )
        after = held(server.process.pid)
    finally:
        for peer in peers:
            peer.process.terminate()
    spread = {
        f"{key} to {peer}'s at {conns}": f"{statistics.median(values):.2f}"
        f" [{min(values):.2f}-{max(values):.2f}]"
        for peer in PEERS
        for conns in CONNECTIONS
        for key, values in ratios(rounds, conns, peer).items()
    }
    summary = {
        **{f"ratio of {key}": value for key, value in spread.items()},
        "ready in seconds": round(server.ready_seconds, 3),
        "held after warm-up": asdict(before),
        "held at the end": asdict(after),
    }
    show(rounds, summary)
    return {"rounds": [asdict(one) for one in rounds], "summary": summary}


if __name__ == "__main__":
    main()
