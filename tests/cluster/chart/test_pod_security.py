"""A namespace that enforces the Pod Security Standard *restricted* takes our pods."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.rendering import CI_VALUES, PRESETS, Chart, Manifest, Rendered
from tests.cluster.chart.conftest import put_away
from tests.lab.api import ApiError
from tests.lab.control_plane import ControlPlane

NAMESPACE = "chart-restricted"
EVERY = [None, *CI_VALUES, *PRESETS]


@pytest.fixture(scope="module")
def restricted(plane: ControlPlane) -> Iterator[ControlPlane]:
    """A plane with such a namespace."""
    plane.namespace(NAMESPACE, {"pod-security.kubernetes.io/enforce": "restricted"})
    yield plane
    put_away(plane, NAMESPACE)


def refusals(plane: ControlPlane, rendered: Rendered) -> list[str]:
    """What the API server says against pods, of Deployments, hooks and tests."""
    core = f"/api/v1/namespaces/{NAMESPACE}"
    accounts = rendered.names("ServiceAccount")
    for name in accounts:
        body: Manifest = {"metadata": {"name": name}}
        plane.admin.create(f"{core}/serviceaccounts", body)
    said = []
    for pod in rendered.pods():
        body = {"metadata": {"generateName": "any-"}, "spec": pod["spec"]}
        body["spec"].setdefault("restartPolicy", "Always")
        try:
            plane.admin.create(f"{core}/pods", body, dryRun="All")
        except ApiError as error:
            said.append(error.message)
    for name in accounts:
        plane.admin.delete(f"{core}/serviceaccounts/{name}")
    return said


@pytest.mark.parametrize(
    "values", EVERY, ids=lambda path: path.stem if path else "default"
)
def test_every_pod_is_admitted(
    restricted: ControlPlane, chart: Chart, values: Path | None
) -> None:
    """All but those that enter the node's network, which the standard forbids."""
    rendered = chart.render(files=[values] if values else [], namespace=NAMESPACE)
    entering = [pod for pod in rendered.pods() if pod["spec"].get("hostNetwork")]

    said = refusals(restricted, rendered)

    assert len(entering) == len(said)
    assert all("hostNetwork=true" in one for one in said)
