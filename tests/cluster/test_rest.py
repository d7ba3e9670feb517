"""A real API server keeps the port's contract."""

import uuid
from collections.abc import Iterator

import pytest

from tests.contracts.kube_client import KubeClientContract
from tests.lab.control_plane import ControlPlane
from webhook.cluster import metadata
from webhook.cluster.config import load_kubeconfig
from webhook.cluster.errors import Invalid
from webhook.cluster.informer import Informer
from webhook.cluster.interface import KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import CONFIG_MAP
from webhook.cluster.rest import RestClient


@pytest.fixture(name="plane", scope="module")
def _plane(own_plane: ControlPlane) -> ControlPlane:
    """One of its own: the suite may restart it."""
    return own_plane


class TestApiServer(KubeClientContract):
    """The same suite that the fake passes, on a control plane that it may restart."""

    @pytest.fixture(name="port")
    def _port(self, plane: ControlPlane) -> Iterator[KubeClient]:
        yield from client(plane, "tracking-injector")

    @pytest.fixture(name="other")
    def _other(self, plane: ControlPlane) -> Iterator[KubeClient]:
        yield from client(plane, "somebody-else")

    @pytest.fixture(name="home")
    def _home(self, plane: ControlPlane) -> str:
        return plane.namespace(f"contract-{uuid.uuid4().hex[:8]}")

    @pytest.fixture(name="terminating")
    def _terminating(self, plane: ControlPlane, home: str) -> Iterator[str]:
        """A finalizer of ours keeps it from going before the test is done."""
        pin = {"metadata": {"name": "pin", "finalizers": ["example.org/pin"]}}
        plane.admin.create(f"/api/v1/namespaces/{home}/configmaps", pin)
        plane.admin.delete(f"/api/v1/namespaces/{home}")
        yield home
        free = {"metadata": {"finalizers": None}}
        plane.admin.patch(f"/api/v1/namespaces/{home}/configmaps/pin", free)

    @pytest.fixture(name="compact")
    def _compact(self, plane: ControlPlane) -> None:
        """A restarted API server remembers nothing from before."""
        plane.stop_api_server()
        plane.start_api_server()


@pytest.mark.parametrize("levels", [900, 1500, 4900])
def test_what_an_api_server_stores_can_be_listed_and_watched(
    plane: ControlPlane, levels: int
) -> None:
    """Managed fields of any depth and year, as a tenant may write them."""
    home = plane.namespace(f"deep-{uuid.uuid4().hex[:8]}")
    fields = '{"f:data":' * levels + "{}" + "}" * levels
    entry = (
        '{"manager":"x","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1",'
        f'"time":"0000-01-01T00:00:00Z","fieldsV1":{fields}}}'
    )
    body = f'{{"metadata":{{"name":"deep","managedFields":[{entry}]}},"data":{{}}}}'
    for port in client(plane, "tracking-injector"):
        options = ListOptions(CONFIG_MAP, namespace=home)
        one = Informer(port, options, metadata.creation_time, watch_seconds=1)
        one.refresh()
        path = f"/api/v1/namespaces/{home}/configmaps"
        plane.admin._text("POST", path, body=body.encode(), kind="application/json")
        one.step()
        assert one.health.failing is None
        assert one.get(ObjectKey(home, "deep")) is not None
        listing = port.list(options, metadata.last_write_time)
        assert listing.items[ObjectKey(home, "deep")][1] is None


def test_a_refused_container_is_not_quoted(plane: ControlPlane) -> None:
    """It may hold a variable's value; where the fault is, is said."""
    home = plane.namespace(f"refused-{uuid.uuid4().hex[:8]}")
    spec = {"containers": [{"name": "task", "image": "i"}]}
    plane.admin.create(
        f"/api/v1/namespaces/{home}/pods", {"metadata": {"name": "p"}, "spec": spec}
    )
    container = {"name": "probe", "image": "i", "imagePullPolicy": "canary-5e0c7a"}
    for port in client(plane, "tracking-injector"):
        with pytest.raises(Invalid) as refused:
            port.add_container(home, "p", container)

        assert "ephemeralContainers[0].imagePullPolicy" in str(refused.value)
        assert "canary-5e0c7a" not in str(refused.value)


def client(plane: ControlPlane, manager: str) -> Iterator[RestClient]:
    """The port as admin, writing in the manager's name."""
    access = load_kubeconfig(manager=manager, path=plane.kubeconfig)
    yield access.resources
    access.resources.close()
