"""Planning egress at scale: 1000 namespaces, 20 policies and 5 destinations each.

    python -m tests.bench.egress

Prints one line of JSON: seconds and CPU seconds for one whole plan, mebibytes it needs
on top of the policies it is made from, and the requests of an idle hour.
"""

import json
import sys
import time
import tracemalloc
from ipaddress import ip_address

from tests.unit.companion.egress.world import DENY, World
from webhook.egress.destination import Destination
from webhook.egress.model import Policy
from webhook.egress.policy import Plan, additive
from webhook.egress.reach import reach
from webhook.egress.services import Catalog

NAMESPACES, POLICIES, DESTINATIONS = 1000, 20, 5


def policies(namespace: str) -> list[Policy]:
    """Policies as KubeRay has them, each with a selector of its own."""
    made = []
    for number in range(POLICIES):
        labels = {"ray.io/cluster": f"c{number}", "ray.io/node-type": "worker"}
        same = {"podSelector": {"matchLabels": {"ray.io/cluster": f"c{number}"}}}
        spec = {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Egress"],
            "egress": [{"to": [same]}],
        }
        meta = {"name": f"p{number}", "namespace": namespace, "uid": f"u{number}"}
        made.append(Policy.parse({"metadata": meta, "spec": spec}))
    return made


def plans(given: dict[str, list[Policy]]) -> list[Plan]:
    """One plan for each namespace; all dial the same servers, as a profile says."""
    places = [Destination(f"t{n}.example", 443, "k") for n in range(DESTINATIONS)]
    known = {p.host: (ip_address(f"203.0.113.{n}"),) for n, p in enumerate(places)}
    servers = [ip_address("10.0.0.10")]
    catalog = Catalog.of([])
    rules = reach(places, "", catalog, known, servers).rules
    return [additive(name, own, rules) for name, own in given.items()]


def idle_requests() -> int:
    """Writes in an hour of steps and lookups in which nothing changes."""
    world = World()
    for number in range(10):
        world.label(f"team-{number}")
        world.policy(DENY, namespace=f"team-{number}")
    world.step()
    before = world.writes()
    for _ in range(60):
        world.step(60)
    return world.writes() - before


def main() -> None:
    """Measures and prints."""
    given = {f"ns-{n}": policies(f"ns-{n}") for n in range(NAMESPACES)}
    started, used = time.perf_counter(), time.process_time()
    made = plans(given)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    shadows = sum(len(plan.policies) for plan in made)
    del made
    tracemalloc.start()
    kept = plans(given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    result = {
        "namespaces": len(kept),
        "shadows": shadows,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 3),
        "mebibytes": round(peak / 2**20, 1),
        "idle_requests": idle_requests(),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
