"""Helm, a GitOps controller and the companion never write what another one wrote.

Argo CD 3.6 synchronizes by `kubectl apply`, or by `kubectl apply --server-side
--force-conflicts` as `argocd-controller`. It finds a difference three ways from what it
last applied, or by a dry run of that same server-side apply, and Flux does the latter:
this is what `kubectl diff` does.
"""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, RELEASE, Chart, Rendered
from tests.cluster.chart.conftest import Helm
from tests.cluster.chart.product import (
    CONFIGURATION,
    companion,
    entries,
    kept,
)
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import wait_for

NAMESPACE = "chart-gitops"
CYCLES = 3
ARGO = ("--server-side", "--field-manager=argocd-controller")
WAYS = {
    "client-side": (),
    "server-side": ARGO,
    "server-side-forced": (*ARGO, "--force-conflicts"),
}


@pytest.fixture
def home(plane: ControlPlane) -> Iterator[str]:
    """An empty release namespace."""
    yield plane.namespace(NAMESPACE)
    plane.admin.delete(f"/api/v1/namespaces/{NAMESPACE}")
    wait_for(
        "the namespace's end",
        lambda: not plane.admin.exists(f"/api/v1/namespaces/{NAMESPACE}"),
    )


@pytest.fixture
def rendered(plane: ControlPlane, chart: Chart, home: str) -> Iterator[Rendered]:
    """What the controller renders; it is pruned at the end."""
    rendered = chart.render(namespace=home)
    yield rendered
    plane.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=desired(rendered))


def desired(rendered: Rendered, **changes: Any) -> str:
    """The manifests that it synchronizes: hooks have a time of their own.

    Args:
        rendered: Of the chart.
        **changes: Fields to set in every entry of the webhook configuration.
    """
    manifests = [
        one
        for one in rendered.manifests
        if "helm.sh/hook" not in one["metadata"].get("annotations", {})
    ]
    for one in manifests:
        if one["kind"] == "MutatingWebhookConfiguration":
            one["webhooks"] = [entry | changes for entry in one["webhooks"]]
    return yaml.safe_dump_all(manifests)


def differences(plane: ControlPlane, manifests: str, way: tuple[str, ...]) -> str:
    """What the controller finds out of sync, as a diff."""
    done = subprocess.run(
        [plane.toolbox.program("kubectl"), "diff", *way, "-f", "-"],
        env=plane.environ(),
        input=manifests,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


def generations(plane: ControlPlane, manifests: str) -> list[Any]:
    """How often somebody changed what each object asks for."""
    text = plane.kubectl("get", "-o", "yaml", "-f", "-", stdin=manifests)
    return [
        (one["kind"], one["metadata"]["name"], one["metadata"].get("generation"))
        for one in yaml.safe_load(text)["items"]
    ]


@pytest.mark.parametrize("way", WAYS)
def test_self_healing_and_the_companion_leave_each_other_alone(
    plane: ControlPlane, rendered: Rendered, way: str
) -> None:
    """Round after round nothing is out of sync, and nothing is written."""
    flags, manifests = WAYS[way], desired(rendered)
    plane.kubectl("apply", *flags, "-f", "-", stdin=manifests)
    with companion(plane, rendered, NAMESPACE):
        before = kept(plane.admin, NAMESPACE), generations(plane, manifests)
        found = []
        for _ in range(CYCLES):
            found.append(differences(plane, manifests, flags))
            plane.kubectl("apply", *flags, "-f", "-", stdin=manifests)
        after = kept(plane.admin, NAMESPACE), generations(plane, manifests)

    assert [""] * CYCLES == found
    assert before == after


@pytest.mark.parametrize("way", WAYS)
def test_what_somebody_else_changed_is_healed_and_nothing_besides(
    plane: ControlPlane, rendered: Rendered, way: str
) -> None:
    """The difference is found, the field is put back, the bundle stays."""
    flags, manifests = WAYS[way], desired(rendered)
    plane.kubectl("apply", *flags, "-f", "-", stdin=manifests)
    with companion(plane, rendered, NAMESPACE):
        before = kept(plane.admin, NAMESPACE)
        changed = plane.admin.get(CONFIGURATION)
        for entry in changed["webhooks"]:
            entry["timeoutSeconds"] = 30
        plane.admin.replace(CONFIGURATION, changed)
        found = differences(plane, manifests, (*flags, *forced(flags)))
        plane.kubectl("apply", *flags, *forced(flags), "-f", "-", stdin=manifests)
        healed = {one["timeoutSeconds"] for one in entries(plane.admin)}

        assert "timeoutSeconds: 30" in found
        assert {3} == healed
        assert before == kept(plane.admin, NAMESPACE)


def forced(flags: tuple[str, ...]) -> tuple[str, ...]:
    """The field is somebody else's now, so a server-side apply has to insist."""
    return ("--force-conflicts",) if "--server-side" in flags else ()


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
