"""`doctor --pre` on real API servers: what is said before anything is installed."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.release import Release
from tests.lab.api import Object
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options
from tests.lab.operators import install_crds

COMMAND: Final = str(Path(sys.executable).with_name("kubectl-tracking"))
HOME: Final = "ml-tracking"
SPACES: Final = "/api/v1/namespaces"
HOOKS: Final = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def troubles(kubeconfig: Path, code: int) -> dict[str, str]:
    """What is said of a cluster, by code; the exit code is as told."""
    done = subprocess.run(
        [
            *(COMMAND, "doctor", "--pre", "-o", "json"),
            *("--release", HOME, "--kubeconfig", str(kubeconfig)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    (cluster,) = json.loads(done.stdout)["clusters"]
    return {
        one["code"]: one["outcome"]
        for one in cluster["checks"]
        if one["outcome"] in ("failure", "warning")
    }


def test_a_bare_cluster_takes_an_install(own_plane: ControlPlane) -> None:
    """All that is missing is somebody who makes task pods."""
    assert troubles(own_plane.kubeconfig, 0) == {"NoOperators": "warning"}


def test_an_older_kubernetes_leaves_it_to_the_webhook(
    toolbox: Toolbox, tmp_path: Path
) -> None:
    """It cannot inject by itself, which is no reason against an install."""
    plane = ControlPlane.start(toolbox, tmp_path, Options(release="-1.33"))
    try:
        found = troubles(plane.kubeconfig, 0)
    finally:
        plane.stop()

    assert found == {"MutationNotServed": "warning", "NoOperators": "warning"}


@contextmanager
def made(plane: ControlPlane, path: str, body: Object) -> Iterator[None]:
    """An object that is there for a while."""
    plane.admin.create(path, body)
    yield
    plane.admin.delete(f"{path}/{body['metadata']['name']}")


def home(**labels: str) -> Object:
    """The release namespace."""
    return {"metadata": {"name": HOME, "labels": labels}}


def node(label: str) -> Object:
    """A node of a platform."""
    return {"metadata": {"name": "node", "labels": {label: "x"}}}


def closed() -> Object:
    """Somebody's webhook for every pod, which fails closed."""
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    entry = {
        "name": "strict.example.org",
        "rules": [rule],
        "clientConfig": {"url": "https://127.0.0.1:9"},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {"metadata": {"name": "strict"}, "webhooks": [entry]}


@contextmanager
def full(plane: ControlPlane) -> Iterator[None]:
    """The release namespace takes no pod."""
    plane.namespace(HOME)
    quotas = f"{SPACES}/{HOME}/resourcequotas"
    spec = {"hard": {"pods": "0"}}
    with made(plane, quotas, {"metadata": {"name": "full"}, "spec": spec}):
        yield
    plane.admin.delete(f"{SPACES}/{HOME}")


Bring = Callable[[ControlPlane], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("bring", "code", "outcome"),
    [
        (lambda p: made(p, HOOKS, closed()), "ClosedWebhooks", "warning"),
        (
            lambda p: made(p, SPACES, home(**{"istio-injection": "enabled"})),
            "MeshCaptures",
            "warning",
        ),
        (
            lambda p: made(p, "/api/v1/nodes", node("kubernetes.azure.com/cluster")),
            "AksEnforcer",
            "warning",
        ),
        (
            lambda p: made(p, "/api/v1/nodes", node("cloud.google.com/gke-nodepool")),
            "GkeFirewall",
            "warning",
        ),
        (
            lambda p: made(p, "/api/v1/nodes", node("node.openshift.io/os_id")),
            "OpenShiftIds",
            "warning",
        ),
        (full, "HomeRefuses", "failure"),
    ],
    ids=["closed webhooks", "mesh", "AKS", "GKE", "OpenShift", "quota"],
)
def test_what_is_in_the_way_is_told(
    toolbox: Toolbox, tmp_path: Path, bring: Bring, code: str, outcome: str
) -> None:
    """It alone, beside the operators that are not there."""
    plane = ControlPlane.start(toolbox, tmp_path)
    try:
        with bring(plane):
            found = troubles(plane.kubeconfig, 1 if outcome == "failure" else 0)
    finally:
        plane.stop()

    assert found == {code: outcome, "NoOperators": "warning"}


def test_whoever_may_not_install_is_told_so(own_plane: ControlPlane) -> None:
    """What else they may not see is not accused."""
    found = troubles(own_plane.kubeconfig_for("default", "default"), 1)

    assert found["InstallRightsMissing"] == "failure"
    assert set(found) <= {"InstallRightsMissing", "NoOperators", "MutationNotServed"}


def test_another_release_is_told_and_operators_are_found(
    toolbox: Toolbox, tmp_path: Path
) -> None:
    """A cluster takes one release."""
    plane = ControlPlane.start(toolbox, tmp_path)
    try:
        install_crds(plane, toolbox.share("kuberay-1.6", "config") / "crd" / "bases")
        Release(plane, namespace="elsewhere", workloads=True)
        found = troubles(plane.kubeconfig, 1)
    finally:
        plane.stop()

    assert found == {"AlreadyInstalled": "failure"}
