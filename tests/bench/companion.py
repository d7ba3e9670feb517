"""The companion at scale, under the chart's rights, on a real API server.

    python -m tests.bench.companion [scale] [aliases] [pods] [idle]

Prints one JSON object, with a list for each part. `scale`: how long until every mirror
is in place and after a change of the source, the requests that took, memory, and how
long a change and a label take to reach a mirror. `aliases`: the same without and with
other names for keys, and the ratios; the exit code is 1 if a mirror takes more requests
with them. `pods`: memory of an auditor that follows task pods. `idle`: requests in ten
minutes in which nothing changes; the exit code is 1 if there was any but one for each
renewal of the Lease. Requests are the API server's own record of what the companion's
account asked, watches apart.
"""

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from tests.bench.companion_world import Asked, World, in_parallel, task_pod, world
from tests.cluster.release import (
    CANARY,
    Release,
    Running,
    companion,
    eventually,
)
from tests.lab.api import ApiError

NAMESPACES: Final = (100, 300, 1000)
PODS: Final = (1000, 3000, 10_000)
IDLE: Final = 600.0
"""Seconds in which nothing changes."""
CHANGES: Final = 100
_SOURCES: Final = [{"configMap": "uri"}, {"secret": "keys"}]
PLAIN: Final = json.dumps({"default": _SOURCES})
ALIASED: Final = json.dumps(
    {
        "default": {
            "sources": _SOURCES,
            "preset": "mlflow",
            "aliases": {f"ALIAS_{number}": "TRACKING_URI" for number in range(10)},
        }
    }
)
"""The profile of the other measurements, and one with other names for its keys."""
_SETTLED: Final = 5.0
"""Seconds after which the report has been written too."""


def say(text: str) -> None:
    """Progress."""
    sys.stderr.write(f"{text}\n")


def share(asked: Counter[Asked], count: int) -> float:
    """Requests per mirror; renewing the Lease costs the same for any number."""
    return round((asked.total() - about_the_lease(asked)) / count, 2)


def about_the_lease(asked: Counter[Asked]) -> int:
    """How many of the requests were about the Lease."""
    return sum(n for one, n in asked.items() if one.resource == "leases")


def scale(counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """One companion after another, over more and more namespaces."""
    with world() as one:
        one.grow(1)
        with companion(one.release):
            one.until(CANARY)
            changed = lags(one.release, one.names[0])
            labeled = first_keys(one)
        yield {
            "times": CHANGES,
            "source_to_mirror_p50_ms": statistics.median(changed),
            "source_to_mirror_p99_ms": percentile_99(changed),
            "label_to_mirror_p50_ms": statistics.median(labeled),
            "label_to_mirror_p99_ms": percentile_99(labeled),
        }
        for count in counts:
            say(f"making {count} namespaces")
            one.release.key(CANARY)
            one.grow(count)
            yield measure(one)


def measure(one: World, profiles: str = PLAIN) -> dict[str, Any]:
    """A cold start over namespaces without a mirror, and one change."""
    count = len(one.names)
    one.requests()
    started = time.monotonic()
    with companion(one.release, profiles=profiles) as running:
        one.until(CANARY)
        cold = time.monotonic() - started
        time.sleep(_SETTLED)
        cold_requests = one.requests()
        cold_cpu = running.cpu()
        one.release.key("changed")
        change = one.until("changed")
        time.sleep(_SETTLED)
        return {
            "namespaces": count,
            "cold_seconds": round(cold, 2),
            "cold_requests_per_mirror": share(cold_requests, count),
            "change_seconds": round(change, 2),
            "change_requests_per_mirror": share(one.requests(), count),
            "cold_cpu_seconds": round(cold_cpu, 2),
            "change_cpu_seconds": round(running.cpu() - cold_cpu, 2),
            **memory(running),
        }


def aliases(count: int) -> Iterator[dict[str, Any]]:
    """Mirrors without other names for keys, then with them, and how these compare."""
    with world() as one:
        one.grow(count)
        plain = measure(one)
        one.release.key(CANARY)
        one.grow(count)
        named = measure(one, profiles=ALIASED)
        yield {"profile": "keys alone", **plain}
        yield {"profile": "preset and aliases", **named}
        figures = plain.keys() - {"namespaces"}
        ratios = {name: round(named[name] / plain[name], 2) for name in sorted(figures)}
        yield {"profile": "ratio", **ratios}


def costs_no_request(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether aliases take as many requests for each mirror, to a tenth."""
    plain, named, _ = rows
    parts = ("cold_requests_per_mirror", "change_requests_per_mirror")
    return all(named[part] < plain[part] + 0.1 for part in parts)


def memory(running: Running) -> dict[str, float]:
    """Resident memory now and at its most, in MiB."""
    return {
        "memory_mib": round(running.memory(), 1),
        "memory_peak_mib": round(running.memory("VmHWM"), 1),
    }


def lags(release: Release, name: str) -> list[float]:
    """Milliseconds from a change of the source to the change of one mirror, sorted."""
    found = []
    for number in range(CHANGES):
        key = f"{CANARY}-{number}"
        release.key(key)
        changed = partial(release.holds, name, key)
        found.append(round(1000 * eventually("the change", changed, every=0.002), 1))
        time.sleep(0.05)
    release.key(CANARY)
    return sorted(found)


def first_keys(one: World) -> list[float]:
    """Milliseconds from the label of a new namespace to its mirror, sorted."""
    found = []
    for _ in range(CHANGES):
        name = one.release.compute(f"n-{len(one.names):04}")
        one.names.append(name)
        mirrored = partial(one.release.holds, name)
        found.append(round(1000 * eventually("the mirror", mirrored, every=0.002), 1))
    return sorted(found)


def percentile_99(found: Sequence[float]) -> float:
    """Of a hundred the last but one."""
    return found[int(len(found) * 0.99) - 1]


def pods(counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """An auditor after another, over more and more task pods."""
    with world() as one:
        one.grow(NAMESPACES[0])
        accounts = "/api/v1/namespaces/{}/serviceaccounts/default"
        for name in one.names:
            path = accounts.format(name)
            eventually("the account", partial(one.release.admin.exists, path))
        made = 0
        for count in counts:
            say(f"making {count} task pods")
            run_pods(one, range(made, count))
            made = count
            started = time.monotonic()
            with companion(one.release) as running:
                audited = partial(all_audited, one, count)
                eventually("all pods", audited, seconds=300, every=0.2)
                seconds = time.monotonic() - started
                cpu = running.cpu()
                time.sleep(_SETTLED)
                yield {
                    "pods": count,
                    "audited_seconds": round(seconds, 1),
                    "audited_cpu_seconds": round(cpu, 2),
                    **memory(running),
                }


def all_audited(one: World, count: int) -> bool:
    """Whether the report counts so many task pods."""
    found = one.release.status().get("namespaces", {}).values()
    return sum(sum(told.get("pods", {}).values()) for told in found) == count


def run_pods(one: World, numbers: range) -> None:
    """Somebody runs task pods that were injected, as KubeRay makes them."""
    pod = task_pod()

    def create(number: int) -> None:
        name = one.names[number % len(one.names)]
        body = pod | {"metadata": pod["metadata"] | {"name": f"pod-{number}"}}
        one.release.admin.create(f"/api/v1/namespaces/{name}/pods", body)

    in_parallel(create, numbers)


def idle(count: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Nothing changes."""
    with world() as one:
        one.grow(count)
        with companion(one.release) as running:
            one.until(CANARY)
            time.sleep(2 * _SETTLED)
            one.requests()
            before = running.cpu()
            say(f"{seconds:.0f} s in which nothing changes")
            time.sleep(seconds)
            asked = one.requests()
            lease = about_the_lease(asked)
            yield {
                "namespaces": count,
                "idle_seconds": seconds,
                "requests": asked.total() - lease,
                "lease_requests": lease,
                "lease_renewals": asked[Asked("patch", "leases")],
                "cpu_seconds": round(running.cpu() - before, 2),
                **memory(running),
            }


def is_idle(row: dict[str, Any]) -> bool:
    """Whether only the Lease was asked about, and only to renew it every 2 seconds."""
    renewed: int = row["lease_renewals"]
    often = row["idle_seconds"] / 3 < renewed <= row["idle_seconds"] / 2 + 1
    return often and (row["requests"], row["lease_requests"]) == (0, renewed)


def numbers(text: str) -> list[int]:
    """`100,300`, smallest first."""
    return sorted(int(part) for part in text.split(","))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("scale", "aliases", "pods", "idle")
    parser.add_argument("parts", nargs="*", metavar="|".join(parts))
    parser.add_argument("--namespaces", type=numbers, default=list(NAMESPACES))
    parser.add_argument("--pods", type=numbers, default=list(PODS))
    parser.add_argument("--idle", type=float, default=IDLE)
    options = parser.parse_args()
    measured = {
        "scale": partial(scale, options.namespaces),
        "aliases": partial(aliases, options.namespaces[-1]),
        "pods": partial(pods, options.pods),
        "idle": partial(idle, options.namespaces[-1], options.idle),
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for part in options.parts or parts:
        found[part] = []
        for row in measured[part]():
            say(json.dumps(row))
            found[part].append(row)
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    if "aliases" in found and not costs_no_request(found["aliases"]):
        sys.exit("with aliases, a mirror takes more requests than without")
    if not all(map(is_idle, found.get("idle", ()))):
        sys.exit("it was not idle: more was asked than to renew the Lease")


if __name__ == "__main__":
    try:
        main()
    except ApiError as error:
        sys.exit(str(error))
