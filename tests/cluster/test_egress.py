"""Egress on a real API server, under exactly the rights that the chart gives.

The tracking server is an address, so that nothing is asked of anybody's DNS.
"""

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.release import (
    Release,
    Running,
    companion,
    eventually,
    tell,
)
from tests.lab.control_plane import ControlPlane
from tests.lab.operators import KubeRay
from webhook.injection.names import EGRESS_LABEL, INJECTED_LABEL

POLICIES = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"
DENY = {"podSelector": {}, "policyTypes": ["Egress"]}
SERVER = "203.0.113.7/32"
IDLE_SECONDS = 45.0
"""Longer than a watch lives."""
REQUESTS = re.compile(
    r'^apiserver_request_total\{(?=[^}]*resource="([^"]+)")'
    r'(?=[^}]*verb="(GET|LIST|POST|PUT|APPLY|PATCH|DELETE)")[^}]*\} (\S+)$',
    re.MULTILINE,
)


@pytest.fixture(name="plane", scope="module")
def _plane(own_plane: ControlPlane) -> ControlPlane:
    """One of its own: a release sees every namespace."""
    return own_plane


@pytest.fixture(name="release", scope="module")
def _release(plane: ControlPlane) -> Release:
    release = Release(plane)
    release.source("uri", {"TRACKING_URI": "http://203.0.113.7:5000"})
    return release


@pytest.fixture(name="running")
def _running(release: Release) -> Iterator[Running]:
    with companion(release) as running:
        yield running


@pytest.fixture(name="space")
def _space(release: Release) -> Iterator[str]:
    name = release.compute(f"ray-{uuid.uuid4().hex[:8]}")
    yield name
    release.label(name, None)


def deny(release: Release, space: str, name: str = "deny", **more: Any) -> None:
    """A team's own policy."""
    spec = {"metadata": {"name": name, **more}, "spec": DENY}
    release.admin.create(POLICIES.format(space), spec)


def ours(release: Release, space: str) -> list[dict[str, Any]]:
    """Our policies in a namespace."""
    found = release.admin.get(POLICIES.format(space))["items"]
    return [one for one in found if one["metadata"]["name"].startswith("mti-egress-")]


def ranges(policy: dict[str, Any]) -> list[str]:
    """The ranges that a policy permits."""
    peers = [peer for rule in policy["spec"]["egress"] for peer in rule["to"]]
    return [peer["ipBlock"]["cidr"] for peer in peers if "ipBlock" in peer]


def shadowed(release: Release, space: str) -> None:
    """A deny policy, and the shadow that follows."""
    deny(release, space)
    eventually("the shadow", lambda: ours(release, space), seconds=60)


def test_a_policy_is_followed_within_a_second(
    release: Release, running: Running, space: str
) -> None:
    """Both when it comes and when it goes."""
    eventually("the mirror", lambda: release.mirror(space))
    deny(release, space)
    came = eventually("the shadow", lambda: ours(release, space))
    (shadow,) = ours(release, space)
    release.admin.delete(f"{POLICIES.format(space)}/deny")
    went = eventually("its end", lambda: not ours(release, space))

    assert ranges(shadow) == [SERVER]
    tell(f"a shadow came after {came:.3f} s and went after {went:.3f} s")


@pytest.mark.parametrize("how", ["unlabeled", "off", "observe"])
def test_what_is_switched_off_is_gone_within_seconds(
    release: Release, running: Running, space: str, how: str
) -> None:
    """By either label of the namespace."""
    shadowed(release, space)
    if how == "unlabeled":
        release.label(space, None)
    else:
        body = {"metadata": {"labels": {EGRESS_LABEL: how}}}
        release.admin.patch(f"/api/v1/namespaces/{space}", body)

    gone = eventually("its end", lambda: not ours(release, space), seconds=5)
    tell(f"{how}: gone after {gone:.3f} s")


def test_a_release_that_is_switched_off_takes_its_policies_along(
    release: Release, space: str
) -> None:
    """With the rights that the chart gives then."""
    with companion(release):
        shadowed(release, space)
    values = {"tracking": {"existingConfigMap": "uri", "existingSecret": "keys"}}
    release.install({**values, "egress": {"mode": "off"}})
    with companion(release, egress_mode="off") as running:
        eventually("it leads", lambda: release.leader() == "one", seconds=60)
        gone = eventually("its end", lambda: not ours(release, space), seconds=5)
        problems = [one for one in running.lines() if one["level"] != "info"]
    release.install(values)

    assert problems == []
    tell(f"off: gone {gone:.3f} s after it led")


def test_a_closed_namespace_is_closed_by_one_policy(
    release: Release, space: str
) -> None:
    """Which the next mode takes away. The lab's API server has no endpoints."""
    baseline = (
        '{"peers": "injected", "apiServer": ["172.18.0.2:6443"],'
        ' "storage": [], "michelangelo": []}'
    )
    with companion(release, egress_mode="isolate", egress_baseline=baseline):
        eventually("the policy", lambda: ours(release, space), seconds=60)
        (closed,) = ours(release, space)

    assert closed["metadata"]["name"] == "mti-egress-isolate"
    assert {SERVER, "172.18.0.2/32"} <= set(ranges(closed))
    with companion(release):
        eventually("it leads", lambda: release.leader() == "one", seconds=60)
        gone = eventually("its end", lambda: not ours(release, space))
    tell(f"isolate to additive: gone {gone:.3f} s after it led")


def reported(release: Release) -> set[str]:
    """The namespaces in the report: one that was switched off is there for a while."""
    return set(release.status().get("namespaces", {}))


def requests(release: Release) -> dict[str, float]:
    """How many requests were made of each resource, watches apart."""
    counts: dict[str, float] = {}
    text = release.admin._text("GET", "/metrics")
    for resource, _, count in REQUESTS.findall(text):
        counts[resource] = counts.get(resource, 0.0) + float(count)
    return counts


def made_in(release: Release, seconds: float) -> dict[str, float]:
    """How many requests the companion alone makes, in the next seconds.

    The lab's own controllers look after its namespaces and Services.
    """
    of_egress = ("networkpolicies", "configmaps", "events")
    before = requests(release)
    time.sleep(seconds)
    after = requests(release)
    return {kind: after.get(kind, 0) - before.get(kind, 0) for kind in of_egress}


def test_nothing_is_asked_while_nothing_changes(
    release: Release, running: Running, space: str
) -> None:
    """But for the Lease, by which others know that it lives."""
    shadowed(release, space)
    eventually("calm", lambda: {space} == reported(release), seconds=60)
    # Until what was written is told, and told again by the watches.
    eventually("no write", lambda: not any(made_in(release, 10.0).values()))
    made = made_in(release, IDLE_SECONDS)

    assert not any(made.values()), made
    tell(f"requests in {IDLE_SECONDS:.0f} idle seconds: {made}")


CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "ciliumnetworkpolicies.cilium.io"},
    "spec": {
        "group": "cilium.io",
        "scope": "Namespaced",
        "names": {
            "plural": "ciliumnetworkpolicies",
            "singular": "ciliumnetworkpolicy",
            "kind": "CiliumNetworkPolicy",
        },
        "versions": [
            {
                "name": "v2",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}
CILIUM = "/apis/cilium.io/v2/namespaces/{}/ciliumnetworkpolicies"


def unseen_of(release: Release) -> list[str] | None:
    """What of Cilium may not be listed; None before the report tells of it."""
    engines: dict[str, Any] = release.status().get("engines", {})
    found: list[str] | None = engines.get("unseen", {}).get("cilium")
    return found


def test_another_engine_is_seen_and_what_may_not_be_read_is_unknown(
    release: Release, space: str
) -> None:
    """Then with the right to list, the namespace that it restricts is named."""
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    release.admin.create(crds, CRD)
    eventually("the API", lambda: serves(release, "cilium.io"))
    closed = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "deny-all"},
        "spec": {"egress": []},
    }
    release.admin.create(CILIUM.format(space), closed)
    with companion(release):
        eventually("a look", lambda: unseen_of(release) is not None, seconds=60)
        unseen = unseen_of(release) or []
    values = {"tracking": {"existingConfigMap": "uri", "existingSecret": "keys"}}
    release.install({**values, "egress": {"readOtherEngines": True}})
    with companion(release):
        eventually("the finding", lambda: restricted(release, space), seconds=60)
        seen = unseen_of(release)
    advice = cli(release, "plan", "-n", space, "--engine", "cilium")
    release.install(values)
    release.admin.delete(f"{crds}/ciliumnetworkpolicies.cilium.io")

    assert "ciliumnetworkpolicies.cilium.io" in unseen
    assert seen == []
    assert "CiliumNetworkPolicy" == yaml.safe_load(advice.stdout)["kind"]


def serves(release: Release, group: str) -> bool:
    """Whether an API group is there."""
    return group in {one["name"] for one in release.admin.get("/apis")["groups"]}


def restricted(release: Release, space: str) -> bool:
    """Whether the report says that another engine restricts a namespace."""
    namespaces = release.status().get("namespaces", {})
    one = namespaces.get(space, {}).get("egress", {})
    return {"reason": "OtherEgressControls", "subject": "cilium"} in one.get(
        "findings", []
    )


def cli(release: Release, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line as an operator has it."""
    program = Path(sys.executable).parent / "tracking-injector"
    where = ["--kubeconfig", str(release.plane.kubeconfig)]
    return subprocess.run(
        [program, "egress", *words, *where],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_plans_and_checks_on_a_cluster(
    release: Release, running: Running, space: str
) -> None:
    """What it plans is what is there, and the walk passes by it."""
    labels = {INJECTED_LABEL: "true", "ray.io/node-type": "worker"}
    pod = {
        "metadata": {"name": "worker", "labels": labels},
        "spec": {"containers": [{"name": "ray", "image": "ray"}]},
    }
    release.admin.create(f"/api/v1/namespaces/{space}/pods", pod)
    shadowed(release, space)
    # The report may be that of the companion before, whose settings were others.
    eventually("it is reported", lambda: space in reported(release))
    planned = yaml.safe_load(cli(release, "plan", "-n", space, "-o", "yaml").stdout)
    checked = cli(release, "check", "worker", "-n", space)
    (shadow,) = ours(release, space)
    release.label(space, None)
    eventually("its end", lambda: not ours(release, space))
    closed = cli(release, "check", "worker", "-n", space, "--host", "203.0.113.7:5000")

    assert planned["spec"] == shadow["spec"]
    assert (checked.returncode, closed.returncode) == (0, 1)
    assert f"permitted by rule 1 of {shadow['metadata']['name']}" in checked.stdout
    assert "isolated by deny" in closed.stdout


def test_kuberays_policies_are_shadowed_and_go_with_their_cluster(
    release: Release, plane: ControlPlane, space: str
) -> None:
    """One for the head and for each group; garbage collection needs no companion."""
    kuberay = KubeRay.start(plane, "1.6")
    clusters = f"/apis/ray.io/v1/namespaces/{space}/rayclusters"
    try:
        made = release.admin.create(clusters, ray_cluster("jobs"))
        owner = {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "name": "jobs",
            "uid": made["metadata"]["uid"],
        }
        with companion(release):
            for group in ("headgroup", "small", "large"):
                same = {"ray.io/cluster": "jobs", "ray.io/group": group}
                spec = {
                    "podSelector": {"matchLabels": same},
                    "policyTypes": ["Egress"],
                }
                meta = {"name": f"jobs-{group}", "ownerReferences": [owner]}
                release.admin.create(
                    POLICIES.format(space), {"metadata": meta, "spec": spec}
                )
            eventually(
                "three shadows", lambda: 3 == len(ours(release, space)), seconds=60
            )
        shadows = ours(release, space)
        # The policies here are the test's; KubeRay may come to its pods later.
        eventually("KubeRay's pods", lambda: 3 == len(pods_of(release, space)))
        pods = pods_of(release, space)
        release.admin.delete(f"{clusters}/jobs")
        gone = eventually("their end", lambda: not ours(release, space), seconds=60)
    finally:
        kuberay.stop()

    groups = {pod["metadata"]["labels"]["ray.io/group"] for pod in pods}
    selected = [one["spec"]["podSelector"]["matchLabels"] for one in shadows]
    assert groups == {labels["ray.io/group"] for labels in selected}
    tell(f"without a companion, three shadows went {gone:.3f} s after their cluster")


def pods_of(release: Release, namespace: str) -> list[dict[str, Any]]:
    """The pods there are."""
    found: list[dict[str, Any]] = release.admin.get(
        f"/api/v1/namespaces/{namespace}/pods"
    )["items"]
    return found


def ray_cluster(name: str) -> dict[str, Any]:
    """A RayCluster with a head and two groups of one worker."""

    def template(role: str) -> dict[str, Any]:
        return {"spec": {"containers": [{"name": f"ray-{role}", "image": "ray"}]}}

    workers = [
        {
            "groupName": group,
            "replicas": 1,
            "minReplicas": 1,
            "maxReplicas": 1,
            "rayStartParams": {},
            "template": template("worker"),
        }
        for group in ("small", "large")
    ]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": name},
        "spec": {
            "rayVersion": "2.46.0",
            "headGroupSpec": {"rayStartParams": {}, "template": template("head")},
            "workerGroupSpecs": workers,
        },
    }
