"""A pod that was missed is told where its users look: on what they made themselves."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.cluster.companion.state import create_after
from tests.cluster.release import COMPANION, Release, companion, eventually
from tests.cluster.test_kuberay import manifest
from tests.lab.api import Object
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane
from tests.lab.operators import KubeRay, install_crds


@pytest.fixture(name="release", scope="module")
def _release(toolbox: Toolbox, plane: ControlPlane) -> Iterator[Release]:
    """KubeRay and the companion's rights, but no webhook: every task pod is missed."""
    kuberay = KubeRay.start(plane, "1.6")
    install_crds(plane, toolbox.share("spark-operator", "config/crd/bases"))
    yield Release(plane)
    kuberay.stop()


def told(release: Release, namespace: str) -> list[tuple[str, str]]:
    """Kind and name of everything that our Events there are about, each Event once."""
    events = release.admin.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return sorted(
        (one["involvedObject"]["kind"], one["involvedObject"]["name"])
        for one in events
        if one["source"].get("component") == COMPANION and one["reason"] == "Missed"
    )


def labeled(release: Release, name: str) -> str:
    """A namespace that was switched on a while ago."""
    release.plane.namespace(name)
    release.label(name)
    eventually("a second", lambda: create_after(release, name), every=0.2)
    return name


def pods(release: Release, namespace: str) -> list[str]:
    """The names of the pods there."""
    found = release.admin.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return [one["metadata"]["name"] for one in found]


def test_kuberays_rayjob_is_told_of_its_missed_pods(release: Release) -> None:
    """Head and worker, their RayCluster, and the RayJob that made it: once each."""
    name = labeled(release, "rayjob")
    text = manifest(release.plane.toolbox, "1.6", "ray-job.sample")
    with companion(release):
        release.admin.create_all(text, name)
        # How long KubeRay takes to start and to make them is no concern of ours.
        made = partial(pods, release, name)
        eventually("head and worker", lambda: len(made()) == 2, seconds=240, every=0.2)

        def kinds() -> list[str]:
            return [kind for kind, _ in told(release, name)]

        wanted = ["Pod", "Pod", "RayCluster", "RayJob"]
        eventually("all are told", lambda: kinds() == wanted, seconds=40, every=0.2)

        assert told(release, name)[-1] == ("RayJob", "rayjob-sample")


def test_a_sparkapplication_is_told_of_its_missed_executor(release: Release) -> None:
    """Through the driver, which owns the executor as Spark has it."""
    name = labeled(release, "spark")
    applications = f"/apis/sparkoperator.k8s.io/v1beta2/namespaces/{name}"
    application = release.admin.create(
        f"{applications}/sparkapplications",
        {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "SparkApplication",
            "metadata": {"name": "pi"},
            "spec": {
                "type": "Python",
                "mode": "cluster",
                "sparkVersion": "3.5.5",
                "mainApplicationFile": "local:///pi.py",
                "driver": {},
                "executor": {},
            },
        },
    )
    driver = pod(release, name, "driver", owner=application)
    pod(release, name, "executor", owner=driver)
    with companion(release):
        wanted = [
            ("Pod", "pi-driver"),
            ("Pod", "pi-executor"),
            ("SparkApplication", "pi"),
        ]
        eventually("all are told", lambda: told(release, name) == wanted, seconds=40)


def pod(release: Release, namespace: str, role: str, *, owner: Object) -> Object:
    """A Spark pod as stored; only what the auditor looks at."""
    container = {"name": f"spark-kubernetes-{role}", "image": "none"}
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    body: Object = {
        "metadata": {
            "name": f"pi-{role}",
            "labels": {"spark-role": role},
            "ownerReferences": [reference],
        },
        "spec": {"containers": [container]},
    }
    return release.admin.create(f"/api/v1/namespaces/{namespace}/pods", body)
