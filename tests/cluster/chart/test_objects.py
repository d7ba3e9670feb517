"""An unmodified API server accepts what the chart renders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import (
    CHART,
    CI_VALUES,
    PRESETS,
    RELEASE,
    WITHOUT_WEBHOOK,
)
from tests.cluster.chart.conftest import Helm, put_away
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.tools import LabError

NAMESPACE = "chart-dry-run"
POLICIES = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
"""Served from Kubernetes 1.36 on."""


@pytest.fixture(scope="module")
def prepared(plane: ControlPlane) -> Iterator[ControlPlane]:
    """A plane with the namespaces that the values files name."""
    for name in (NAMESPACE, "ray-jobs", "team-a", "team-b"):
        plane.namespace(name)
    yield plane
    put_away(plane, NAMESPACE, "ray-jobs", "team-a", "team-b")


@pytest.mark.parametrize(
    "values",
    [None, *CI_VALUES, *PRESETS],
    ids=lambda path: path.stem if path else "default",
)
def test_the_api_server_accepts_every_object(
    prepared: ControlPlane, helm: Helm, values: Path | None
) -> None:
    """What helm renders for this cluster passes a strict server-side dry run."""
    files = ("--values", values) if values else ()
    install = ("install", RELEASE, CHART, "--namespace", NAMESPACE, *files)
    if values == WITHOUT_WEBHOOK and not prepared.admin.exists(POLICIES):
        with pytest.raises(LabError, match="MutatingAdmissionPolicy"):
            helm(*install, "--dry-run=server")
        return
    said = helm(*install, "--dry-run=server", "--output", "yaml")
    release = yaml.safe_load(said)
    hooks = [hook["manifest"] for hook in release.get("hooks", ())]
    documents = yaml.safe_load_all("\n---\n".join([release["manifest"], *hooks]))
    objects = [one for one in documents if one]

    assert len(dry_run(prepared, objects).splitlines()) == len(objects) > 20


def dry_run(plane: ControlPlane, objects: list[Object]) -> str:
    """Apply on the server without keeping anything; unknown fields are errors.

    Accounts are there meanwhile: a pod is only admitted where its account exists.
    """
    kinds = [one for one in objects if one["kind"] == "ServiceAccount"]
    accounts = yaml.safe_dump_all(kinds)
    plane.kubectl("apply", "-f", "-", stdin=accounts)
    try:
        return plane.kubectl(
            *("apply", "--server-side", "--dry-run=server", "--validate=strict"),
            *("--force-conflicts", "-f", "-"),
            stdin=yaml.safe_dump_all(objects),
        )
    finally:
        plane.kubectl("delete", "-f", "-", stdin=accounts)
