"""`spark-submit` itself, in cluster and client mode, plain and with pod templates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
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
from tests.lab.processes import wait_for
from tests.lab.spark import Spark

_DATA: Final = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to submit.

    Attributes:
        mode: `cluster`, where the pod is the driver; `client`, where it is an
            executor.
        containers: The pod's containers as stored.
        task: The one that runs user code.
        conf: Spark settings.
    """

    mode: str
    containers: tuple[str, ...]
    task: str
    conf: Mapping[str, str] = field(default_factory=dict)


def _template(role: str) -> Mapping[str, str]:
    return {
        f"spark.kubernetes.{role}.podTemplateFile": str(
            _DATA / f"spark-{role}-template.yaml"
        ),
        f"spark.kubernetes.{role}.podTemplateContainerName": "main",
    }


CASES: Final = {
    "cluster-plain": Case(
        mode="cluster",
        containers=("spark-kubernetes-driver",),
        task="spark-kubernetes-driver",
    ),
    "cluster-renamed": Case(
        mode="cluster",
        containers=("proxy", "main"),
        task="main",
        # The same key twice in one `env`: the template's and this one.
        conf={
            **_template("driver"),
            "spark.kubernetes.driverEnv.TRACKING_URI": "http://set-by-the-user:5000",
        },
    ),
    "client-plain": Case(
        mode="client",
        containers=("spark-kubernetes-executor",),
        task="spark-kubernetes-executor",
    ),
    "client-renamed": Case(
        mode="client",
        containers=("proxy", "main"),
        task="main",
        conf={
            **_template("executor"),
            "spark.executorEnv.TRACKING_URI": "http://set-by-the-user:5000",
        },
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What `spark-submit` made of one case.

    Attributes:
        bare: The pod without us.
        ours: The pod with us.
        asked: How often the API server asked us.
    """

    bare: Object
    ours: Object
    asked: float


@pytest.fixture(scope="module")
def records(
    toolbox: Toolbox, own_plane: ControlPlane, injector: Injector
) -> Mapping[str, Record]:
    """Each case with and without us, the two at the same time."""
    injector.register(own_plane)
    spark = Spark.find(toolbox)
    return {name: _submit(own_plane, spark, name) for name in CASES}


def _submit(plane: ControlPlane, spark: Spark, name: str) -> Record:
    case, before = CASES[name], calls(plane)
    twins = {
        "bare": plane.namespace(f"{name}-bare"),
        "ours": plane.namespace(f"{name}-ours", COMPUTE),
    }
    running = [
        spark.submit(
            plane, namespace, namespace=namespace, mode=case.mode, conf=case.conf
        )
        for namespace in twins.values()
    ]
    try:
        pods = {side: _pod(plane, namespace) for side, namespace in twins.items()}
    finally:
        for process in running:
            process.stop()
    return Record(**pods, asked=calls(plane) - before)


def _pod(plane: ControlPlane, namespace: str) -> Object:
    path = f"/api/v1/namespaces/{namespace}/pods"
    wait_for(
        f"Spark's pod in {namespace}",
        lambda: bool(plane.admin.get(path)["items"]),
        seconds=300,
    )
    pod: Object = plane.admin.get(path)["items"][0]
    return pod


@pytest.mark.parametrize("name", CASES)
def test_spark_s_container_alone_gets_the_reference_and_first(
    records: Mapping[str, Record], name: str
) -> None:
    """By its environment, whatever it is called and wherever it stands."""
    case, pod = CASES[name], records[name].ours

    containers = {c["name"]: c for c in pod["spec"]["containers"]}

    assert case.containers == tuple(containers)
    assert containers_with_reference(pod) == [case.task]
    assert containers[case.task]["envFrom"] == [REFERENCE]


@pytest.mark.parametrize("name", CASES)
def test_nothing_else_differs_from_the_twin(
    records: Mapping[str, Record], name: str
) -> None:
    """Take our additions out, and what Spark makes without us remains."""
    record = records[name]

    assert comparable(record.bare) == comparable(without_ours(record.ours))


@pytest.mark.parametrize("name", CASES)
def test_every_task_pod_bears_the_stamp(
    records: Mapping[str, Record], name: str
) -> None:
    """Label and annotation say which container was handled."""
    note = stamp(records[name].ours)

    assert note is not None
    assert note["containers"] == [CASES[name].task]


@pytest.mark.parametrize("name", CASES)
def test_the_api_server_asks_once(records: Mapping[str, Record], name: str) -> None:
    """Nothing else about a submission concerns us: services, config maps, secrets."""
    assert records[name].asked == 1
