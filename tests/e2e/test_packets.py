"""What a NetworkPolicy engine lets through, packet by packet.

A namespace denies all egress, as careful teams have it. Labelled, its injected pods
reach cluster DNS and the tracking server, and nothing else has changed for anybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.installation import Installation, await_pod
from tests.e2e.taskpods import bystander, create, web_server, worker
from tests.e2e.tracking import TrackingServer
from tests.lab.processes import wait_for
from webhook.injection.names import INJECT_LABEL

TRACKER = ("tracking", "mlflow")
THIRD = ("elsewhere", "third")
NAME = "mlflow.tracking.svc.cluster.local"

DENY_EGRESS = {
    "metadata": {"name": "deny-egress"},
    "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """A locked compute namespace with an injected pod and a bystander."""

    installation: Installation
    namespace: str

    def reaches(self, pod: str, target: tuple[str, str]) -> bool:
        """Whether a Service answers a pod's request, by address: names are apart."""
        namespace, name = target
        path = f"/api/v1/namespaces/{namespace}/services/{name}"
        service = self.installation.node.plane.admin.get(path)["spec"]
        address = f"{service['clusterIP']}:{service['ports'][0]['port']}"
        answer = self.installation.shell(
            self.namespace,
            pod,
            f"wget -q -T 2 -O- http://{address} >/dev/null 2>&1 && echo yes || echo no",
        )
        return "yes\n" == answer

    def resolves(self, pod: str, name: str) -> bool:
        """Whether a pod's question to cluster DNS is answered."""
        answer = self.installation.shell(
            self.namespace,
            pod,
            f"timeout 3 nslookup {name} >/dev/null 2>&1 && echo yes || echo no",
        )
        return "yes\n" == answer


@pytest.fixture(scope="module")
def net(installation: Installation, tracking: TrackingServer) -> Iterator[Net]:
    """The servers, the locked namespace, and pods in it."""
    node = installation.node
    elsewhere = node.plane.namespace("elsewhere")
    service = {
        "metadata": {"name": "third"},
        "spec": {"selector": {"app": "third"}, "ports": [{"port": 80}]},
    }
    node.plane.admin.create(f"/api/v1/namespaces/{elsewhere}/services", service)
    create(node, elsewhere, web_server("third", app="third"))
    await_pod(node, elsewhere, "third")
    locked = installation.compute_namespace("locked")
    node.plane.admin.create(
        f"/apis/networking.k8s.io/v1/namespaces/{locked}/networkpolicies", DENY_EGRESS
    )
    for pod in (worker("task"), bystander("bystander")):
        await_pod(node, locked, create(node, locked, pod))
    yield Net(installation=installation, namespace=locked)
    for namespace in (elsewhere, locked):
        node.plane.admin.delete(f"/api/v1/namespaces/{namespace}")


def test_an_injected_pod_reaches_dns_and_the_tracker_and_nothing_else(net: Net) -> None:
    """In a namespace that denies all egress; then the label goes, and so does it."""
    wait_for("a way to the tracker", lambda: net.reaches("task", TRACKER), seconds=40)

    assert net.resolves("task", NAME)
    assert not net.reaches("task", THIRD)
    assert not net.reaches("bystander", TRACKER)
    assert not net.resolves("bystander", NAME)

    net.installation.node.plane.admin.patch(
        f"/api/v1/namespaces/{net.namespace}",
        {"metadata": {"labels": {INJECT_LABEL: None}}},
    )
    policies = f"/apis/networking.k8s.io/v1/namespaces/{net.namespace}/networkpolicies"
    admin = net.installation.node.plane.admin
    wait_for(
        "the end of our policies",
        lambda: 1 == len(admin.get(policies)["items"]),
        seconds=5,
    )
    assert not net.reaches("task", TRACKER)
