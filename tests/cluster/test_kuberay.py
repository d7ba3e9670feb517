"""KubeRay's own samples and Michelangelo's clusters, with and without us, as stored."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from typing import Final

import pytest

from tests.cluster.comparison import (
    REFERENCE,
    comparable,
    containers_with_reference,
    stamp,
    without_ours,
)
from tests.cluster.injector import COMPUTE, Injector, calls
from tests.lab.api import Object
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane
from tests.lab.operators import KubeRay
from tests.lab.processes import wait_for
from tests.michelangelo.client import on_file, ray_cluster
from tests.michelangelo.collector import with_collector

VERSIONS: Final = ("1.6",)
COLLECTED: Final = "michelangelo-collected"
FLOWS: Final = {
    "michelangelo-check": "check",
    "michelangelo-train": "train",
    COLLECTED: "train",
}
"""What Michelangelo's own client makes of a flow, and its mapper of that; the last with
the sidecar that collects logs."""

_RAY: Final = ("ray-head", "ray-worker")
TASK_CONTAINERS: Final[Mapping[str, Sequence[str]]] = {
    "ray-cluster.sample": _RAY,
    "ray-cluster.autoscaler": ("ray-head",),  # its workers come on demand
    "ray-cluster.complete": _RAY,
    "ray-cluster.tls": _RAY,
    "ray-cluster.external-redis": _RAY,
    "ray-job.sample": _RAY,
    "ray-job.sidecar-mode": _RAY,
    "ray-service.sample": _RAY,
    "michelangelo-check": ("head",),
    "michelangelo-train": ("head", "worker", "worker"),
    COLLECTED: ("head", "worker", "worker"),
}
"""For each sample the container that runs user code, pod by pod."""

RANDOM: Final[Mapping[str, Sequence[str]]] = {
    # The head of such a job carries the job's generated id, and a hash of a
    # specification that contains it.
    "ray-job.sidecar-mode": (
        r"(?<=rayjob-sidecar-mode-)[a-z0-9]{5}",
        r'(?<=upgrade-strategy-recreate-hash": ")\w{32}',
    ),
}
"""What KubeRay makes up anew for each copy of a sample, besides names."""

CASES: Final = list(product(VERSIONS, TASK_CONTAINERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one KubeRay made of the samples.

    Attributes:
        pods: Task pods as stored, by namespace.
        asked: How often the API server asked us about those of the compute
            namespaces.
        bystanders: Other pods in compute namespaces: deployment, submitter, cleanup.
        asked_about_bystanders: How often it asked us about them.
    """

    pods: Mapping[str, Sequence[Object]]
    asked: float
    bystanders: Sequence[Object]
    asked_about_bystanders: float


class Samples:
    """The samples on one control plane, each in two namespaces of its own."""

    def __init__(self, plane: ControlPlane, version: str, injector: Injector) -> None:
        """Take a plane on which that version runs."""
        self.plane = plane
        self.version = version
        self.injector = injector
        self.samples = [sample for v, sample in CASES if v == version]

    def create(self) -> None:
        """Create all of them; KubeRay then makes their pods in its own time."""
        for sample in self.samples:
            self.plane.namespace(namespace(sample, "bare"))
            self.plane.namespace(namespace(sample, "keys"), COMPUTE)
        self.injector.register(self.plane)
        self.before = calls(self.plane)
        for sample in self.samples:
            text = manifest(self.plane.toolbox, self.version, sample)
            for side in ("bare", "keys"):
                self.plane.admin.create_all(text, namespace(sample, side))

    def record(self) -> Record:
        """Wait for every pod, provoke the other kinds of pods, and tell."""
        for sample, containers in TASK_CONTAINERS.items():
            if sample in self.samples:
                for side in ("bare", "keys"):
                    self._await(sample, side, "ray.io/node-type", len(containers))
        pods = {
            name: self._pods(name, "ray.io/node-type")
            for sample in self.samples
            for name in (namespace(sample, "bare"), namespace(sample, "keys"))
        }
        asked = calls(self.plane)
        bystanders = self._bystanders()
        return Record(
            pods=pods,
            asked=asked - self.before,
            bystanders=bystanders,
            asked_about_bystanders=calls(self.plane) - asked,
        )

    def _bystanders(self) -> Sequence[Object]:
        """Make the submitter and the cleanup appear, and return all non-tasks."""
        self._let_run(namespace("ray-job.sample", "keys"))
        redis = namespace("ray-cluster.external-redis", "keys")
        clusters = f"/apis/ray.io/v1/namespaces/{redis}/rayclusters"
        self.plane.admin.delete(f"{clusters}/raycluster-external-redis")
        cleanup = "ray.io/node-type=redis-cleanup"
        self._await("ray-job.sample", "keys", "job-name", 1)
        self._await("ray-cluster.external-redis", "keys", cleanup, 1)
        return [
            *self._pods(namespace("ray-job.sample", "keys"), "job-name"),
            *self._pods(redis, cleanup),
            *self._pods(redis, "app=redis"),
        ]

    def _let_run(self, name: str) -> None:
        """Say what a kubelet would say of pods that run."""
        for pod in self._pods(name, "ray.io/node-type"):
            ready = {"type": "Ready", "status": "True"}
            status = {"phase": "Running", "podIP": "10.1.2.3", "conditions": [ready]}
            path = f"/api/v1/namespaces/{name}/pods/{pod['metadata']['name']}/status"
            self.plane.admin.patch(path, {"status": status})

    def _await(self, sample: str, side: str, selector: str, number: int) -> None:
        name = namespace(sample, side)
        wait_for(
            f"{number} pods of {selector} in {name} (KubeRay {self.version})",
            lambda: len(self._pods(name, selector)) >= number,
            seconds=180,
        )

    def _pods(self, name: str, selector: str) -> list[Object]:
        path = f"/api/v1/namespaces/{name}/pods"
        found = self.plane.admin.get(path, labelSelector=selector)["items"]
        return sorted(found, key=_order)


def namespace(sample: str, side: str) -> str:
    """The namespace of a sample with (`keys`) or without (`bare`) us."""
    return f"{sample.replace('.', '-')}-{side}"


def _order(pod: Object) -> tuple[str, str]:
    """Head before workers, as the table lists them, and those by their index."""
    metadata = pod["metadata"]
    index = metadata["labels"].get("ray.io/worker-group-replica-index", "")
    return metadata["generateName"], index


def manifest(toolbox: Toolbox, version: str, sample: str) -> str:
    """The sample's text."""
    if sample in FLOWS:
        made, _ = on_file(FLOWS[sample])
        cluster = ray_cluster(made, "uf-ray")
        return json.dumps(with_collector(cluster) if sample == COLLECTED else cluster)
    path = toolbox.share(f"kuberay-{version}", f"config/samples/{sample}.yaml")
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def records(
    toolbox: Toolbox, injector: Injector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Record]]:
    """Each version on its own control plane, working at the same time."""
    with ExitStack() as stops:
        runs = {}
        for version in VERSIONS:
            folder = tmp_path_factory.mktemp("kuberay")
            plane = ControlPlane.start(toolbox, folder)
            stops.callback(plane.stop)
            stops.callback(KubeRay.start(plane, version).stop)
            runs[version] = Samples(plane, version, injector)
            runs[version].create()
        yield {version: run.record() for version, run in runs.items()}


@pytest.mark.parametrize(("version", "sample"), CASES)
def test_the_task_container_alone_gets_the_reference_and_first(
    records: Mapping[str, Record], version: str, sample: str
) -> None:
    """Sidecars and init containers stay without; other sources come after ours."""
    pods = records[version].pods[namespace(sample, "keys")]

    found = [containers_with_reference(pod) for pod in pods]

    assert [[name] for name in TASK_CONTAINERS[sample]] == found
    for pod, name in zip(pods, TASK_CONTAINERS[sample], strict=True):
        (task,) = (c for c in pod["spec"]["containers"] if c["name"] == name)
        assert task["envFrom"][0] == REFERENCE


@pytest.mark.parametrize(("version", "sample"), CASES)
def test_nothing_else_differs_from_the_twin(
    records: Mapping[str, Record], version: str, sample: str
) -> None:
    """Take our additions out, and what KubeRay makes without us remains."""
    pods = records[version].pods

    random = RANDOM.get(sample, ())

    bare = [comparable(p, *random) for p in pods[namespace(sample, "bare")]]
    keys = [without_ours(p) for p in pods[namespace(sample, "keys")]]

    assert bare == [comparable(p, *random) for p in keys]


@pytest.mark.parametrize(("version", "sample"), CASES)
def test_every_task_pod_bears_the_stamp(
    records: Mapping[str, Record], version: str, sample: str
) -> None:
    """Label and annotation say which container was handled."""
    pods = records[version].pods[namespace(sample, "keys")]

    stamps = [stamp(pod) for pod in pods]

    assert [[name] for name in TASK_CONTAINERS[sample]] == [
        note and note["containers"] for note in stamps
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_server_asks_once_per_task_pod(
    records: Mapping[str, Record], version: str
) -> None:
    """As many calls as task pods in compute namespaces, by its own count."""
    record = records[version]

    task_pods = sum(
        len(pods) for name, pods in record.pods.items() if name.endswith("-keys")
    )

    assert task_pods == record.asked


@pytest.mark.parametrize("version", VERSIONS)
def test_other_pods_of_a_compute_namespace_are_never_asked_about(
    records: Mapping[str, Record], version: str
) -> None:
    """A submitter, a Redis cleanup and a deployment appear without one call."""
    record = records[version]

    owners = [
        pod["metadata"]["ownerReferences"][0]["kind"] for pod in record.bystanders
    ]

    assert owners == ["Job", "Job", "ReplicaSet"]
    assert record.asked_about_bystanders == 0
    assert [stamp(pod) for pod in record.bystanders] == [None, None, None]
    assert not any(map(containers_with_reference, record.bystanders))
