"""What a pod's CREATE costs with us: a real API server, dry runs, one client.

    python -m tests.bench.latency [--creates 500]

The same KubeRay head pod goes to three namespaces in turn: one where nothing is done to
it, one where the API server itself adds our reference by a MutatingAdmissionPolicy
(the least that any admission costs), and one where it asks us. So a slow moment of the
machine hits all three. Prints a table and one line of JSON.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.cluster.injector import COMPUTE, Injector
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import wait_for
from webhook.samples import reviews

WAYS: Final = {"nothing": {}, "policy": {"by": "policy"}, "webhook": COMPUTE}
"""Namespaces and their labels."""

ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
_SOURCE: Final = "Object.spec.containers.envFrom"
EXPRESSION: Final = (
    '[JSONPatch{op: "add", path: "/spec/containers/0/envFrom/0", value: '
    f'{_SOURCE}{{secretRef: {_SOURCE}.secretRef{{name: "michelangelo-tracking"}}}}}},'
    ' JSONPatch{op: "add", path: "/metadata/labels/injected", value: "true"}]'
)
"""As simple as it gets: the first container, which has an `envFrom` already, and a
label instead of our stamp."""


def pod() -> dict[str, Any]:
    """A head pod as KubeRay sends it."""
    review = json.loads(reviews()["ray-head-michelangelo"])
    found: dict[str, Any] = review["request"]["object"]
    for key in ("namespace", "managedFields"):
        found["metadata"].pop(key, None)
    return found


def add_policy(plane: ControlPlane) -> None:
    """The same reference without a webhook."""
    namespaces = {"namespaceSelector": {"matchLabels": WAYS["policy"]}}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    spec = {
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [{**pods, "operations": ["CREATE"]}]},
        "mutations": [
            {"patchType": "JSONPatch", "jsonPatch": {"expression": EXPRESSION}}
        ],
    }
    binding = {"policyName": "floor", "matchResources": namespaces}
    for kind, content in (("policies", spec), ("policybindings", binding)):
        body = {"metadata": {"name": "floor"}, "spec": content}
        plane.admin.create(f"{ADMISSION}/mutatingadmission{kind}", body)


def create(plane: ControlPlane, way: str) -> Any:
    """One dry run; returns the pod as it was admitted."""
    path = f"/api/v1/namespaces/{way}/pods"
    return plane.admin.create(path, pod(), dryRun="All")


def sources(admitted: Any) -> int:
    """How many sources of environment the head has; it comes with one."""
    return len(admitted["spec"]["containers"][0]["envFrom"])


def has_effect(plane: ControlPlane, way: str) -> bool:
    """Whether the API server's copy of the configuration is fresh."""
    return sources(create(plane, way)) == 2


def measure(plane: ControlPlane, count: int) -> dict[str, list[float]]:
    """Milliseconds of each dry run."""
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    turns = random.Random(0)  # noqa: S311 - an order, not a secret
    for number in range(-20, count):
        for way in turns.sample(list(WAYS), len(WAYS)):
            begun = time.perf_counter()
            admitted = create(plane, way)
            if number >= 0:  # before that the connections warm up
                took[way].append((time.perf_counter() - begun) * 1000)
            assert sources(admitted) == (1 if way == "nothing" else 2)
        if number > 0 and number % 100 == 0:
            console.print(f"{number} of {count}")
    return took


def quantiles(took: list[float]) -> dict[str, float]:
    """The median and the 99th percentile."""
    cuts = statistics.quantiles(took, n=100)
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


def main() -> None:
    """Start a control plane and the product, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--creates", type=int, default=500, help="dry runs each way")
    args = parser.parse_args()
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    with tempfile.TemporaryDirectory() as name:
        (folder := Path(name) / "webhook").mkdir()
        (plane_folder := Path(name) / "plane").mkdir()
        plane = ControlPlane.start(toolbox, plane_folder)
        try:
            injector = Injector(folder)
            try:
                injector.register(plane)
                add_policy(plane)
                for way, labels in WAYS.items():
                    plane.namespace(way, labels)
                for way in ("policy", "webhook"):
                    wait_for(way, partial(has_effect, plane, way))
                took = measure(plane, args.creates)
            finally:
                injector.stop()
        finally:
            plane.stop()
    show({way: quantiles(values) for way, values in took.items()}, args.creates)


def show(found: dict[str, dict[str, float]], creates: int) -> None:
    """The table and the JSON."""
    table = Table(title=f"a pod's CREATE as a dry run, {creates} each, in milliseconds")
    columns = ("admission", "p50", "p99", "p50 above the policy")
    for column in columns:
        table.add_column(column, justify="right")
    floor = found["policy"]["p50_ms"]
    for way, one in found.items():
        above = f"{one['p50_ms'] - floor:+.2f}"
        table.add_row(way, str(one["p50_ms"]), str(one["p99_ms"]), above)
    console.print(table)
    sys.stdout.write(json.dumps({"creates": creates, **found}) + "\n")


console = Console(stderr=True)


if __name__ == "__main__":
    main()
