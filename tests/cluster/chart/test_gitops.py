"""A GitOps controller and the companion never write what the other one wrote.

Argo CD 3.6 synchronizes by `kubectl apply`, or by `kubectl apply --server-side
--force-conflicts` as `argocd-controller`. It finds a difference three ways from what it
last applied, or by a dry run of that same server-side apply, and Flux does the latter:
this is what `kubectl diff` does.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.chart.rendering import Chart
from tests.cluster.chart.conftest import put_away
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a GitOps controller keeps in sync, in one of its ways.

    Attributes:
        plane: Where.
        flags: Of `kubectl apply` and `kubectl diff`.
        manifests: What it renders.
    """

    plane: ControlPlane
    flags: tuple[str, ...]
    manifests: str

    def apply(self, *flags: str) -> None:
        """Synchronize."""
        command = ("apply", *self.flags, *flags, "-f", "-")
        self.plane.kubectl(*command, stdin=self.manifests)

    def differences(self, *flags: str) -> str:
        """What is out of sync, as a diff."""
        kubectl = self.plane.toolbox.program("kubectl")
        done = subprocess.run(
            [kubectl, "diff", *self.flags, *flags, "-f", "-"],
            env=self.plane.environ(),
            input=self.manifests,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout

    def generations(self) -> list[Any]:
        """How often somebody changed what each object asks for."""
        text = self.plane.kubectl("get", "-o", "yaml", "-f", "-", stdin=self.manifests)
        return [
            (one["kind"], one["metadata"]["name"], one["metadata"].get("generation"))
            for one in yaml.safe_load(text)["items"]
        ]


@pytest.fixture(scope="module")
def home(plane: ControlPlane) -> Iterator[str]:
    """A release namespace."""
    yield plane.namespace(NAMESPACE)
    put_away(plane, NAMESPACE)


@pytest.fixture(scope="module", params=WAYS)
def synced(
    request: pytest.FixtureRequest, plane: ControlPlane, chart: Chart, home: str
) -> Iterator[Synced]:
    """The chart synchronized, beside a companion that runs; pruned at the end."""
    rendered = chart.render(namespace=home)
    manifests = yaml.safe_dump_all(
        one  # hooks have a time of their own
        for one in rendered.manifests
        if "helm.sh/hook" not in one["metadata"].get("annotations", {})
    )
    synced = Synced(plane=plane, flags=WAYS[request.param], manifests=manifests)
    synced.apply()
    with companion(plane, rendered, NAMESPACE):
        yield synced
    plane.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifests)


def test_self_healing_and_the_companion_leave_each_other_alone(synced: Synced) -> None:
    """Round after round nothing is out of sync, and nothing is written."""
    admin = synced.plane.admin
    before = kept(admin, NAMESPACE), synced.generations()
    found = []
    for _ in range(CYCLES):
        found.append(synced.differences())
        synced.apply()

    assert [""] * CYCLES == found
    assert before == (kept(admin, NAMESPACE), synced.generations())


def test_what_somebody_else_changed_is_healed_and_nothing_besides(
    synced: Synced,
) -> None:
    """The difference is found, the field is put back, the bundle stays."""
    admin = synced.plane.admin
    # The field is somebody else's then, so a server-side apply has to insist.
    force = ("--force-conflicts",) if synced.flags else ()
    before = kept(admin, NAMESPACE)
    changed = admin.get(CONFIGURATION)
    for entry in changed["webhooks"]:
        entry["timeoutSeconds"] = 30
    admin.replace(CONFIGURATION, changed)

    found = synced.differences(*force)
    synced.apply(*force)

    assert "timeoutSeconds: 30" in found
    assert {3} == {one["timeoutSeconds"] for one in entries(admin)}
    assert before == kept(admin, NAMESPACE)


def test_a_bundle_that_somebody_dropped_comes_back(synced: Synced) -> None:
    """As a replacement by the bare manifest drops it."""
    admin = synced.plane.admin
    before = kept(admin, NAMESPACE)
    replaced = admin.get(CONFIGURATION)
    for entry in replaced["webhooks"]:
        del entry["clientConfig"]["caBundle"]
    admin.replace(CONFIGURATION, replaced)

    wait_for("the bundle", lambda: before == kept(admin, NAMESPACE), seconds=30)

    # The report of it may be written between kubectl's two reads.
    wait_for("no difference", lambda: "" == synced.differences(), seconds=30)
