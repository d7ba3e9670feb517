"""The tracking server's CA in task pods, as an API server stores them.

Of policy, webhook and both; that all three agree on any pod is in `in_tree/`.
"""

from collections.abc import Iterator

import pytest

from tests.cluster.in_tree.ways import Way, Ways
from tests.cluster.injector import task_pod
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from webhook.injection.names import CA_CONFIG_MAP, CA_DIRECTORY, CA_PATH
from webhook.injection.policy import InjectionPolicy

DECIDING = (Way.POLICY, Way.WEBHOOK, Way.BOTH)
OPTIONAL: Object = {
    "name": CA_CONFIG_MAP,
    "configMap": {"name": CA_CONFIG_MAP, "optional": True, "defaultMode": 0o644},
}
READ_ONLY: Object = {
    "name": CA_CONFIG_MAP,
    "mountPath": CA_DIRECTORY,
    "readOnly": True,
}


@pytest.fixture(scope="module")
def ways(
    own_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ways]:
    """Namespaces of a release that names a CA, one for each way."""
    folder = tmp_path_factory.mktemp("webhooks")
    ways = Ways(own_plane, folder, [InjectionPolicy(tracking_ca=True)])
    yield ways
    ways.stop()


def stored(ways: Ways, way: Way, pod: Object) -> Object:
    """The pod's specification as it is stored, without its account's token."""
    path = f"/api/v1/namespaces/{way}-0/pods"
    pod["spec"]["automountServiceAccountToken"] = False
    name = ways.plane.admin.create(path, pod)["metadata"]["name"]
    spec: Object = ways.plane.admin.get(f"{path}/{name}")["spec"]
    return spec


@pytest.mark.parametrize("way", DECIDING)
def test_the_task_container_alone_gets_the_file(ways: Ways, way: Way) -> None:
    """By a volume that never holds the pod; sidecars and init containers do without."""
    pod = task_pod()
    pod["spec"]["containers"].append({"name": "istio-proxy", "image": "istio"})
    pod["spec"]["initContainers"] = [{"name": "init", "image": "init"}]

    spec = stored(ways, way, pod)

    task, sidecar = spec["containers"]
    assert [OPTIONAL] == spec["volumes"]
    assert [READ_ONLY] == task["volumeMounts"]
    assert "volumeMounts" not in sidecar
    assert "volumeMounts" not in spec["initContainers"][0]


@pytest.mark.parametrize("path", [CA_DIRECTORY, CA_PATH, "/etc"])
@pytest.mark.parametrize("way", DECIDING)
def test_a_container_that_has_a_mount_there_keeps_it(
    ways: Ways, way: Way, path: str
) -> None:
    """There, in it, or on its parent: nothing about its volumes changes."""

    def pod() -> Object:
        pod = task_pod()
        pod["spec"]["volumes"] = [{"name": "own", "emptyDir": {}}]
        pod["spec"]["containers"][0]["volumeMounts"] = [
            {"name": "own", "mountPath": path}
        ]
        return pod

    alone, with_us = stored(ways, Way.NOBODY, pod()), stored(ways, way, pod())

    assert with_us["containers"][0].pop("envFrom")
    assert alone == with_us
