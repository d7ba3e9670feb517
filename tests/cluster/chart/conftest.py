"""Fixtures: the chart on each release of Kubernetes, installed by both Helms."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.chart.rendering import Chart
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options
from tests.lab.processes import wait_for

Helm = Callable[..., str]
"""Runs a helm as admin and returns what it prints."""

_FOREIGN: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "prometheus-operator": (
        "example/prometheus-operator-crd",
        [
            ("monitoring.coreos.com", "servicemonitors"),
            ("monitoring.coreos.com", "prometheusrules"),
        ],
    ),
    "cert-manager": ("deploy/crds", [("cert-manager.io", "certificates")]),
}
"""Other operators, with the folder of their CRDs, and the kinds that the chart uses."""


@pytest.fixture(
    scope="package", params=["", "-1.33"], ids=["kubernetes-1.36", "kubernetes-1.33"]
)
def plane(
    request: pytest.FixtureRequest,
    toolbox: Toolbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ControlPlane]:
    """A control plane of one release, which knows the other operators' kinds."""
    options = Options(release=request.param)
    plane = ControlPlane.start(toolbox, tmp_path_factory.mktemp("plane"), options)
    try:
        for tool, (folder, kinds) in _FOREIGN.items():
            for group, plural in kinds:
                crd = toolbox.share(tool, f"{folder}/{group}_{plural}.yaml")
                plane.kubectl("create", "-f", crd)
                served = f"/apis/{group}/v1/{plural}"
                wait_for(served, partial(plane.admin.answers, served))
        yield plane
    finally:
        plane.stop()


@pytest.fixture(params=["helm", "helm-4"], ids=["helm-3", "helm-4"])
def helm(request: pytest.FixtureRequest, plane: ControlPlane) -> Helm:
    """Each Helm in turn, as admin."""
    return partial(plane.helm, program=request.param)


@pytest.fixture(scope="package")
def chart(toolbox: Toolbox) -> Chart:
    """The chart, rendered without a cluster."""
    return Chart(toolbox.program("helm"))
