"""The real companion works with the rights that the chart gives, and has no more."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.rendering import CHART, RELEASE, Chart
from tests.chart.test_settings import environ
from tests.cluster.chart.conftest import put_away
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane

HOME = "chart-companion"
COMPUTE = "chart-companion-compute"
OTHER = "chart-companion-other"
COMPANION = f"{RELEASE}-companion"
MIRROR = "michelangelo-tracking"
INJECT = "tracking.michelangelo-ai.org/inject"
VALUES = {
    "tracking": {
        "uri": "https://tracker.example",
        "existingSecret": "credentials",
    }
}


@pytest.fixture(scope="module")
def namespaces(plane: ControlPlane) -> Iterator[ControlPlane]:
    """A home with a source, and two labeled namespaces."""
    plane.namespace(HOME)
    for name in (COMPUTE, OTHER):
        plane.namespace(name, {INJECT: "enabled"})
    for name in ("credentials", "unrelated"):
        secret(plane, HOME, name)
    secret(plane, COMPUTE, "unrelated")
    yield plane
    put_away(plane, HOME, COMPUTE, OTHER)


@pytest.fixture
def release(namespaces: ControlPlane) -> Iterator[ControlPlane]:
    """The chart installed as it comes, with two sources."""
    install(namespaces, VALUES)
    yield namespaces
    uninstall(namespaces)


@pytest.fixture
def listed(namespaces: ControlPlane) -> Iterator[tuple[ControlPlane, Object]]:
    """The chart installed with rights in one namespace only."""
    values: Object = VALUES | {
        "rbac": {"mode": "listedNamespaces"},
        "namespaces": {"allowed": [COMPUTE]},
    }
    install(namespaces, values)
    yield namespaces, values
    uninstall(namespaces)


def secret(plane: ControlPlane, namespace: str, name: str) -> None:
    """Create a Secret with a key."""
    body: Object = {"metadata": {"name": name}, "stringData": {"TRACKING_API_KEY": "k"}}
    plane.admin.create(f"/api/v1/namespaces/{namespace}/secrets", body)


def install(plane: ControlPlane, values: Object) -> None:
    """Install the release with these values."""
    flags = [f"--set-json={group}={as_json(inner)}" for group, inner in values.items()]
    plane.helm("install", RELEASE, CHART, "--namespace", HOME, *flags)


def as_json(value: object) -> str:
    """For helm's command line."""
    return json.dumps(value)


def uninstall(plane: ControlPlane) -> None:
    """Uninstall the release, and what the companion made."""
    plane.helm("uninstall", RELEASE, "--namespace", HOME, "--no-hooks", "--wait")
    for namespace in (COMPUTE, OTHER):
        plane.admin.delete(f"/api/v1/namespaces/{namespace}/secrets/{MIRROR}")


def run_companion(plane: ControlPlane, values: Object, flag: str) -> tuple[int, str]:
    """Run it as the chart's account with the chart's settings; code and words."""
    chart = Chart(plane.toolbox.program("helm"))
    rendered = chart.render(values, namespace=HOME)
    done = subprocess.run(
        [Path(sys.executable).with_name("tracking-injector"), "companion", flag],
        env=environ(rendered, "companion")
        | plane.environ(plane.kubeconfig_for(HOME, COMPANION)),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    return done.returncode, done.stdout + done.stderr


def mirrored(plane: ControlPlane, namespace: str) -> bool:
    """Whether a namespace has its mirror."""
    return plane.admin.exists(f"/api/v1/namespaces/{namespace}/secrets/{MIRROR}")


def test_the_companion_makes_mirrors_and_may_not_uninstall(
    release: ControlPlane,
) -> None:
    """With every policy of the chart in force; the right to more comes with a hook."""
    once = run_companion(release, VALUES, "--once")
    removal = run_companion(release, VALUES, "--remove-all")

    assert once[0] == 0, once[1]
    assert removal[0] == 1
    assert "mutatingwebhookconfigurations" in removal[1]
    assert mirrored(release, COMPUTE)
    assert mirrored(release, OTHER)


def test_listed_namespaces_are_the_only_ones_written(
    listed: tuple[ControlPlane, Object],
) -> None:
    """A labeled namespace that is not listed gets nothing, by right and by rule."""
    plane, values = listed
    once = run_companion(plane, values, "--once")

    assert mirrored(plane, COMPUTE), once[1]
    assert not mirrored(plane, OTHER)
    assert not can(plane, "create", "secrets", namespace=OTHER)
    assert not can(plane, "patch", f"secrets/{MIRROR}", namespace=OTHER)


def can(
    plane: ControlPlane, verb: str, what: str, *, namespace: str = "", group: str = ""
) -> bool:
    """Whether the companion's account may do something.

    Args:
        plane: Who is asked.
        verb: As in a role.
        what: `resource`, `resource/name` or `resource:subresource`.
        namespace: Empty means all of them.
        group: The API group.
    """
    whole, _, name = what.partition("/")
    resource, _, subresource = whole.partition(":")
    body: Object = {
        "spec": {
            "user": f"system:serviceaccount:{HOME}:{COMPANION}",
            "groups": [
                "system:serviceaccounts",
                f"system:serviceaccounts:{HOME}",
                "system:authenticated",
            ],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": subresource,
                "name": name,
                "namespace": namespace,
            },
        }
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(plane.admin.create(path, body)["status"]["allowed"])


ADMISSION = "admissionregistration.k8s.io"
RBAC = "rbac.authorization.k8s.io"
FORBIDDEN = [
    ("get", "secrets/unrelated", HOME, ""),
    ("list", "secrets", HOME, ""),
    ("watch", "secrets", HOME, ""),
    ("patch", "secrets/credentials", HOME, ""),
    ("delete", "secrets/credentials", HOME, ""),
    ("delete", f"secrets/{RELEASE}-tls", HOME, ""),
    ("get", "secrets/unrelated", COMPUTE, ""),
    ("list", "secrets", COMPUTE, ""),
    ("list", "secrets", "", ""),
    ("watch", "secrets", "", ""),
    ("patch", "secrets/unrelated", COMPUTE, ""),
    ("delete", "secrets/unrelated", COMPUTE, ""),
    ("deletecollection", "secrets", COMPUTE, ""),
    ("get", "secrets/anything", "kube-system", ""),
    ("get", "configmaps/anything", HOME, ""),
    ("list", "configmaps", "", ""),
    ("patch", "configmaps/michelangelo-config", COMPUTE, ""),
    ("create", "configmaps", HOME, ""),
    ("create", "pods", COMPUTE, ""),
    ("delete", "pods/anything", COMPUTE, ""),
    ("patch", "pods/anything", COMPUTE, ""),
    ("create", "pods:exec", COMPUTE, ""),
    ("create", "pods:eviction", COMPUTE, ""),
    ("patch", "namespaces/anything", "", ""),
    ("delete", "namespaces/anything", "", ""),
    ("create", "serviceaccounts:token", HOME, ""),
    ("impersonate", "users/anybody", "", ""),
    ("get", "nodes/anything", "", ""),
    ("create", "deployments", HOME, "apps"),
    ("patch", f"deployments/{RELEASE}", HOME, "apps"),
    ("create", "leases", HOME, "coordination.k8s.io"),
    ("patch", "leases/other", HOME, "coordination.k8s.io"),
    ("create", "mutatingwebhookconfigurations", "", ADMISSION),
    ("patch", "mutatingwebhookconfigurations/other", "", ADMISSION),
    ("delete", f"mutatingwebhookconfigurations/{RELEASE}", "", ADMISSION),
    ("patch", f"validatingadmissionpolicies/{RELEASE}-mirror", "", ADMISSION),
    ("delete", f"validatingadmissionpolicies/{RELEASE}-mirror", "", ADMISSION),
    ("delete", f"validatingadmissionpolicybindings/{RELEASE}-mirror", "", ADMISSION),
    ("create", "clusterrolebindings", "", RBAC),
    ("patch", f"clusterroles/{COMPANION}", "", RBAC),
    ("create", "rolebindings", COMPUTE, RBAC),
]
ALLOWED = [
    ("list", "secrets/credentials", HOME, ""),
    ("watch", f"configmaps/{RELEASE}-uri", HOME, ""),
    ("patch", f"secrets/{RELEASE}-tls", HOME, ""),
    ("patch", f"secrets/{RELEASE}-tls-state", HOME, ""),
    ("patch", f"configmaps/{RELEASE}-status", HOME, ""),
    ("patch", f"leases/{COMPANION}", HOME, "coordination.k8s.io"),
    ("list", f"secrets/{MIRROR}", "", ""),
    ("watch", f"secrets/{MIRROR}", "", ""),
    ("create", "secrets", COMPUTE, ""),
    ("patch", f"secrets/{MIRROR}", COMPUTE, ""),
    ("delete", f"secrets/{MIRROR}", COMPUTE, ""),
    ("create", "events", COMPUTE, ""),
    ("list", "pods", "", ""),
    ("list", "namespaces", "", ""),
    ("patch", f"mutatingwebhookconfigurations/{RELEASE}", "", ADMISSION),
    ("list", "endpointslices", HOME, "discovery.k8s.io"),
    ("create", "networkpolicies", COMPUTE, "networking.k8s.io"),
]


def test_the_companion_may_do_what_it_is_for_and_nothing_else(
    release: ControlPlane,
) -> None:
    """A matrix of SubjectAccessReviews, answered by the real authorizer."""
    asked = [*FORBIDDEN, *ALLOWED]

    allowed = [
        (verb, what, namespace, group)
        for verb, what, namespace, group in asked
        if can(release, verb, what, namespace=namespace, group=group)
    ]

    assert allowed == ALLOWED


def test_the_webhook_may_do_nothing(release: ControlPlane) -> None:
    """Its account has no right beyond what every account has, by the release's word."""
    body: Object = {"spec": {"namespace": HOME}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"

    def rules(namespace: str, account: str) -> list[Object]:
        user = release.service_account(namespace, account)
        found: list[Object] = user.create(path, body)["status"]["resourceRules"]
        return sorted(found, key=str)

    assert rules("default", "default") == rules(HOME, RELEASE)
