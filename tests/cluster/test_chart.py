"""An unmodified API server accepts what the chart renders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CI_VALUES, PRESETS, Chart, Rendered
from tests.lab.control_plane import ControlPlane

NAMESPACE = "chart-dry-run"

_FOREIGN = {"Certificate", "ServiceMonitor", "PrometheusRule"}
"""Kinds of operators that the lab does not run."""


@pytest.fixture(scope="module")
def chart(plane: ControlPlane) -> Chart:
    """The chart, rendered by the lab's helm."""
    return Chart(plane.toolbox.program("helm"))


@pytest.fixture(scope="module")
def prepared(plane: ControlPlane) -> Iterator[ControlPlane]:
    """A plane with the namespaces that the values files name."""
    for name in (NAMESPACE, "ray-jobs", "team-a", "team-b"):
        plane.namespace(name)
    yield plane
    for name in (NAMESPACE, "ray-jobs", "team-a", "team-b"):
        plane.admin.delete(f"/api/v1/namespaces/{name}")


@pytest.mark.parametrize(
    "values",
    [None, *CI_VALUES, *PRESETS],
    ids=lambda path: path.stem if path else "default",
)
def test_the_api_server_accepts_every_object(
    prepared: ControlPlane, chart: Chart, values: Path | None
) -> None:
    """A strict server-side dry run takes every object of every values file."""
    rendered = chart.render(files=[values] if values else [], namespace=NAMESPACE)

    answer = dry_run(prepared, rendered)

    assert len(answer.splitlines()) == len(known(rendered))


def known(rendered: Rendered) -> list[dict[str, object]]:
    """The objects whose kinds the API server serves by itself."""
    return [one for one in rendered.manifests if one["kind"] not in _FOREIGN]


def dry_run(plane: ControlPlane, rendered: Rendered) -> str:
    """Apply on the server without keeping anything; unknown fields are errors.

    Accounts come first and stay: a pod is only admitted where its account exists.
    """
    accounts = rendered.all("ServiceAccount")
    plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(accounts))
    return plane.kubectl(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict"),
        *("-f", "-"),
        stdin=yaml.safe_dump_all(known(rendered)),
    )
