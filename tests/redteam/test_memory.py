"""In cgroups of the chart's limits, both processes stay below half of each.

Five hundred of each kind of what others may send or store, made from a seed, with many
of the largest that are taken at all. Needs root, to make a cgroup.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.rendering import CHART
from tests.cluster.release import Release, companion, eventually, tell
from tests.lab.api import ApiError, Object
from tests.lab.cgroup import MemoryGroup, memory_group
from tests.lab.control_plane import ControlPlane
from tests.redteam import large
from tests.redteam.attacks import TENANT
from tests.redteam.test_on_a_cluster import attempt
from tests.server.bodies import RAY_HEAD
from tests.server.pairs import PemPair
from tests.server.process import Client, Server, serving
from tests.server.test_abuse import WORST
from tests.server.test_abuse import generated as bodies

WEBHOOK_MIB: Final = 128
COMPANION_MIB: Final = 256
SENDERS: Final = 4
VICTIM: Final = "victim"


def limit_mib(component: str) -> int:
    """The chart's memory limit."""
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    limit: str = values[component]["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    return int(limit.removesuffix("Mi"))


def reviews() -> Iterator[bytes]:
    """Reviews of generated pods."""
    content: Any = json.loads(RAY_HEAD)
    for body in large.generated("pods"):
        content["request"]["object"] = body
        yield json.dumps(content).encode()


def send(server: Server, mine: list[bytes]) -> set[int]:
    """Send bodies and heads one after the other; the statuses of the answers."""
    statuses = set()
    for one in mine:
        with contextlib.suppress(OSError):
            if one.startswith(b"POST "):
                with Client(server.health_port, None, timeout=0.5) as plain:
                    plain.raw(one)
                with server.client(timeout=0.5) as client:
                    client.raw(one)
                continue
            with server.client() as client:
                statuses.add(client.mutate(one).status)
    return statuses


def test_the_webhook_stays_small(folder: Path, pair: PemPair) -> None:
    """Bodies, heads and pods, from four at once; no kill, and below 128 MiB."""
    sent = [*WORST.values(), *chain(bodies(large.COUNT), reviews(), large.heads())]
    assert len(sent) >= 3 * large.COUNT
    statuses: set[int] = set()
    with memory_group(limit_mib("webhook")) as group, contextlib.ExitStack() as stack:
        with group.joined():
            server = stack.enter_context(serving(folder, pair))
        worker = server.worker()
        threads = [
            threading.Thread(
                target=lambda n=number: statuses.update(send(server, sent[n::SENDERS]))
            )
            for number in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with server.client() as client:
            assert client.mutate(RAY_HEAD).status == 200
        assert server.worker() == worker
        stays_below(group, WEBHOOK_MIB, "the webhook")
    assert {200, 400} <= statuses <= {200, 400, 413, 503}


def stays_below(group: MemoryGroup, mib: int, who: str) -> None:
    """Nothing was killed, and half of the limit was enough."""
    tell(f"{who}: {group.peak_mib:.0f} MiB at most")
    assert group.kills == 0
    assert group.peak_mib <= mib


@pytest.fixture(name="release", scope="module")
def _release(own_plane: ControlPlane) -> Release:
    release = Release(own_plane)
    release.compute(VICTIM)
    own_plane.namespace(TENANT)
    return release


def store(release: Release, objects: Iterator[Object]) -> int:
    """Create what the API server takes; how much that is."""
    return [attempt(release.admin, body) for body in objects].count(201)


def homes(release: Release, objects: list[Object]) -> None:
    """Make a namespace for each mirror: there is one in each."""
    for body in objects:
        name = {"metadata": {"name": body["metadata"]["namespace"]}}
        with contextlib.suppress(ApiError):
            release.admin.create("/api/v1/namespaces", name)


def test_the_companion_stays_small(release: Release) -> None:
    """Half of everything is there when it starts, and half comes while it runs."""
    made = {kind: list(large.generated(kind)) for kind in large.KINDS}
    homes(release, made["secrets"])
    half = large.COUNT // 2
    taken = {kind: store(release, iter(some[:half])) for kind, some in made.items()}
    with memory_group(limit_mib("companion")) as group, contextlib.ExitStack() as stack:
        with group.joined():
            running = stack.enter_context(companion(release, egress_mode="additive"))
        eventually("the victim's mirror", lambda: release.holds(VICTIM))
        for kind, some in made.items():
            taken[kind] += store(release, iter(some[half:]))
        release.key("changed")
        eventually("the changed key", lambda: release.holds(VICTIM, "changed"))
        deny = {"podSelector": {}, "policyTypes": ["Egress"]}
        path = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"
        body: Object = {"metadata": {"name": "deny"}, "spec": deny}
        release.admin.create(path.format(VICTIM), body)
        release.label(TENANT)
        eventually("an attacker's label", lambda: release.reason(TENANT))
        assert running.ask("/healthz")[0] == 200
        said = running.ask("/metrics")[1]
        stays_below(group, COMPANION_MIB, "the companion")
    tell(f"taken of {large.COUNT} each: {taken}")
    assert min(taken.values()) > 0.8 * large.COUNT
    assert "unreadable_objects" in said
