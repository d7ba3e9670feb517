"""Whoever applies the chart, and however often, removes nothing and fights nobody.

By every way, beside a companion that runs and with every hook that the way runs. What
the way takes away, and one line of the how-to, leave the cluster as it was.

`--settle` says how long nothing may change; `--every-preset` tries each preset by each
way. `.ci/run ways` does both.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import PRESETS, RELEASE, WITHOUT_WEBHOOK, Chart
from tests.cluster.chart.conftest import put_away
from tests.cluster.chart.product import COMPANION, CONFIGURATION, companion
from tests.cluster.chart.ways import WAYS, Chosen, Flux, Plain
from tests.documentation import lines
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.listing import settled, versions
from tests.lab.one_off import OneOffPods
from tests.lab.processes import wait_for
from webhook.injection.names import (
    INJECT_ENABLED,
    INJECT_LABEL,
    INJECTED_LABEL,
    INJECTED_TRUE,
    MIRROR_SECRET,
)

HOME = "chart-ways"
COMPUTE = "chart-ways-compute"
MIRROR = f"/api/v1/namespaces/{COMPUTE}/secrets/{MIRROR_SECRET}"
POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{COMPUTE}/networkpolicies"
UNINSTALL = Path(__file__).parents[3] / "docs" / "how-to" / "uninstall.md"
VALUES = {"tracking": {"uri": "http://203.0.113.10:5000"}}
CLOSED: Object = {
    "metadata": {"name": "closed"},
    "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
}
AT_ONCE = ("plain", "kustomize-with-hooks")
"""Ways that apply the clean-up as an object like any, so that it runs at once."""
NOTHING_REMOVED = {"plain": 1, "kustomize-with-hooks": 1, "argo-cd": 1}
"""How often the clean-up runs although Helm did not install, and says what it did."""
IN_TREE = f"/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/{RELEASE}"
SECRETS = f"/api/v1/namespaces/{HOME}/secrets"
CERTIFICATE: Object = {
    "metadata": {"name": f"{RELEASE}-cert-manager-tls"},
    "type": "kubernetes.io/tls",
    "data": {"tls.crt": "", "tls.key": ""},
}
PAIRS = [f"{SECRETS}/{RELEASE}-tls", f"{SECRETS}/{RELEASE}-cert-manager-tls"]
"""The companion's and cert-manager's."""


@pytest.fixture(scope="module")
def namespaces(plane: ControlPlane) -> Iterator[ControlPlane]:
    """A home, and a labeled namespace that a policy closes, with a task in it."""
    plane.namespace(HOME)
    plane.namespace(COMPUTE, {INJECT_LABEL: INJECT_ENABLED})
    plane.admin.create(POLICIES, CLOSED)
    labels = {INJECTED_LABEL: INJECTED_TRUE, "spark-role": "driver"}
    task: Object = {
        "metadata": {"name": "task", "labels": labels},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "spark"}]},
    }
    plane.admin.create(f"/api/v1/namespaces/{COMPUTE}/pods", task)
    yield plane
    put_away(plane, HOME, COMPUTE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try each way with the chart as it comes; each preset one way, or every way."""
    if "name" not in metafunc.fixturenames:
        return
    every = metafunc.config.getoption("every_preset")
    cases = [
        pytest.param(preset, name, id=f"{preset.stem if preset else 'default'}-{name}")
        for preset in (None, *PRESETS)
        for name in WAYS
        if preset is None or every or name == "argo-cd"
    ]
    metafunc.parametrize(("preset", "name"), cases)


@pytest.fixture
def chosen(preset: Path | None, namespaces: ControlPlane, tmp_path: Path) -> Chosen:
    """The chart with a preset, or as it comes."""
    served = namespaces.admin.answers(IN_TREE.rpartition("/")[0])
    if preset == WITHOUT_WEBHOOK and not served:
        pytest.skip("the preset asks for Kubernetes 1.36, which serves such a policy")
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(VALUES), "utf-8")
    files = (values, preset) if preset else (values,)
    return Chosen(plane=namespaces, namespace=HOME, files=files)


@pytest.fixture(autouse=True)
def _nothing_stays(chosen: Chosen) -> Iterator[None]:
    """A test that fails leaves nothing to the next one."""
    yield
    plane = chosen.plane
    if is_applied(plane):
        where = ("--namespace", HOME, "--ignore-not-found", "--no-hooks", "--wait")
        plane.helm("uninstall", RELEASE, *where)
        Plain().remove(chosen)
    for path in [*PAIRS, *made(plane)]:
        plane.admin.delete(path)


def is_applied(plane: ControlPlane) -> bool:
    """Whether there is anything by which pods get their keys."""
    return any(map(plane.admin.exists, (CONFIGURATION, IN_TREE)))


def made(plane: ControlPlane) -> list[str]:
    """What the companion made outside of its own namespace."""
    policies = plane.admin.get(POLICIES)["items"]
    own = [one["metadata"]["name"] for one in policies]
    names = [f"{POLICIES}/{name}" for name in own if name.startswith("mti-egress")]
    return [*([MIRROR] if plane.admin.exists(MIRROR) else []), *names]


def test_a_way_fights_nobody_and_leaves_what_one_line_takes_away(
    chosen: Chosen, chart: Chart, pytestconfig: pytest.Config, name: str
) -> None:
    """Applied twice, watched, applied again and removed, beside a companion."""
    way, plane = WAYS[name], chosen.plane
    before = versions(plane.admin)
    if "cert-manager" in chosen.files[-1].stem:  # nobody plays cert-manager here
        plane.admin.create(SECRETS, CERTIFICATE)
    way.apply(chosen)
    rendered = chart.render(files=chosen.files, namespace=HOME)
    running = companion(
        plane,
        rendered,
        HOME,
        begun=lambda: len(made(plane)) == 2,
        settings={"MTI_WATCH_SECONDS": "1"},  # so that it looks often
    )
    with OneOffPods(plane, HOME) as hooks, running:
        way.apply(chosen)
        if name in AT_ONCE:
            wait_for("the clean-up", lambda: has_ended(plane), seconds=120)
        there = quiet(plane)
        time.sleep(pytestconfig.getoption("settle"))
        watched = versions(plane.admin)
        way.apply(chosen)
        again = quiet(plane)
        kept = is_applied(plane), made(plane)
        way.remove(chosen)
    for path in PAIRS:
        plane.admin.delete(path)
    left = made(plane)
    run_the_line(plane)

    assert [{}, {}] == [differences(there, watched), differences(watched, again)]
    assert (True, 2) == (kept[0], len(kept[1]))
    assert left == ([] if isinstance(way, Flux) else kept[1])
    assert before == settled(plane.admin, before)
    said = [one.said for one in hooks.ended if one.account == COMPANION]
    assert NOTHING_REMOVED.get(name, 0) == sum("nothing is removed" in s for s in said)


def has_ended(plane: ControlPlane) -> bool:
    """Whether hooks and tests have, and the Job controller has written all of it."""
    pods = plane.admin.get(f"/api/v1/namespaces/{HOME}/pods")["items"]
    once = [one for one in pods if one["spec"]["restartPolicy"] == "Never"]
    jobs = plane.admin.get(f"/apis/batch/v1/namespaces/{HOME}/jobs")["items"]
    phases = {one["status"]["phase"] for one in once}
    return (
        bool(once and jobs)
        and phases <= {"Succeeded", "Failed"}
        and all(any(map(is_end, one["status"].get("conditions", ()))) for one in jobs)
    )


def is_end(condition: Object) -> bool:
    """Whether a Job's condition is the last that its controller writes."""
    return condition["type"] in ("Complete", "Failed")


def quiet(plane: ControlPlane) -> dict[str, str]:
    """What there is, once nothing has changed for half a second."""
    seen: list[dict[str, str]] = []

    def still() -> bool:
        seen.append(versions(plane.admin))
        time.sleep(0.5)
        return len(seen) > 1 and seen[-1] == seen[-2]

    wait_for("an end of changes", still, seconds=60)
    return seen[-1]


def differences(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """What is in one of two moments alone, or was written in between.

    Helm's records do not count, as it keeps one of each upgrade; nor do new versions of
    Deployments, whose status says after ten minutes that nothing runs pods here.
    """
    found = {}
    for name in one.keys() | other.keys():
        before, after = one.get(name, "absent"), other.get(name, "absent")
        if "/deployments " in name:
            before, after = before.split()[0], after.split()[0]
        if before != after and "sh.helm.release" not in name:
            found[name] = f"{before} -> {after}"
    return found


def run_the_line(plane: ControlPlane) -> None:
    """The line of the how-to for what no render takes away."""
    text = UNINSTALL.read_text("utf-8").split("## Without Helm")[1]
    line = next(one for one in lines(text) if "kubectl delete secrets" in one)
    plane.kubectl(*line.replace("ml-tracking", HOME).split()[1:])
