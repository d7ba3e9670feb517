"""What the companion's account may do on a real API server, and what it may not."""

from collections.abc import Iterator

import pytest

from tests.cluster.release import COMPANION, MIRROR, NAME, Release
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane

HOME = "ml-tracking"
RAY = "ray"

Question = tuple[str, str, str, str, str]
"""Verb, group, resource, namespace and name; empty means any."""

MAY: tuple[Question, ...] = (
    ("list", "", "namespaces", "", ""),
    ("watch", "", "namespaces", "", ""),
    ("list", "", "pods", "", ""),
    ("watch", "", "pods", "", ""),
    ("list", "", "pods", RAY, ""),
    ("list", "", "secrets", "", MIRROR),
    ("watch", "", "secrets", "", MIRROR),
    ("create", "", "secrets", RAY, ""),
    ("patch", "", "secrets", RAY, MIRROR),
    ("delete", "", "secrets", RAY, MIRROR),
    ("create", "", "events", RAY, ""),
    ("get", "ray.io", "rayclusters", RAY, "cluster"),
    ("get", "", "secrets", HOME, "keys"),
    ("list", "", "secrets", HOME, "keys"),
    ("watch", "", "secrets", HOME, "keys"),
    ("get", "", "configmaps", HOME, "uri"),
    ("list", "", "configmaps", HOME, "uri"),
    ("watch", "", "configmaps", HOME, "uri"),
    ("list", "", "configmaps", "", "michelangelo-config"),
    ("watch", "", "configmaps", "", "michelangelo-config"),
    ("get", "", "configmaps", HOME, f"{NAME}-status"),
    ("patch", "", "configmaps", HOME, f"{NAME}-status"),
    ("get", "coordination.k8s.io", "leases", HOME, COMPANION),
    ("patch", "coordination.k8s.io", "leases", HOME, COMPANION),
)

ADMISSION = "admissionregistration.k8s.io"
RBAC = "rbac.authorization.k8s.io"

MAY_NOT: tuple[Question, ...] = (
    ("get", "", "secrets", RAY, "another"),
    ("list", "", "secrets", "", ""),
    ("watch", "", "secrets", "", ""),
    ("list", "", "secrets", RAY, ""),
    ("list", "", "secrets", HOME, ""),
    ("get", "", "secrets", HOME, "another"),
    ("get", "", "secrets", "kube-system", "another"),
    ("update", "", "secrets", RAY, "another"),
    ("patch", "", "secrets", RAY, "another"),
    ("patch", "", "secrets", HOME, "keys"),
    ("delete", "", "secrets", HOME, "keys"),
    ("delete", "", "secrets", RAY, "another"),
    ("deletecollection", "", "secrets", RAY, ""),
    ("list", "", "configmaps", "", ""),
    ("get", "", "configmaps", RAY, "another"),
    ("get", "", "configmaps", "kube-system", "another"),
    ("patch", "", "configmaps", HOME, "uri"),
    ("create", "", "configmaps", HOME, ""),
    ("delete", "", "configmaps", HOME, f"{NAME}-status"),
    ("patch", "", "configmaps", RAY, "michelangelo-config"),
    ("create", "", "pods", RAY, ""),
    ("patch", "", "pods", RAY, "head"),
    ("update", "", "pods", RAY, "head"),
    ("delete", "", "pods", RAY, "head"),
    ("create", "", "pods/exec", RAY, "head"),
    ("get", "", "pods/log", RAY, "head"),
    ("create", "", "pods/eviction", RAY, "head"),
    ("patch", "", "namespaces", "", RAY),
    ("update", "", "namespaces", "", RAY),
    ("create", "", "namespaces", "", ""),
    ("delete", "", "namespaces", "", RAY),
    ("create", "", "serviceaccounts/token", RAY, "default"),
    ("create", "", "serviceaccounts", HOME, ""),
    ("impersonate", "", "users", "", "admin"),
    ("list", "", "nodes", "", ""),
    ("get", "", "nodes/proxy", "", "node"),
    ("list", "", "events", "", ""),
    ("delete", "", "events", RAY, ""),
    ("create", "coordination.k8s.io", "leases", HOME, ""),
    ("patch", "coordination.k8s.io", "leases", "kube-system", COMPANION),
    ("delete", "coordination.k8s.io", "leases", HOME, COMPANION),
    ("create", ADMISSION, "mutatingwebhookconfigurations", "", ""),
    ("delete", ADMISSION, "mutatingwebhookconfigurations", "", NAME),
    ("patch", ADMISSION, "mutatingwebhookconfigurations", "", "another"),
    ("patch", ADMISSION, "validatingwebhookconfigurations", "", "another"),
    ("patch", ADMISSION, "validatingadmissionpolicies", "", f"{NAME}-mirror"),
    ("create", RBAC, "clusterrolebindings", "", ""),
    ("patch", RBAC, "clusterroles", "", COMPANION),
    ("escalate", RBAC, "clusterroles", "", COMPANION),
    ("bind", RBAC, "clusterroles", "", "cluster-admin"),
    ("patch", "apps", "deployments", HOME, COMPANION),
    ("create", "apps", "deployments", HOME, ""),
    ("patch", "ray.io", "rayclusters", RAY, "cluster"),
    ("list", "ray.io", "rayclusters", RAY, ""),
    ("get", "ray.io", "rayjobs", RAY, "job"),
    ("get", "sparkoperator.k8s.io", "sparkapplications", RAY, "app"),
    ("create", "batch", "jobs", RAY, ""),
)


@pytest.fixture(name="release", scope="module")
def _release(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    plane = ControlPlane.start(toolbox, tmp_path_factory.mktemp("rights"))
    yield Release(plane, HOME)
    plane.stop()


def allowed(release: Release, question: Question) -> bool:
    """What the API server's authorizer answers."""
    verb, group, resource, namespace, name = question
    resource, _, subresource = resource.partition("/")
    review = {
        "spec": {
            "user": f"system:serviceaccount:{HOME}:{COMPANION}",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": subresource,
                "namespace": namespace,
                "name": name,
            },
        }
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(release.admin.create(path, review)["status"]["allowed"])


@pytest.mark.parametrize("question", MAY, ids=" ".join)
def test_it_may(release: Release, question: Question) -> None:
    """What its work needs."""
    assert allowed(release, question)


@pytest.mark.parametrize("question", MAY_NOT, ids=" ".join)
def test_it_may_not(release: Release, question: Question) -> None:
    """What a stolen token would be worth."""
    assert not allowed(release, question)
