"""`make bench`: our server and its peers, the same reviews, one core each.

All are alive together and measured in turn, so that a slow moment of the machine hits
all: only ratios inside a round are worth quoting. The server runs as it is shipped:
decision, metrics and log on, the log written to a file. A round in which others had
the machine counts for nothing, and where most rounds were such there is no figure.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.bench.measure import Machine, cpu_seconds, held, load, pin, write_bodies
from tests.server.pairs import issue
from tests.server.process import Client

SERVER_CORE, CLIENT_CORE = 0, 1
CONNECTIONS = (25, 1)
PEERS = ("floor", "stub", "stock")
"""A constant answer in C, the bare Go webhook, gunicorn's own worker; see `stock`."""
OTHERS: Final = 0.1
"""The share of the machine that others may have in a round that counts."""
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
    others: float
    number: int


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


def measure(
    peer: Peer, conns: int, number: int, args: argparse.Namespace, bodies: Any
) -> Round:
    """One round of one server."""
    before, machine = cpu_seconds(peer.process.pid), Machine.now()
    client, begun = os.times(), time.perf_counter()
    report = load(
        args.tools / "load",
        peer.port,
        bodies,
        conns=conns,
        seconds=args.seconds if number else args.warm_up,
        core=CLIENT_CORE,
    )
    spent = cpu_seconds(peer.process.pid) - before
    after, elapsed = os.times(), time.perf_counter() - begun
    loader = after.children_user - client.children_user
    loader += after.children_system - client.children_system
    return Round(
        server=peer.name,
        conns=conns,
        per_cpu_second=round(report["requests"] / max(spent, 0.01)),
        rate=round(report["rate"]),
        p50_ms=report["p50_ms"],
        p99_ms=report["p99_ms"],
        errors=report["errors"],
        others=round(Machine.now().others(machine, spent + loader, elapsed), 3),
        number=number,
    )


def quiet(rounds: list[Round]) -> list[Round]:
    """The rounds in which the machine was ours, for each of the servers."""
    busy = {(one.number, one.conns) for one in rounds if one.others > OTHERS}
    return [one for one in rounds if (one.number, one.conns) not in busy]


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


def show(rounds: list[Round], ratios: list[Any], summary: dict[str, Any]) -> None:
    """The tables."""
    for title, columns, rows in (
        ("medians of the rounds that count", COLUMNS, medians(rounds)),
        ("ours to a peer's, round by round", RATIOS, ratios),
    ):
        table = Table(title=title)
        for column in columns:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*map(str, row))
        console.print(table)
    if not ratios:
        console.print("no ratio: the machine was too busy to trust one")
    for key, value in summary.items():
        console.print(f"{key}: {value}", highlight=False)


RATIOS: Final = ("beside", "conns", "per CPU-s", "p50", "p99")
COLUMNS: Final = ("server", "conns", "per CPU-s", "rate", "p50 ms", "p99 ms", "errors")


def medians(rounds: list[Round]) -> Iterator[tuple[str | int | float, ...]]:
    """A row for each server and number of connections."""
    for conns in CONNECTIONS:
        for name in (*PEERS, "ours"):
            of = [one for one in rounds if (one.server, one.conns) == (name, conns)]
            if not of:
                continue
            keys = ("per_cpu_second", "rate", "p50_ms", "p99_ms")
            figures = [
                statistics.median(getattr(one, key) for one in of) for key in keys
            ]
            shown = [float(f"{figure:.4g}") for figure in figures]
            yield (name, conns, *shown, sum(one.errors for one in of))


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help="folder of binaries")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=6)
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
    """Start all, measure in turn, stop all."""
    pair = issue()
    pair.write(folder)
    bodies = write_bodies(folder)
    ready = answers(pair, bodies[0].read_bytes())
    certificate = ["--cert-dir", str(folder)]
    serve = str(Path(sys.executable).with_name("tracking-injector"))
    commands: dict[str, Callable[[int], list[str]]] = {
        "floor": lambda port: [str(args.tools / "floor"), str(port), str(folder)],
        "stub": lambda port: [
            str(args.tools / "stub"), *certificate, "--bind", f"127.0.0.1:{port}"
        ],
        "stock": lambda port: [
            sys.executable, "-m", "tests.bench.stock", *certificate,
            "--bind", f"127.0.0.1:{port}",
        ],
        "ours": lambda port: [
            serve, "serve", *certificate, "--bind", f"127.0.0.1:{port}",
            "--health-bind", "127.0.0.1:0",
        ],
    }  # fmt: skip
    peers: list[Peer] = []
    rounds: list[Round] = []
    try:
        for name, command in commands.items():
            port = free_port()
            log = folder / f"{name}.log"
            peers.append(start(name, command(port), port, log, ready))
        server = peers[-1]
        for peer in peers:
            measure(peer, 25, 0, args, bodies)
        before = held(server.process.pid)
        for number in range(1, args.rounds + 1):
            for conns in CONNECTIONS:
                console.print(f"round {number}, {conns} connections")
                rounds += [measure(peer, conns, number, args, bodies) for peer in peers]
        after = held(server.process.pid)
    finally:
        for peer in peers:
            peer.process.terminate()
    counting = quiet(rounds)
    verdict = list(against_peers(counting)) if 2 * len(counting) >= len(rounds) else []
    summary = {
        "rounds that count": f"{len(counting) // len(peers)} of "
        f"{len(rounds) // len(peers)}; in the others more than {OTHERS:.0%} of the "
        "machine was somebody else's",
        "ready in seconds": round(server.ready_seconds, 3),
        "memory after warm-up, at the end": f"{before.pss_mib} and {after.pss_mib} MiB",
    }
    show(counting, verdict, summary)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "date": time.strftime("%Y-%m-%d"),
        "rounds": [asdict(one) for one in rounds],
        "rows": list(medians(counting)),
        "ratios": verdict,
        "summary": summary,
    }


def against_peers(counting: list[Round]) -> Iterator[tuple[str, int, str, str, str]]:
    """A row for each peer and number of connections: medians and ranges of ratios."""
    for peer in PEERS:
        for conns in CONNECTIONS:
            of = ratios(counting, conns, peer).values()
            if not all(of):
                continue
            cost, p50, p99 = (
                f"{statistics.median(one):.2f} [{min(one):.2f}-{max(one):.2f}]"
                for one in of
            )
            yield (peer, conns, cost, p50, p99)


if __name__ == "__main__":
    main()
