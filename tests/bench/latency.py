"""What a pod's CREATE costs with us: a real API server, dry runs, one client.

    python -m tests.bench.latency [--creates 500]

The same KubeRay head pod goes to four namespaces in turn: one where nothing is done to
it, one with the policy, one with the webhook, and one with both. A turn is a block of
a few, so that the API server's CPU can be counted for each, and a slow moment of the
machine hits all. Prints a table and one line of JSON.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.bench.measure import cpu_seconds
from tests.cluster.in_tree.ways import Way, Ways
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane
from webhook.injection.policy import InjectionPolicy
from webhook.samples import reviews

BLOCK: Final = 20
"""Dry runs in a row; their CPU is counted in ticks of 10 ms."""
CHOICE: Final = InjectionPolicy()


def pod() -> dict[str, Any]:
    """A head pod as KubeRay sends it."""
    review = json.loads(reviews()["ray-head-michelangelo"])
    found: dict[str, Any] = review["request"]["object"]
    for key in ("namespace", "managedFields"):
        found["metadata"].pop(key, None)
    return found


@dataclass(slots=True)
class Cost:
    """What dry runs of one way cost.

    Attributes:
        took: Milliseconds of each.
        cpu: Seconds of the API server's CPU, of all.
    """

    took: list[float] = field(default_factory=list)
    cpu: float = 0.0

    def figures(self) -> dict[str, float]:
        """The median, the 99th percentile, and the API server's CPU for each."""
        cuts = statistics.quantiles(self.took, n=100)
        return {
            "p50_ms": round(cuts[49], 2),
            "p99_ms": round(cuts[98], 2),
            "cpu_ms": round(self.cpu * 1000 / len(self.took), 2),
        }


def measure(ways: Ways, count: int) -> dict[Way, Cost]:
    """Create in blocks, in an order that is new each time."""
    costs = {way: Cost() for way in Way}
    server = ways.plane.pid("kube-apiserver")
    turns = random.Random(0)  # noqa: S311 - an order, not a secret
    sent = pod()
    for number in range(-1, count // BLOCK):
        for way in turns.sample(list(Way), len(Way)):
            cost = Cost()
            before = cpu_seconds(server)
            for _ in range(BLOCK):
                begun = time.perf_counter()
                ways.create(way, CHOICE, sent)
                cost.took.append((time.perf_counter() - begun) * 1000)
            cost.cpu = cpu_seconds(server) - before
            if number >= 0:  # before that the connections warm up
                costs[way].took += cost.took
                costs[way].cpu += cost.cpu
        console.print(f"{(number + 1) * BLOCK} of {count}")
    return costs


def main() -> None:
    """Start a control plane and the product, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--creates", type=int, default=500, help="dry runs each way")
    args = parser.parse_args()
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    with tempfile.TemporaryDirectory() as name:
        (folder := Path(name) / "plane").mkdir()
        plane = ControlPlane.start(toolbox, folder)
        try:
            ways = Ways(plane, Path(name) / "webhooks", [CHOICE])
            try:
                costs = measure(ways, args.creates)
            finally:
                ways.stop()
        finally:
            plane.stop()
    show({way.value: cost.figures() for way, cost in costs.items()}, args.creates)


def show(found: dict[str, dict[str, float]], creates: int) -> None:
    """The table and the JSON."""
    table = Table(title=f"a pod's CREATE as a dry run, {creates} each, in milliseconds")
    columns = ("admission by", "p50", "p99", "above nobody", "API server's CPU")
    for column in columns:
        table.add_column(column, justify="right")
    floor = found["nobody"]["p50_ms"]
    for way, one in found.items():
        above = f"{one['p50_ms'] - floor:+.2f}"
        figures = (one["p50_ms"], one["p99_ms"], above, one["cpu_ms"])
        table.add_row(way, *map(str, figures))
    console.print(table)
    sys.stdout.write(json.dumps({"creates": creates, **found}) + "\n")


console = Console(stderr=True)


if __name__ == "__main__":
    main()
