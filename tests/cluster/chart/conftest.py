"""Fixtures: the chart on each release of Kubernetes, installed by both Helms."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.chart.rendering import Chart
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options

Helm = Callable[..., str]
"""Runs a helm as admin and returns what it prints."""

_CRDS = (
    ("prometheus-operator", "monitoring.coreos.com_servicemonitors.yaml"),
    ("prometheus-operator", "monitoring.coreos.com_prometheusrules.yaml"),
    ("cert-manager", "cert-manager.io_certificates.yaml"),
)
"""The kinds of other operators that the chart makes objects of."""


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
        for tool, name in _CRDS:
            plane.kubectl("create", "-f", _crd(toolbox, tool, name))
        plane.kubectl("wait", "crd", "--all", "--for=condition=Established")
        yield plane
    finally:
        plane.stop()


def _crd(toolbox: Toolbox, tool: str, name: str) -> Path:
    folder = {
        "prometheus-operator": "example/prometheus-operator-crd",
        "cert-manager": "deploy/crds",
    }[tool]
    return toolbox.share(tool, f"{folder}/{name}")


@pytest.fixture(params=["helm", "helm-4"], ids=["helm-3", "helm-4"])
def helm(request: pytest.FixtureRequest, plane: ControlPlane) -> Helm:
    """Each Helm in turn, as admin."""
    return partial(plane.helm, program=request.param)


@pytest.fixture(scope="package")
def chart(toolbox: Toolbox) -> Chart:
    """The chart, rendered without a cluster."""
    return Chart(toolbox.program("helm"))
