"""What a NetworkPolicy engine lets through, packet by packet.

Namespaces are isolated as careful teams do it. Labeled, their injected pods reach
cluster DNS and the tracking server, and nothing else has changed for anybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.installation import PATIENCE, Installation, await_pod, delete_namespaces
from tests.e2e.taskpods import (
    DENY_EGRESS,
    bystander,
    create,
    policies,
    serving_worker,
    web_server,
    worker,
)
from tests.e2e.tracking import TrackingServer
from tests.lab.processes import wait_for
from webhook.injection.names import INJECT_DISABLED, INJECT_LABEL, MANAGED_BY_LABEL

TRACKER = ("tracking", "mlflow")
THIRD = ("elsewhere", "third")
NAME = "mlflow.tracking.svc.cluster.local"

RAY_AMONG_ITSELF = {
    "metadata": {"name": "ray-among-itself"},
    "spec": {
        "podSelector": {"matchLabels": {"ray.io/cluster": "ray"}},
        "policyTypes": ["Egress"],
        "egress": [
            {"to": [{"podSelector": {"matchLabels": {"ray.io/cluster": "ray"}}}]}
        ],
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """The release and two servers outside of the compute namespaces."""

    installation: Installation

    def namespace(
        self, name: str, policy: dict[str, Any], *pods: dict[str, Any]
    ) -> str:
        """A labeled namespace with a policy of its team and pods that run."""
        node = self.installation.node
        self.installation.compute_namespace(name)
        node.plane.admin.create(policies(name), policy)
        for pod in pods:
            await_pod(node, name, create(node, name, pod))
        return name

    def service(self, target: tuple[str, str]) -> str:
        """The address of a Service: names are a question apart."""
        namespace, name = target
        path = f"/api/v1/namespaces/{namespace}/services/{name}"
        spec = self.installation.node.plane.admin.get(path)["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def pod(self, namespace: str, name: str) -> str:
        """The address of a pod."""
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        address: str = self.installation.node.plane.admin.get(path)["status"]["podIP"]
        return f"{address}:80"

    def reaches(self, namespace: str, pod: str, address: str) -> bool:
        """Whether an address takes a pod's connection."""
        host, _, port = address.partition(":")
        # Not by wget: the one in Debian's static busybox crashes.
        return self._succeeds(namespace, pod, f"nc -w 2 {host} {port} </dev/null")

    def await_way(self, namespace: str, pod: str, address: str) -> None:
        """Return once a pod reaches an address: seconds, if at all."""
        wait_for(
            f"a way from {namespace}/{pod} to {address}",
            lambda: self.reaches(namespace, pod, address),
            seconds=PATIENCE,
        )

    def await_isolation(self, namespace: str, pod: str, address: str) -> None:
        """Return once it does not: the engine hears of a pod after it has begun."""
        wait_for(
            f"no way from {namespace}/{pod} to {address}",
            lambda: not self.reaches(namespace, pod, address),
            seconds=20,
        )

    def resolves(self, namespace: str, pod: str, name: str = NAME) -> bool:
        """Whether a pod's question to cluster DNS is answered."""
        return self._succeeds(namespace, pod, f"timeout 3 nslookup {name}")

    def ours(self, namespace: str) -> list[str]:
        """The names of the policies that the companion keeps in a namespace."""
        admin = self.installation.node.plane.admin
        return [
            policy["metadata"]["name"]
            for policy in admin.get(
                policies(namespace), labelSelector=MANAGED_BY_LABEL
            )["items"]
        ]

    def _succeeds(self, namespace: str, pod: str, script: str) -> bool:
        said = self.installation.shell(
            namespace, pod, f"{script} >/dev/null 2>&1 && echo yes || echo no"
        )
        return "yes\n" == said


@pytest.fixture(scope="module")
def net(installation: Installation, tracking: TrackingServer) -> Iterator[Net]:
    """The tracking server, and a third one that is nobody's business."""
    node = installation.node
    elsewhere = node.plane.namespace("elsewhere")
    service = {
        "metadata": {"name": "third"},
        "spec": {"selector": {"app": "third"}, "ports": [{"port": 80}]},
    }
    node.plane.admin.create(f"/api/v1/namespaces/{elsewhere}/services", service)
    create(node, elsewhere, web_server("third", app="third"))
    await_pod(node, elsewhere, "third")
    yield Net(installation=installation)
    delete_namespaces(node, elsewhere)


def test_where_all_egress_is_denied_injected_pods_reach_dns_and_the_tracker(
    net: Net,
) -> None:
    """And neither a third server nor each other, as before; others gain nothing."""
    opted_out = {INJECT_LABEL: INJECT_DISABLED}
    locked = net.namespace(
        *("locked", DENY_EGRESS),
        *(worker("task"), serving_worker("peer")),
        *(worker("opted-out", **opted_out), bystander("bystander")),
    )
    tracker, third = net.service(TRACKER), net.service(THIRD)

    net.await_way(locked, "task", tracker)

    assert net.resolves(locked, "task")
    net.await_isolation(locked, "task", third)
    net.await_isolation(locked, "task", net.pod(locked, "peer"))
    for other in ("opted-out", "bystander"):
        net.await_isolation(locked, other, tracker)
        assert not net.resolves(locked, other)


def test_where_a_team_let_its_ray_cluster_talk_it_still_does(net: Net) -> None:
    """Head and worker reach each other; who was free of policies is free."""
    ray = {"ray.io/cluster": "ray"}
    team = net.namespace(
        *("team", RAY_AMONG_ITSELF),
        *(serving_worker("head", **ray), serving_worker("worker", **ray)),
        *(worker("free"), bystander("bystander")),
    )
    tracker, third = net.service(TRACKER), net.service(THIRD)
    head, work = net.pod(team, "head"), net.pod(team, "worker")

    net.await_way(team, "head", tracker)

    assert net.resolves(team, "worker")
    net.await_way(team, "head", work)
    net.await_way(team, "worker", head)
    net.await_way(team, "free", third)
    net.await_way(team, "bystander", third)
    net.await_isolation(team, "head", third)


def test_switched_off_the_way_is_closed_within_seconds(net: Net) -> None:
    """The label goes, our policies go, and with them what they allowed."""
    off = net.namespace("off", DENY_EGRESS, worker("task"))
    tracker = net.service(TRACKER)
    net.await_way(off, "task", tracker)

    net.installation.node.plane.admin.patch(
        f"/api/v1/namespaces/{off}", {"metadata": {"labels": {INJECT_LABEL: None}}}
    )
    wait_for("the end of our policies", lambda: not net.ours(off), seconds=5)

    wait_for("its effect", lambda: not net.reaches(off, "task", tracker), seconds=5)


def test_a_teams_policy_takes_ours_along_when_it_goes(net: Net) -> None:
    """Even while no companion runs: ours left alone would isolate by itself."""
    left = net.namespace("left", DENY_EGRESS, worker("task"))
    tracker, third = net.service(TRACKER), net.service(THIRD)
    net.await_way(left, "task", tracker)
    net.installation.scale("companion", 0)

    net.installation.node.plane.admin.delete(f"{policies(left)}/deny-egress")
    wait_for("the end of our policies", lambda: not net.ours(left), seconds=PATIENCE)

    net.await_way(left, "task", third)
    net.installation.scale("companion", 2)


def test_where_nothing_is_denied_nothing_is_added(net: Net) -> None:
    """A policy of ours would be the first to isolate."""
    ingress_only = {
        "metadata": {"name": "ingress"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    free = net.namespace("free", ingress_only, worker("task"))
    locked = net.namespace("beside", DENY_EGRESS, worker("task"))
    wait_for("policies elsewhere", lambda: bool(net.ours(locked)), seconds=PATIENCE)

    net.await_way(free, "task", net.service(THIRD))
    assert [] == net.ours(free)
