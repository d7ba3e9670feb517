"""What the companion's account may do on a real API server, and what it may not."""

from functools import partial

import pytest

from tests.cluster.release import COMPANION, MIRROR, NAME, Release, eventually
from tests.lab.control_plane import ControlPlane
from webhook.injection.names import CA_CONFIG_MAP

HOME = "ml-tracking"
RAY = "ray"
WRITE = f"{COMPANION}-write"

Question = tuple[str, str, str, str, str]
"""Verb, group, resource, namespace and name; empty means any."""

ADMISSION = "admissionregistration.k8s.io"
RBAC = "rbac.authorization.k8s.io"

RIGHTS: tuple[Question, ...] = (
    ("list watch", "", "namespaces", "", ""),
    ("list watch", "", "pods", "", ""),
    # Who made a task pod, and who made that.
    ("get", "ray.io", "rayclusters", "", ""),
    ("get", "ray.io", "rayjobs", "", ""),
    ("get", "", "pods", "", ""),
    ("get", "apps", "replicasets", "", ""),
    ("get", "apps", "statefulsets", "", ""),
    ("get", "batch", "jobs", "", ""),
    ("list watch", "", "secrets", "", MIRROR),
    ("list watch", "", "configmaps", "", "michelangelo-config"),
    ("get list watch patch", ADMISSION, "mutatingwebhookconfigurations", "", NAME),
    ("list watch", "networking.k8s.io", "networkpolicies", "", ""),
    ("list watch", "", "services", "", ""),
    ("list watch", "discovery.k8s.io", "endpointslices", "", ""),
    ("list watch", "", "nodes", "", ""),
    # What it writes in compute namespaces.
    ("patch delete", "", "secrets", "", MIRROR),
    ("create", "", "secrets", "", ""),
    ("create", "", "events", "", ""),
    ("delete create patch", "networking.k8s.io", "networkpolicies", "", ""),
    # At home.
    ("list watch", "", "secrets", HOME, "keys"),
    ("list watch", "", "configmaps", HOME, "uri"),
    ("get list watch patch", "", "secrets", HOME, f"{NAME}-tls"),
    ("get list watch patch", "", "secrets", HOME, f"{NAME}-tls-state"),
    ("list", "discovery.k8s.io", "endpointslices", HOME, ""),
    ("list watch patch", "", "configmaps", HOME, f"{NAME}-status"),
    ("get patch", "", "configmaps", HOME, f"{NAME}-addresses"),
    ("get patch", "coordination.k8s.io", "leases", HOME, COMPANION),
    ("create", "", "events", HOME, ""),
)
"""Everything that the roles give; several verbs in one row."""

MAY = [(verb, *row[1:]) for row in RIGHTS for verb in row[0].split()]

MAY_NOT: tuple[Question, ...] = (
    ("get", "", "secrets", RAY, "another"),
    ("get", "", "secrets", RAY, MIRROR),
    ("get", "", "namespaces", "", RAY),
    ("get", "networking.k8s.io", "networkpolicies", RAY, "theirs"),
    ("update", "networking.k8s.io", "networkpolicies", RAY, "theirs"),
    ("deletecollection", "networking.k8s.io", "networkpolicies", RAY, ""),
    ("update", "", "secrets", RAY, MIRROR),
    ("get", "", "services", RAY, "server"),
    ("patch", "", "services", RAY, "server"),
    ("patch", "", "services/status", RAY, "server"),
    ("get", "", "nodes", "", "node"),
    ("patch", "", "nodes/status", "", "node"),
    ("patch", "", "namespaces/status", "", RAY),
    ("update", "", "namespaces/finalize", "", RAY),
    ("patch", "", "pods/status", RAY, "head"),
    ("create", "", "pods/portforward", RAY, "head"),
    ("update", "", "pods/ephemeralcontainers", RAY, "head"),
    ("get", "", "secrets", HOME, "keys"),
    ("get", "", "configmaps", HOME, "uri"),
    ("list", "coordination.k8s.io", "leases", HOME, COMPANION),
    ("list", "", "configmaps", HOME, f"{NAME}-addresses"),
    ("delete", "", "secrets", HOME, f"{NAME}-tls"),
    ("create", "certificates.k8s.io", "certificatesigningrequests", "", ""),
    ("patch", ADMISSION, "validatingadmissionpolicybindings", "", f"{NAME}-mirror"),
    ("delete", ADMISSION, "validatingadmissionpolicies", "", f"{NAME}-egress"),
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
    ("create", "", "configmaps", RAY, ""),
    ("patch", "", "configmaps", RAY, CA_CONFIG_MAP),
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
    ("patch", "", "nodes", "", ""),
    ("get", "", "nodes/proxy", "", "node"),
    ("list", "", "events", "", ""),
    ("delete", "", "events", RAY, ""),
    ("patch", "", "events", RAY, ""),
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
    ("list", "ray.io", "rayjobs", RAY, ""),
    ("patch", "ray.io", "rayjobs", RAY, "job"),
    ("list", "apps", "replicasets", RAY, ""),
    ("patch", "apps", "statefulsets", RAY, "notebook"),
    ("list", "batch", "jobs", RAY, ""),
    ("delete", "batch", "jobs", RAY, "job"),
    ("get", "sparkoperator.k8s.io", "sparkapplications", RAY, "app"),
    ("create", "batch", "jobs", RAY, ""),
)


ONE_OF_EACH: tuple[Question, ...] = (
    ("list", "", "namespaces", "", ""),
    ("create", "", "secrets", "", ""),
    ("get", "coordination.k8s.io", "leases", HOME, COMPANION),
)
"""A right that just one of the roles gives."""


@pytest.fixture(name="release", scope="module")
def _release(own_plane: ControlPlane) -> Release:
    release = Release(own_plane, HOME)
    for question in ONE_OF_EACH:  # the authorizer hears of roles a moment later
        eventually(" ".join(question), partial(allowed, release, question))
    return release


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


def given(release: Release) -> set[Question]:
    """Every right that the companion's own roles hold."""
    roles = f"/apis/{RBAC}/v1"
    whole = [f"{roles}/clusterroles/{COMPANION}", f"{roles}/clusterroles/{WRITE}"]
    home = f"{roles}/namespaces/{HOME}/roles/{COMPANION}"
    return {
        (verb, group, resource, namespace, name)
        for path, namespace in (*((one, "") for one in whole), (home, HOME))
        for rule in release.admin.get(path)["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
    }


def test_the_roles_give_what_is_listed_here_and_nothing_else(release: Release) -> None:
    """So that whoever adds a right says so below."""
    assert given(release) == set(MAY)


def test_nothing_else_is_bound_to_the_account(release: Release) -> None:
    """Two cluster roles, and one role at home."""
    bound = [
        (one["roleRef"]["kind"], one["roleRef"]["name"])
        for kind in ("clusterrolebindings", "rolebindings")
        for one in release.admin.get(f"/apis/{RBAC}/v1/{kind}")["items"]
        for subject in one.get("subjects") or ()
        if (subject["kind"], subject["name"]) == ("ServiceAccount", COMPANION)
    ]

    assert sorted(bound) == [
        ("ClusterRole", COMPANION),
        ("ClusterRole", WRITE),
        ("Role", COMPANION),
    ]


@pytest.mark.parametrize("question", MAY, ids=" ".join)
def test_it_may(release: Release, question: Question) -> None:
    """What its work needs."""
    assert allowed(release, question)


@pytest.mark.parametrize("question", MAY_NOT, ids=" ".join)
def test_it_may_not(release: Release, question: Question) -> None:
    """What a stolen token would be worth."""
    assert not allowed(release, question)
