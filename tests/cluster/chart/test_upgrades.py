"""Helm and the companion never write what the other one wrote."""

from collections.abc import Iterator

import pytest

from tests.chart.rendering import CHART, RELEASE, Chart
from tests.cluster.chart.conftest import Helm, put_away
from tests.cluster.chart.product import (
    CONFIGURATION,
    companion,
    entries,
    kept,
)
from tests.lab.control_plane import ControlPlane

NAMESPACE = "chart-upgrades"


@pytest.fixture(scope="module")
def home(plane: ControlPlane) -> Iterator[str]:
    """A release namespace."""
    yield plane.namespace(NAMESPACE)
    put_away(plane, NAMESPACE)


def test_an_upgrade_beside_a_running_companion_empties_nothing(
    plane: ControlPlane, helm: Helm, chart: Chart, home: str
) -> None:
    """By Helm 3's three-way merge and Helm 4's server-side apply; and a rollback."""
    upgrade = ("upgrade", "--install", RELEASE, CHART, "--namespace", home)
    helm(*upgrade)
    with companion(plane, chart.render(namespace=home), home):
        before = kept(plane.admin, home)
        version = plane.admin.get(CONFIGURATION)["metadata"]["resourceVersion"]
        helm(*upgrade)
        unchanged = plane.admin.get(CONFIGURATION)["metadata"]["resourceVersion"]
        helm(*upgrade, "--set", "webhook.timeoutSeconds=5")
        upgraded = kept(plane.admin, home), entries(plane.admin)[0]["timeoutSeconds"]
        helm("rollback", RELEASE, "1", "--namespace", home)
        back = kept(plane.admin, home), entries(plane.admin)[0]["timeoutSeconds"]
    helm("uninstall", RELEASE, "--namespace", home, "--no-hooks", "--wait")

    assert version == unchanged
    assert (before, 5) == upgraded
    assert (before, 3) == back


def test_a_release_of_helm_3_goes_on_with_helm_4(
    plane: ControlPlane, chart: Chart, home: str
) -> None:
    """Also where the operator asks it for server-side apply from then on."""
    upgrade = ("upgrade", "--install", RELEASE, CHART, "--namespace", home)
    plane.helm(*upgrade)
    with companion(plane, chart.render(namespace=home), home):
        before = kept(plane.admin, home)
        for flags in ((), ("--server-side=true", "--force-conflicts")):
            plane.helm(
                *(
                    *upgrade,
                    *flags,
                    "--set",
                    f"webhook.timeoutSeconds={4 + len(flags)}",
                ),
                program="helm-4",
            )

            assert before == kept(plane.admin, home)
            assert 4 + len(flags) == entries(plane.admin)[0]["timeoutSeconds"]
    plane.helm(
        *("uninstall", RELEASE, "--namespace", home, "--no-hooks", "--wait"),
        program="helm-4",
    )
