"""SparkApplications through spark-operator, whose own webhook changes the same pods.

The API server asks webhook configurations by the order of their names, so both orders
are tried: a chart release may be called anything.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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
from tests.lab.operators import SparkOperator
from tests.lab.processes import wait_for
from tests.lab.spark import Spark
from tests.michelangelo.client import on_file, spark_application

RELEASES: Final = {"after": "tracking-injector", "before": "a"}
"""Release names, by the place of our configuration beside spark-operator's."""

BARE: Final = "bare"
SIDECAR: Final = "spark-application-with-sidecar"
FLOWS: Final = {"uniflow-python": "spark", "uniflow-scala": "scala"}
"""What Michelangelo's own client makes of a flow, and its mapper of that."""
EXAMPLES: Final = ("spark-pi", "spark-pi-pod-template")

_CHANGED: Final = "sparkoperator.k8s.io/mutated-by-spark-operator"
DRIVER: Final = "spark-kubernetes-driver"
CONTAINERS: Final[Mapping[str, Sequence[str]]] = {
    "uniflow-python": (DRIVER,),
    "uniflow-scala": (DRIVER,),
    "with-sidecar": (DRIVER, "log-shipper"),
    "spark-pi": (DRIVER,),
    "spark-pi-pod-template": (DRIVER,),
}
"""The containers of each application's driver, as stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What spark-operator made of the applications in one namespace.

    Attributes:
        drivers: Driver pods as stored, by application.
        asked: How often the API server asked us about them.
    """

    drivers: Mapping[str, Object]
    asked: float


@pytest.fixture(scope="module")
def records(
    toolbox: Toolbox, injector: Injector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Record]]:
    """The same applications without us, and with us in both orders."""
    with ExitStack() as stops:
        folder = tmp_path_factory.mktemp("spark-operator")
        plane = ControlPlane.start(toolbox, folder)
        stops.callback(plane.stop)
        plane.namespace(BARE)
        for place in RELEASES:
            plane.namespace(place, COMPUTE)
        operator = SparkOperator.start(plane, Spark.find(toolbox), [BARE, *RELEASES])
        stops.callback(operator.stop)
        _submit(plane, BARE)
        found = {BARE: Record(drivers=_drivers(plane, BARE), asked=0)}
        for place, release in RELEASES.items():
            injector.register(plane, release)
            before = calls(plane)
            _submit(plane, place)
            drivers = _drivers(plane, place)
            found[place] = Record(drivers=drivers, asked=calls(plane) - before)
            injector.unregister(plane)
        yield found


def _submit(plane: ControlPlane, namespace: str) -> None:
    """Create the applications; spark-operator submits them in its own time."""
    examples = [
        plane.toolbox.share("spark-operator", f"examples/{name}.yaml")
        for name in EXAMPLES
    ]
    own = Path(__file__).parent / "data" / f"{SIDECAR}.yaml"
    texts = [path.read_text("utf-8") for path in (own, *examples)]
    for name, flow in FLOWS.items():
        (job,) = on_file(flow)
        texts.append(json.dumps(spark_application(job, name)))
    for text in texts:
        plane.admin.create_all(text, namespace)


def _drivers(plane: ControlPlane, namespace: str) -> Mapping[str, Object]:
    path = f"/api/v1/namespaces/{namespace}/pods"
    wait_for(
        f"every driver in {namespace}",
        lambda: len(plane.admin.get(path)["items"]) == len(CONTAINERS),
        seconds=300,
    )
    return {
        pod["metadata"]["labels"]["sparkoperator.k8s.io/app-name"]: pod
        for pod in plane.admin.get(path)["items"]
    }


@pytest.mark.parametrize("application", CONTAINERS)
@pytest.mark.parametrize("place", RELEASES)
def test_the_driver_alone_gets_the_reference_first_and_once(
    records: Mapping[str, Record], place: str, application: str
) -> None:
    """Whatever spark-operator appends, before or after us, comes behind ours."""
    pod = records[place].drivers[application]

    names = tuple(container["name"] for container in pod["spec"]["containers"])
    (driver,) = (c for c in pod["spec"]["containers"] if c["name"] == DRIVER)

    assert CONTAINERS[application] == names
    assert containers_with_reference(pod) == [DRIVER]
    assert driver["envFrom"][0] == REFERENCE
    assert driver["envFrom"].count(REFERENCE) == 1


@pytest.mark.parametrize("application", CONTAINERS)
@pytest.mark.parametrize("place", RELEASES)
def test_nothing_else_differs_from_the_twin(
    records: Mapping[str, Record], place: str, application: str
) -> None:
    """Take our additions out, and what spark-operator makes without us remains."""
    bare = records[BARE].drivers[application]
    ours = records[place].drivers[application]

    assert comparable(bare) == comparable(without_ours(ours))


@pytest.mark.parametrize("application", CONTAINERS)
@pytest.mark.parametrize("place", RELEASES)
def test_every_driver_bears_the_stamp(
    records: Mapping[str, Record], place: str, application: str
) -> None:
    """Label and annotation say which container was handled."""
    note = stamp(records[place].drivers[application])

    assert note is not None
    assert note["containers"] == [DRIVER]


def test_the_api_server_asks_again_about_what_spark_operator_changed(
    records: Mapping[str, Record],
) -> None:
    """In front of spark-operator, each driver that it changed comes to us twice.

    It changes none that brings a pod template, and each that brings variables.
    """
    record = records["before"]

    changed = [name for name, pod in record.drivers.items() if _CHANGED in _labels(pod)]

    assert sorted(changed) == sorted({*CONTAINERS} - {"spark-pi-pod-template"})
    assert record.asked == len(record.drivers) + len(changed)


def _labels(pod: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = pod["metadata"]["labels"]
    return labels
