"""The companion at scale, under the chart's rights, on a real API server.

    python -m tests.bench.companion [--namespaces 1,100,300,1000] [--pods 10000]

Prints a table and one line of JSON: how long until every mirror is in place and after a
change of the source, requests per mirror, requests while nothing changes, resident
memory, and how long one change takes to reach a mirror.
"""

import argparse
import base64
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tests.cluster.release import CANARY, MIRROR, Release, companion, eventually
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures for one number of namespaces."""

    namespaces: int
    cold_seconds: float
    cold_requests_per_mirror: float
    change_seconds: float
    change_requests_per_mirror: float
    idle_seconds: float
    idle_requests: float
    lag_p50_ms: float
    lag_p99_ms: float
    memory_mib: float


_COUNTED = re.compile(
    r'apiserver_request_total\{(?=[^}]*resource="(?:secrets|configmaps|namespaces|events)")'
    r'(?=[^}]*verb="(?:GET|LIST|POST|PUT|APPLY|PATCH|DELETE)")[^}]*\} (\S+)'
)
_LOOK = 0.2
"""Seconds between two looks at whether every mirror is in place."""


def requests(release: Release) -> float:
    """Requests about Secrets, ConfigMaps, namespaces and Events, watches apart.

    By a pattern: to parse the API server's metrics as such takes seconds.
    """
    text = release.admin._text("GET", "/metrics")
    return sum(float(found[1]) for found in _COUNTED.finditer(text))


def mirrored(release: Release, names: Sequence[str], key: str) -> bool:
    """Whether each mirror has this key, by one list."""
    wanted = base64.b64encode(key.encode()).decode()
    by_name = f"metadata.name={MIRROR}"
    found = release.admin.get("/api/v1/secrets", fieldSelector=by_name)
    have = {
        one["metadata"]["namespace"]
        for one in found["items"]
        if one["data"]["TRACKING_API_KEY"] == wanted
    }
    return have >= set(names)


def until(release: Release, names: Sequence[str], key: str) -> tuple[float, float]:
    """Seconds until every mirror has this key, and how many looks that took."""
    looks = 0

    def all_have() -> bool:
        nonlocal looks
        looks += 1
        return mirrored(release, names, key)

    return eventually("all", all_have, seconds=300, every=_LOOK), looks


def lags(release: Release, name: str, changes: int) -> list[float]:
    """Milliseconds from a change of the source to the change of one mirror."""
    found = []
    for number in range(changes):
        key = f"{CANARY}-{number}"
        release.key(key)
        changed = partial(release.holds, name, key)
        found.append(1000 * eventually("the change", changed, every=0.002))
        time.sleep(0.05)
    return sorted(found)


def measure(release: Release, names: Sequence[str], *, idle: float) -> Row:
    """One companion over these labelled namespaces, none of which has a mirror."""
    count = len(names)
    release.key(CANARY)
    before = requests(release)
    with companion(release) as running:
        cold, looks = until(release, names, CANARY)
        cold_requests = requests(release) - before - looks
        time.sleep(5)
        before = requests(release)
        release.key("changed")
        change, looks = until(release, names, "changed")
        change_requests = requests(release) - before - looks
        time.sleep(5)
        before = requests(release)
        time.sleep(idle)
        idle_requests = requests(release) - before
        memory = running.memory()
        lag = lags(release, names[0], 100) if count == 1 else [0.0]
    return Row(
        namespaces=count,
        cold_seconds=round(cold, 2),
        cold_requests_per_mirror=round(cold_requests / count, 2),
        change_seconds=round(change, 2),
        change_requests_per_mirror=round(change_requests / count, 2),
        idle_seconds=idle,
        idle_requests=idle_requests,
        lag_p50_ms=round(statistics.median(lag), 1),
        lag_p99_ms=round(lag[int(len(lag) * 0.99) - 1], 1),
        memory_mib=round(memory, 1),
    )


def label(release: Release, names: Sequence[str]) -> None:
    """Makes and labels those of the namespaces that are not there yet."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(release.compute, names))


def clear(release: Release, names: Sequence[str]) -> None:
    """Takes the mirrors away again."""

    def delete(name: str) -> None:
        release.admin.delete(f"/api/v1/namespaces/{name}/secrets/{MIRROR}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(delete, names))


def with_pods(release: Release, names: Sequence[str], count: int) -> dict[str, float]:
    """Memory of a companion whose auditor follows so many task pods."""
    config = Path(__file__).parents[2] / "webhook/captured/ray-worker-michelangelo.json"
    review = json.loads(config.read_text("utf-8"))
    pod = review["request"]["object"]
    pod["metadata"]["labels"]["tracking.michelangelo-ai.org/injected"] = "true"
    for field in ("namespace", "name", "generateName", "ownerReferences"):
        pod["metadata"].pop(field, None)
    pod["spec"]["serviceAccountName"] = "default"
    # The API server adds the token's volume and mounts itself.
    tokens = {v["name"] for v in pod["spec"].get("volumes") or [] if "projected" in v}
    pod["spec"]["volumes"] = [
        v for v in pod["spec"].get("volumes") or [] if v["name"] not in tokens
    ]
    for one in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
        mounts = one.get("volumeMounts") or []
        one["volumeMounts"] = [m for m in mounts if m["name"] not in tokens]

    def create(number: int) -> None:
        body = pod | {"metadata": pod["metadata"] | {"name": f"pod-{number}"}}
        namespace = names[number % len(names)]
        release.admin.create(f"/api/v1/namespaces/{namespace}/pods", body)

    started = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(create, range(count)))
    made = time.monotonic() - started
    sys.stderr.write(f"made {count} pods in {made:.0f} s\n")
    with companion(release) as running:
        started = time.monotonic()

        def audited() -> bool:
            found = release.status().get("namespaces", {}).values()
            return sum(sum(one.get("pods", {}).values()) for one in found) >= count

        eventually("all pods", audited, seconds=120, every=0.5)
        seconds = time.monotonic() - started
        time.sleep(5)
        return {
            "pods": count,
            "audited_seconds": round(seconds, 1),
            "memory_mib": round(running.memory(), 1),
        }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--namespaces", default="1,100,300,1000")
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--idle", type=float, default=600.0)
    options = parser.parse_args()
    counts = sorted(int(part) for part in options.namespaces.split(","))
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane.start(toolbox, Path(folder))
        try:
            release = Release(plane)
            rows: list[dict[str, float]] = []
            names: list[str] = []
            for count in counts:
                more = [f"n-{number:04}" for number in range(len(names), count)]
                label(release, more)
                names += more
                clear(release, names)
                row = measure(release, names, idle=options.idle)
                sys.stderr.write(f"{row}\n")
                rows.append(asdict(row))
            pods = with_pods(release, names, options.pods) if options.pods else {}
        finally:
            plane.stop()
    sys.stdout.write(json.dumps({"companion": rows, "auditor": pods}) + "\n")


if __name__ == "__main__":
    main()
