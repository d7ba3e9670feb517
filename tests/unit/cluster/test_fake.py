"""The fake cluster keeps the port's contract."""

import pytest

from tests.contracts.kube_client import KubeClientContract
from tests.fakes.cluster import FakeCluster
from webhook.cluster.interface import KubeClient
from webhook.cluster.resources import NAMESPACE


class TestFake(KubeClientContract):
    """The same suite that a real API server passes."""

    @pytest.fixture(name="cluster")
    def _cluster(self) -> FakeCluster:
        return FakeCluster()

    @pytest.fixture(name="port")
    def _port(self, cluster: FakeCluster) -> KubeClient:
        return cluster.client()

    @pytest.fixture(name="other")
    def _other(self, cluster: FakeCluster) -> KubeClient:
        return cluster.client("somebody-else")

    @pytest.fixture(name="home")
    def _home(self, port: KubeClient) -> str:
        port.create(NAMESPACE, {"metadata": {"name": "home"}})
        return "home"

    @pytest.fixture(name="terminating")
    def _terminating(self, cluster: FakeCluster, home: str) -> str:
        cluster.terminate(home)
        return home

    @pytest.fixture(name="compact")
    def _compact(self, cluster: FakeCluster, home: str) -> None:
        cluster.compact()
