"""A tracking server whose own namespace lets nobody in: said by name, not as "DNS"."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.installation import NAMESPACE, RELEASE, Installation, await_pod
from tests.e2e.taskpods import create, worker
from tests.e2e.tracking import NAMESPACE as TRACKING
from tests.e2e.tracking import TrackingServer
from tests.lab.processes import wait_for

POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{TRACKING}/networkpolicies"
CLOSED = {
    "metadata": {"name": "nobody"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


@pytest.fixture(name="space")
def _space(installation: Installation, tracking: TrackingServer) -> Iterator[str]:
    """A compute namespace with an injected pod, and a closed door."""
    admin = installation.node.plane.admin
    name = installation.compute_namespace("at-the-door")
    await_pod(installation.node, name, create(installation.node, name, worker("task")))
    admin.create(POLICIES, CLOSED)
    yield name
    admin.delete(f"{POLICIES}/nobody")
    admin.delete(f"/api/v1/namespaces/{name}")


def test_a_closed_door_is_told_by_name(installation: Installation, space: str) -> None:
    """The packet does not pass, and the report says whose policy it is."""
    admin = installation.node.plane.admin
    status = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{RELEASE}-status"

    def reasons() -> set[str]:
        report = json.loads(admin.get(status)["data"]["status.json"])
        found = report["namespaces"].get(space, {}).get("egress", {"findings": []})
        return {finding["reason"] for finding in found["findings"]}

    wait_for(
        "the finding", lambda: "DestinationIngressBlocked" in reasons(), seconds=20
    )
    service = admin.get(f"/api/v1/namespaces/{TRACKING}/services/mlflow")["spec"]
    answer = installation.shell(
        space,
        "task",
        f"nc -w 2 {service['clusterIP']} 5000 </dev/null && echo yes || echo no",
    )

    assert "no\n" == answer
    assert "Unresolved" not in reasons()
