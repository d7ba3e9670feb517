"""Egress at scale: 1000 namespaces, 20 policies and 5 destinations each.

    python -m tests.bench.egress

Prints one line of JSON: seconds and CPU seconds of one whole plan, mebibytes that it
takes on top of the policies it is made from, seconds of the companion's own full pass
over all namespaces and after one policy came, requests of an idle hour, and what the
longest list of addresses costs the engine of kindnet for a packet.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from ipaddress import ip_address
from typing import Any

from tests.lab.build import Toolbox
from tests.oracle.programs import engine
from tests.unit.companion.egress.egress_world import DENY, EgressWorld
from webhook.cluster.resources import NAMESPACE
from webhook.egress.destinations import Destination
from webhook.egress.dns_cache import DnsLimits
from webhook.egress.network_policy import NetworkPolicy
from webhook.egress.own_policy import OwnPolicy
from webhook.egress.rules import rules_for
from webhook.egress.services import ServiceIndex
from webhook.egress.shadow import isolating, shadows
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL

NAMESPACES, POLICIES, DESTINATIONS = 1000, 20, 5
KEYS = (
    "TRACKING_URI",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "WANDB_BASE_URL",
    "COMET_URL_OVERRIDE",
)
PACKETS = 2000


def body(namespace: str, number: int) -> dict[str, Any]:
    """A policy as KubeRay has it, with a selector of its own."""
    labels = {"ray.io/cluster": f"c{number}", "ray.io/node-type": "worker"}
    same = {"podSelector": {"matchLabels": {"ray.io/cluster": f"c{number}"}}}
    spec = {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Egress"],
        "egress": [{"to": [same]}],
    }
    meta = {"name": f"p{number}", "namespace": namespace, "uid": f"u{number}"}
    return {"metadata": meta, "spec": spec}


def policies(namespace: str) -> list[NetworkPolicy]:
    """All of a namespace."""
    return [NetworkPolicy.parse(body(namespace, number)) for number in range(POLICIES)]


def plans(given: dict[str, list[NetworkPolicy]]) -> list[tuple[OwnPolicy, ...]]:
    """One plan for each namespace; all dial the same servers, as a profile says."""
    places = [Destination(f"t{n}.example", 443, "k") for n in range(DESTINATIONS)]
    known = {p.host: (ip_address(f"203.0.113.{n}"),) for n, p in enumerate(places)}
    servers = [ip_address("10.0.0.10")]
    catalog = ServiceIndex.of([])
    rules = rules_for(places, "", catalog, known, servers).rules
    return [shadows(name, isolating(own), rules) for name, own in given.items()]


def planned() -> dict[str, float]:
    """Time and memory of one whole plan."""
    given = {f"ns-{n}": policies(f"ns-{n}") for n in range(NAMESPACES)}
    started, used = time.perf_counter(), time.process_time()
    made = plans(given)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    count = sum(len(plan) for plan in made)
    del made
    tracemalloc.start()
    kept = plans(given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "namespaces": len(kept),
        "shadows": count,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 3),
        "mebibytes": round(peak / 2**20, 1),
    }


def reconciled() -> dict[str, float]:
    """Measure the controller: all namespaces again, and one after a policy came."""
    world = EgressWorld()
    uris = {key: f"https://t{n}.example" for n, key in enumerate(KEYS)}
    world.keys.set("default", **uris)
    world.zone.records = {
        f"t{n}.example": (f"203.0.113.{n}",) for n in range(DESTINATIONS)
    }
    world.refresh()
    names = [f"ns-{n}" for n in range(NAMESPACES)]
    caches, controller = world.caches, world.egress_controller
    assert caches.egress is not None
    for name in names:
        world.user.apply(NAMESPACE, {"metadata": {"name": name}})
        meta = {"name": name, "labels": {INJECT_LABEL: INJECT_ENABLED}}
        caches.namespaces.update({"metadata": meta})
        for number in range(POLICIES):
            caches.egress.policies.update(body(name, number))
    world.run()
    for name in names:
        controller.queue.add(name)
    started = time.perf_counter()
    while controller.step():
        pass
    whole = time.perf_counter() - started
    changes = []
    for name in names[:15]:
        caches.egress.policies.update(body(name, POLICIES))
        started = time.perf_counter()
        while controller.step():
            pass
        changes.append(time.perf_counter() - started)
    return {
        "policies": sum(one.policies for one in controller.results.items().values()),
        "full_pass_seconds": round(whole, 3),
        "change_seconds": round(statistics.median(changes), 5),
    }


def idle_requests() -> int:
    """Requests in an hour of steps and lookups in which nothing changes."""
    world = EgressWorld()
    for number in range(10):
        world.label(f"team-{number}")
        world.policy(DENY, namespace=f"team-{number}")
    world.step()
    before = world.writes()
    for _ in range(60):
        world.step(60)
    return world.writes() - before


def packet_microseconds(addresses: int) -> float:
    """What a packet costs the engine, past so many addresses that it is not for."""
    blocks = [
        {"ipBlock": {"cidr": f"{ip_address(0x08080000 + 2 * n)}/32"}}
        for n in range(addresses)
    ]
    spec = {
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [{"to": blocks, "ports": [{"port": 443, "protocol": "TCP"}]}],
    }
    pod = {
        "metadata": {"name": "p", "namespace": "a", "labels": {"x": "y"}},
        "status": {"podIPs": [{"ip": "10.244.0.9"}], "podIP": "10.244.0.9"},
        "spec": {},
    }
    packet = {
        "source": "10.244.0.9",
        "destination": "203.0.113.7",
        "port": 443,
        "protocol": "TCP",
    }
    world = {
        "namespaces": [{"metadata": {"name": "a"}}],
        "pods": [pod],
        "policies": [{"metadata": {"name": "n", "namespace": "a"}, "spec": spec}],
        "packets": [packet],
    }
    program = engine(Toolbox.from_environment(os.environ))  # noqa: TID251 - entry point

    def seconds(packets: int) -> float:
        line = json.dumps({**world, "packets": [packet] * packets}) + "\n"
        started = time.perf_counter()
        said = subprocess.run(
            [program], input=line, capture_output=True, check=True, text=True
        )
        took = time.perf_counter() - started
        assert json.loads(said.stdout) == [False] * packets
        return took

    return round((seconds(PACKETS + 1) - seconds(1)) / PACKETS * 1e6, 1)


def main() -> None:
    """Measures and prints."""
    result = {
        **planned(),
        **reconciled(),
        "idle_requests": idle_requests(),
        "packet_microseconds": {
            n: packet_microseconds(n) for n in (1, DnsLimits().cap)
        },
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
