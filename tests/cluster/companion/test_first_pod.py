"""The first pods of a namespace: KubeRay makes them while the mirror is on its way."""

import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.cluster.injector import Injector
from tests.cluster.release import MIRROR, Release, companion, eventually, tell
from tests.cluster.test_kuberay import manifest
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.operators import KubeRay


@pytest.fixture(name="plane", scope="module")
def _plane(own_plane: ControlPlane, injector: Injector) -> Iterator[ControlPlane]:
    """KubeRay, the webhook and the companion's rights on one control plane."""
    kuberay = KubeRay.start(own_plane, "1.6")
    injector.register(own_plane)
    yield own_plane
    kuberay.process.stop(seconds=3)


def test_kuberays_first_pods_wait_for_the_keys(
    plane: ControlPlane,
) -> None:
    """Every one refers to the mirror as required: the kubelet holds it until then."""
    release = Release(plane)
    text = manifest(plane.toolbox, "1.6", "ray-cluster.sample")
    with companion(release):
        eventually("it leads", lambda: release.leader() == "one", seconds=20)
        waits = [first_pods(release, f"first-{n}", text) for n in range(5)]
    tell(f"mirrors were there within {max(waits):.2f} s of the label")


def first_pods(release: Release, name: str, cluster: str) -> float:
    """Labels a namespace, runs a cluster in it at once, and looks at its pods.

    Returns:
        Seconds from the label to the mirror.
    """
    release.plane.namespace(name)
    labeled = time.monotonic()
    release.label(name)
    release.admin.create_all(cluster, name)
    eventually("the mirror", partial(release.holds, name), every=0.005)
    waited = time.monotonic() - labeled
    path = f"/api/v1/namespaces/{name}/pods"

    def pods() -> list[Object]:
        found: list[Object] = release.admin.get(path)["items"]
        return found

    eventually("both pods", lambda: len(pods()) == 2, seconds=20)
    references = [pod["spec"]["containers"][0]["envFrom"][0] for pod in pods()]
    assert references == [{"secretRef": {"name": MIRROR}}] * 2
    return waited
