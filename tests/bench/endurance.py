"""What takes minutes: the promises of `tests/server`, for longer and under load.

    python -m tests.bench.endurance --tools DIR [SCENARIO...]

Each scenario prints one line of JSON with what it counted, and whether that held.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.bench.measure import held, load, memory_mib, write_bodies
from tests.server.pairs import PemPair, issue
from tests.server.process import Client, Server, serving
from tests.server.test_abuse import MEMORY_MIB, WORST

REPLACEMENTS = 200
SOAK_REQUESTS = 3_000_000
IDLE_SECONDS = (1.9, 2.1, 3.1, 30, 60, 88, 89.5, 90.5, 95)
"""Around 2 s, gunicorn's own default, and around 90 s, kube-apiserver's."""

Result = tuple[dict[str, Any], bool]


@contextlib.contextmanager
def one_server(pair: PemPair) -> Iterator[tuple[Server, list[Path]]]:
    """A server in a folder of its own, and the bodies."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair.write(folder)
        (folder / "bodies").mkdir()
        bodies = write_bodies(folder / "bodies")
        with serving(folder, pair) as server:
            yield server, bodies


def churn(tools: Path) -> Result:
    """Replace the certificate under clients that keep connections and that do not."""
    pairs = [issue(), issue()]
    broken = [
        PemPair(crt=pairs[0].crt, key=pairs[1].key),
        PemPair(crt=pairs[0].crt[:100], key=pairs[0].key),
        PemPair(crt=pairs[1].crt, key=b""),
    ]
    seconds = REPLACEMENTS * 1.1
    with one_server(pairs[0]) as (server, bodies):
        trust = server.directory / "trust.pem"
        trust.write_bytes(pairs[0].crt + pairs[1].crt)
        command = [str(tools / "load"), "-addr", f"127.0.0.1:{server.port}"]
        command += ["-ca", str(trust), "-conns", "4", "-seconds", str(seconds)]
        clients = [
            subprocess.Popen([*command, *how, *map(str, bodies)], stdout=-1)
            for how in ([], ["-fresh"])
        ]
        for number in range(REPLACEMENTS):
            if number % 2:
                broken[number // 2 % 3].write(server.directory)
                time.sleep(0.5)
                pairs[number % 4 // 2].write(server.directory)
                time.sleep(0.6)
            else:
                pairs[number % 4 // 2].write(server.directory)
                time.sleep(1.1)
        reports = [json.loads(client.communicate()[0]) for client in clients]
        seen = [one.get("problem") for one in server.events("certificate")]
    counted = {
        "kept": reports[0],
        "fresh": reports[1],
        "taken": seen.count(None),
        "refused": len(seen) - seen.count(None),
    }
    return counted, not any(one["errors"] for one in reports)


def killed(tools: Path) -> Result:
    """Kill the worker, the one process that answers, under 8 clients."""
    with one_server(issue()) as (server, bodies):
        found: list[dict[str, Any]] = []
        client = threading.Thread(
            target=lambda: found.append(
                load(tools / "load", server.port, bodies, conns=8, seconds=10)
            )
        )
        client.start()
        for _ in range(3):
            time.sleep(2.5)
            os.kill(server.worker(), signal.SIGKILL)
        client.join()
    # Three times, at most what each of the 8 had in flight.
    return found[0], found[0]["errors"] <= 3 * 8


def idle(tools: Path) -> Result:
    """Use connections again after they were idle."""
    del tools
    body = json.dumps({"not": "a review"}).encode()
    with one_server(issue()) as (server, _):
        sleepers = [(gap, server.client(30)) for gap in IDLE_SECONDS for _ in range(5)]
        begun = time.monotonic()
        for _, client in sleepers:
            client.mutate(body)
        failed = 0
        for gap, client in sleepers:
            time.sleep(max(0.0, begun + gap - time.monotonic()))
            try:
                client.mutate(body)
            except Exception:  # noqa: BLE001 - any failure is what is counted
                failed += 1
            client.close()
    return {"reused": len(sleepers), "failed": failed}, failed == 0


def rolling(tools: Path) -> Result:
    """Replace three replicas, one by one, under clients that learn of it late."""
    del tools
    pair, stop = issue(), threading.Event()
    counts = {"answered": 0, "failed": 0}
    kinds: set[str] = set()
    lock = threading.Lock()
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair.write(folder)
        body = write_bodies(folder)[0].read_bytes()

        def replica() -> Server:
            return stack.enter_context(serving(folder, pair, drain_seconds="3"))

        endpoints = [replica() for _ in range(3)]

        def ask(number: int) -> None:
            client: Client | None = None
            turn = number
            while not stop.is_set():
                turn += 1
                try:
                    client = client or endpoints[turn % len(endpoints)].client()
                    reply = client.mutate(body)
                    good = reply.status == 200
                    if reply.headers.get("connection") == "close":
                        client.close()
                        client = None
                except Exception as problem:  # noqa: BLE001 - counted
                    good, client = False, None
                    kinds.add(repr(problem))
                with lock:
                    counts["answered" if good else "failed"] += 1
            if client:
                client.close()

        clients = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
        for one in clients:
            one.start()
        for _ in range(3):
            time.sleep(2)
            endpoints.append(replica())
            leaving = endpoints[0]
            leaving.process.send_signal(signal.SIGTERM)
            time.sleep(1.5)  # as late as endpoints leave a busy cluster
            endpoints.remove(leaving)
            leaving.process.wait(60)
        stop.set()
        for one in clients:
            one.join()
    return {**counts, "kinds": sorted(kinds)}, counts["failed"] == 0


def soak(tools: Path) -> Result:
    """Answer three million reviews, and hold no more at the end."""
    done, errors, held_then = 0, 0, []
    with one_server(issue()) as (server, bodies):
        while done < SOAK_REQUESTS:
            report = load(tools / "load", server.port, bodies, conns=25, seconds=30)
            done += report["requests"]
            errors += report["errors"]
            held_then.append({"requests": done} | asdict(held(server.process.pid)))
            print(held_then[-1], file=sys.stderr, flush=True)  # noqa: T201 - progress
    middle, last = held_then[len(held_then) // 2], held_then[-1]
    flat = last["pss_mib"] <= middle["pss_mib"] + 2
    same = all(last[key] == middle[key] for key in ("descriptors", "threads"))
    return {"requests": done, "errors": errors, "samples": held_then}, (
        flat and same and not errors
    )


def _drip(slow: list[Client], stop: threading.Event) -> None:
    while not stop.wait(1):
        for client in slow:
            with contextlib.suppress(OSError):
                client.sock.sendall(b" ")


def _flood(deaf: Client, stop: threading.Event) -> None:
    deaf.sock.settimeout(0.5)
    with contextlib.suppress(OSError):
        while not stop.is_set():
            deaf.sock.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" * 50)


def attack(tools: Path) -> Result:
    """500 peers that misbehave at once; a healthy one keeps asking, each time anew."""
    half = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n"
    with one_server(issue()) as (server, bodies):
        load(tools / "load", server.port, bodies, conns=25, seconds=3)
        before = held(server.worker())
        stop = threading.Event()
        stalled = [Client(server.port, None) for _ in range(400)]
        for peer in stalled[:200]:
            peer.sock.sendall(b"\x16\x03\x01")
        slow = [server.client() for _ in range(50)]
        for client in slow:
            client.sock.sendall(half)
        deaf = [server.client() for _ in range(50)]

        threads = [threading.Thread(target=_drip, args=(slow, stop))]
        threads += [threading.Thread(target=_flood, args=(one, stop)) for one in deaf]
        for thread in threads:
            thread.start()
        # Another process asks, for this one's threads wait for each other.
        healthy = subprocess.Popen(
            [str(tools / "load"), "-addr", f"127.0.0.1:{server.port}", "-conns", "1",
             "-seconds", "15", "-fresh", *map(str, bodies)],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        alive = True
        while healthy.poll() is None:
            alive = alive and server.probe("/healthz").status == 200
            time.sleep(0.7)
        report = json.loads(healthy.communicate()[0])
        stop.set()
        for thread in threads:
            thread.join()
        for one in (*stalled, *slow, *deaf):
            one.close()
        time.sleep(4)
        after = held(server.worker())
    counted = {
        "healthy": report,
        "alive": alive,
        "before": asdict(before),
        "after": asdict(after),
    }
    back = after.descriptors <= before.descriptors + 1
    back = back and after.pss_mib < before.pss_mib + 20
    return counted, (
        back and alive and not report["errors"] and report["max_ms"] < 1000
    )


def large(tools: Path) -> Result:
    """25 clients send the largest bodies at once, refused and answered ones in turn."""
    bodies_sent = [b" " * (7 << 20), WORST["containers"], WORST["labels"]]
    stop = threading.Event()
    statuses: dict[int, int] = {}
    lock = threading.Lock()

    def send(server: Server) -> None:
        for body in itertools.cycle(bodies_sent):
            if stop.is_set():
                return
            status = 0  # the answer was lost with the connection
            with contextlib.suppress(OSError, HTTPException), server.client() as client:
                status = client.mutate(body).status
            with lock:
                statuses[status] = statuses.get(status, 0) + 1

    with one_server(issue()) as (server, reviews):
        threads = [threading.Thread(target=send, args=(server,)) for _ in range(25)]
        for thread in threads:
            thread.start()
        healthy = subprocess.Popen(
            [str(tools / "load"), "-addr", f"127.0.0.1:{server.port}", "-conns", "1",
             "-seconds", "15", *map(str, reviews)],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        peak = 0.0
        while healthy.poll() is None:
            peak = max(peak, memory_mib(server.process.pid))
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join()
        report = json.loads(healthy.communicate()[0])
    counted = {"peak_pss_mib": round(peak, 1), "statuses": statuses, "healthy": report}
    return counted, peak < MEMORY_MIB and report["max_ms"] < 1000 and not report[
        "errors"
    ]


SCENARIOS: dict[str, Callable[[Path], Result]] = {
    "attack": attack,
    "large": large,
    "killed": killed,
    "rolling": rolling,
    "idle": idle,
    "churn": churn,
    "soak": soak,
}


def main() -> None:
    """Run the scenarios named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help="folder of binaries")
    parser.add_argument("scenario", nargs="*", default=list(SCENARIOS))
    args = parser.parse_args()
    failed = []
    for name in args.scenario:
        counted, held_good = SCENARIOS[name](args.tools)
        line = {"scenario": name, "held": held_good, **counted}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        if not held_good:
            failed.append(name)
    sys.exit(f"did not hold: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
