"""Fixtures: the chart on each release of Kubernetes, installed by both Helms."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import FOREIGN, Chart
from tests.lab.api import Object
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options
from tests.lab.processes import wait_for
from tests.lab.tools import NEWEST, OLDEST, kubernetes

Helm = Callable[..., str]
"""Runs a helm as admin and returns what it prints."""


@pytest.fixture(scope="package", params=[NEWEST, OLDEST], ids=kubernetes)
def plane(
    request: pytest.FixtureRequest,
    toolbox: Toolbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ControlPlane]:
    """A control plane of one release, which knows the other operators' kinds."""
    folder = tmp_path_factory.mktemp("plane")
    flags = _audit_flags(tmp_path_factory.mktemp("audit"))
    options = Options(release=request.param, api_server_flags=flags)
    plane = ControlPlane.start(toolbox, folder, options)
    try:
        for tool, path in FOREIGN:
            _teach(plane, toolbox.share(tool, path))
        yield plane
    finally:
        plane.stop()


def _audit_flags(folder: Path) -> tuple[str, ...]:
    """Have the API server write down who makes pods, and what policies say of them."""
    pods = {"level": "Metadata", "resources": [{"group": "", "resources": ["pods"]}]}
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [pods, {"level": "None"}],
    }
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(policy), "utf-8")
    return f"--audit-policy-file={path}", f"--audit-log-path={folder / 'audit.log'}"


def put_away(plane: ControlPlane, *namespaces: str) -> None:
    """Delete namespaces and return when they are gone, as others look at what is."""
    paths = [f"/api/v1/namespaces/{name}" for name in namespaces]
    for path in paths:
        plane.admin.delete(path)
    wait_for(
        f"the end of {', '.join(namespaces)}",
        lambda: not any(plane.admin.exists(path) for path in paths),
    )


def audit_events(plane: ControlPlane) -> list[Object]:
    """What the API server has written down so far."""
    (flag,) = [one for one in plane.options.api_server_flags if "log-path" in one]
    lines = Path(flag.partition("=")[2]).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _teach(plane: ControlPlane, crd: Path) -> None:
    plane.kubectl("create", "-f", crd)
    group, _, plural = crd.stem.partition("_")
    served = f"/apis/{group}/v1/{plural}"
    wait_for(served, partial(plane.admin.answers, served))


@pytest.fixture(params=["helm", "helm-4"], ids=["helm-3", "helm-4"])
def helm(request: pytest.FixtureRequest, plane: ControlPlane) -> Helm:
    """Each Helm in turn, as admin."""
    return partial(plane.helm, program=request.param)


@pytest.fixture(scope="package")
def chart(toolbox: Toolbox) -> Chart:
    """The chart, rendered without a cluster."""
    return Chart(toolbox.program("helm"))
