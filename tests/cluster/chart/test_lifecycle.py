"""Install, upgrade, roll back, test and uninstall, with every hook run.

Nothing runs pods here, so the hooks' and tests' command lines run as processes, with
their own accounts' rights. The test of the handshake needs the cluster's DNS and runs
on a real node only.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, RELEASE, Chart
from tests.cluster.chart.conftest import Helm, put_away
from tests.cluster.chart.product import (
    COMPANION,
    CONFIGURATION,
    companion,
)
from tests.cluster.injector import PROBED, Injector
from tests.documentation import lines
from tests.lab.api import ApiError, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.listing import settled, versions
from tests.lab.one_off import Ended, OneOffPods
from tests.lab.processes import wait_for
from tests.lab.tools import LabError
from webhook.injection.names import (
    INJECT_ENABLED,
    INJECT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    MIRROR_SECRET,
    RELEASE_LABEL,
)

HOME = "chart-lifecycle"
COMPUTE = "chart-lifecycle-compute"
DOCS = Path(__file__).parents[3] / "docs" / "how-to"
POLICY = f"/apis/networking.k8s.io/v1/namespaces/{COMPUTE}/networkpolicies"
MIRROR = f"/api/v1/namespaces/{COMPUTE}/secrets/{MIRROR_SECRET}"
PODS = f"/api/v1/namespaces/{COMPUTE}/pods"
OURS = {MANAGED_BY_LABEL: MANAGED_BY, RELEASE_LABEL: f"{HOME}.{RELEASE}"}
"""The labels of what the companion makes."""
VALUES = ("--set", "tracking.existingSecret=credentials")
TASK: Object = {
    "metadata": {"name": "running-task", "labels": {"spark-role": "driver"}},
    "spec": {
        "containers": [
            {
                "name": "spark-kubernetes-driver",
                "image": "spark",
                "envFrom": [{"secretRef": {"name": MIRROR_SECRET}}],
            }
        ]
    },
}


@pytest.fixture(scope="module")
def namespaces(plane: ControlPlane) -> Iterator[ControlPlane]:
    """A home with its source, and a labeled namespace in which a task runs."""
    plane.namespace(HOME)
    body: Object = {"metadata": {"name": "credentials"}, "stringData": {"KEY": "k"}}
    plane.admin.create(f"/api/v1/namespaces/{HOME}/secrets", body)
    plane.namespace(COMPUTE, {INJECT_LABEL: INJECT_ENABLED})
    plane.admin.create(PODS, TASK)
    yield plane
    put_away(plane, HOME, COMPUTE)


@pytest.fixture(autouse=True)
def _nothing_stays(namespaces: ControlPlane, helm: Helm) -> Iterator[None]:
    """A test that fails leaves no release to the next one."""
    yield
    helm(
        *("uninstall", RELEASE, "--namespace", HOME),
        *("--ignore-not-found", "--no-hooks", "--wait"),
    )


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart as an earlier version: its own name, image and labels of version."""
    folder = tmp_path_factory.mktemp("previous") / "tracking-injector"
    shutil.copytree(CHART, folder)
    metadata = yaml.safe_load((folder / "Chart.yaml").read_text("utf-8"))
    metadata |= {"version": "0.0.9", "appVersion": "0.0.9"}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(metadata), "utf-8")
    return folder


def upgrade(helm: Helm, chart: Path, *flags: str) -> str:
    """Install or upgrade the release; what helm prints."""
    return helm("upgrade", "--install", RELEASE, chart, "--namespace", HOME, *flags)


def image(plane: ControlPlane) -> str:
    """The image that the companion's Deployment asks for."""
    path = f"/apis/apps/v1/namespaces/{HOME}/deployments/{COMPANION}"
    pod = plane.admin.get(path)["spec"]["template"]["spec"]
    return str(pod["containers"][0]["image"])


def test_notes_are_short_and_say_what_to_do_next(
    namespaces: ControlPlane, helm: Helm
) -> None:
    """At most twenty lines, with the command that switches a namespace on."""
    said = helm("install", RELEASE, CHART, "--namespace", HOME, "--dry-run=client")
    notes = said.split("NOTES:\n")[1].rstrip().splitlines()

    assert len(notes) <= 20
    assert any("tracking.michelangelo-ai.org/inject=enabled" in line for line in notes)


def test_the_notes_warn_of_metrics_that_nobody_may_read(
    namespaces: ControlPlane, helm: Helm
) -> None:
    """A target that is closed to Prometheus looks like a dead one."""
    closed = "networkPolicy.enabled=true,metrics.serviceMonitor.enabled=true"
    opened = f"{closed},networkPolicy.metricsFrom[0].podSelector.matchLabels.a=b"
    dry = ("install", RELEASE, CHART, "--namespace", HOME, "--dry-run=client")
    warned = [
        "WARNING: networkPolicy.enabled closes the metrics" in helm(*dry, "--set", one)
        for one in (closed, opened)
    ]

    assert [True, False] == warned


def test_the_notes_tell_how_to_see_that_the_pods_run(
    namespaces: ControlPlane, helm: Helm
) -> None:
    """By a command that speaks of both Deployments; nothing runs pods here."""
    said = upgrade(helm, CHART, *VALUES)
    (line,) = re.findall(r"^ +kubectl (rollout status .*)$", said, re.MULTILINE)

    # Before the controller has seen a Deployment, it is not named.
    wait_for(
        "a word of both Deployments",
        lambda: (
            {f'"{RELEASE}"', f'"{COMPANION}"'}
            <= set(namespaces.kubectl(*line.split(), "--watch=false").split())
        ),
        seconds=60,
    )


def test_a_whole_life_leaves_the_cluster_as_it_was(
    namespaces: ControlPlane, helm: Helm, chart: Chart, previous: Path
) -> None:
    """Previous version, this one, a rollback, and the hook beside a live companion."""
    plane = namespaces
    before = versions(plane.admin)
    upgrade(helm, previous, *VALUES)
    images = [image(plane)]
    rendered = chart.render(
        {"tracking": {"existingSecret": "credentials"}}, namespace=HOME
    )
    with companion(plane, rendered, HOME), OneOffPods(plane, HOME) as hooks:
        wait_for("the mirror", lambda: plane.admin.exists(MIRROR))
        upgrade(helm, CHART, *VALUES)
        images.append(image(plane))
        helm("rollback", RELEASE, "1", "--namespace", HOME)
        images.append(image(plane))
        during = versions(plane.admin)
        helm("uninstall", RELEASE, "--namespace", HOME, "--wait", "--timeout", "60s")
        after = settled(plane.admin, before)

    assert ["0.0.9", "0.1.0", "0.0.9"] == [one.rpartition(":")[2] for one in images]
    assert [(COMPANION, 0)] == [(one.account, one.code) for one in hooks.ended], hooks
    assert len(during) > len(before) + 30
    assert before == after


def test_without_the_clean_up_the_mirrors_stay_and_nothing_else(
    namespaces: ControlPlane, helm: Helm, chart: Chart
) -> None:
    """For containers that may restart; `uninstall.cleanup` says so."""
    plane = namespaces
    before = versions(plane.admin)
    upgrade(helm, CHART, *VALUES, "--set", "uninstall.cleanup=false")
    rendered = chart.render(
        {"tracking": {"existingSecret": "credentials"}}, namespace=HOME
    )
    with companion(plane, rendered, HOME):
        wait_for("the mirror", lambda: plane.admin.exists(MIRROR))
    there = plane.admin.get(MIRROR)["metadata"]
    helm("uninstall", RELEASE, "--namespace", HOME, "--wait")
    left = {
        f"/api/v1/secrets {COMPUTE}/{MIRROR_SECRET}": (
            f"{there['uid']} {there['resourceVersion']}"
        )
    }
    after = settled(plane.admin, before | left)
    plane.admin.delete(MIRROR)

    assert before | left == after


def made(plane: ControlPlane) -> bool:
    """Make a mirror by hand; API servers hear late of a policy that was deleted."""
    try:
        plane.admin.create(MIRROR.rpartition("/")[0], mirror())
    except ApiError as error:
        if "kept by the companion" in str(error):
            return False
        raise
    return True


def test_dead_pods_of_ours_leave_the_cluster_as_it_was_too(
    namespaces: ControlPlane, helm: Helm
) -> None:
    """By the commands of the how-to; nobody of ours answers or runs."""
    plane = namespaces
    before = versions(plane.admin)
    # Nobody of ours runs here to write the mirror.
    upgrade(helm, CHART, *VALUES, "--set", "policies.rejectForeignMirror=false")
    wait_for("the policy of the test before to be gone", lambda: made(plane))
    plane.admin.create(POLICY, policy())
    still = plane.admin.create(PODS, TASK | {"metadata": {"name": "while-dead"}})
    plane.admin.delete(f"{PODS}/{still['metadata']['name']}")
    text = (DOCS / "uninstall.md").read_text("utf-8").split("## When our own")[1]
    block = re.search(r"```console\n(.*?)```", text, re.DOTALL)
    assert block is not None
    for line in lines(block[1]):
        program, *words = line.replace("ml-tracking", HOME).split()
        {"helm": helm, "kubectl": plane.kubectl}[program](*words)

    assert before == settled(plane.admin, before)


def mirror() -> Object:
    """A mirror as the companion writes it."""
    return {
        "metadata": {"name": MIRROR_SECRET, "labels": OURS},
        "type": "tracking.michelangelo-ai.org/keys",
    }


def policy() -> Object:
    """An egress policy as the companion writes it."""
    return {
        "metadata": {"name": "mti-egress-0", "labels": OURS},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    }


def test_a_render_that_is_applied_as_it_is_removes_nothing(
    namespaces: ControlPlane, helm: Helm, chart: Chart
) -> None:
    """Kustomize applies Helm's hooks as ordinary objects, the clean-up among them."""
    plane = namespaces
    values = {"tracking": {"existingSecret": "credentials"}}
    flags = ("--namespace", HOME, "--skip-tests")
    text = helm("template", RELEASE, CHART, *flags, *VALUES)
    rendered = chart.render(values, namespace=HOME)
    hooks = OneOffPods(plane, HOME)
    try:
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=text)
        with companion(plane, rendered, HOME):
            wait_for("the mirror", lambda: plane.admin.exists(MIRROR))
            with hooks:
                wait_for("the hook", lambda: bool(hooks.ended), seconds=60)
            kept = plane.admin.exists(MIRROR), plane.admin.exists(CONFIGURATION)
    finally:
        plane.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)
        # Nobody else takes it away: the next test begins without.
        plane.admin.delete(MIRROR)

    assert [(COMPANION, 0)] == [(one.account, one.code) for one in hooks.ended], hooks
    assert "nothing is removed" in hooks.ended[0].said
    assert (True, True) == kept


def test_an_uninstall_that_cannot_clean_up_removes_nothing(
    namespaces: ControlPlane, helm: Helm
) -> None:
    """Helm stops at its hook, and the webhook and the companion's rights stay."""
    plane = namespaces
    before = versions(plane.admin)
    upgrade(helm, CHART, *VALUES, "--set", "certificates.mode=companion")
    # Somebody else holds on to the webhook's configuration, so it cannot go.
    taken = {"metadata": {"finalizers": ["example.com/held"]}}
    plane.admin.patch(CONFIGURATION, taken)
    plane.kubectl("delete", "serviceaccount", COMPANION, "-n", HOME)
    with pytest.raises(LabError):
        helm("uninstall", RELEASE, "--namespace", HOME, "--timeout", "5s")

    assert plane.admin.exists(CONFIGURATION)
    plane.admin.patch(CONFIGURATION, {"metadata": {"finalizers": None}})
    helm("uninstall", RELEASE, "--namespace", HOME, "--no-hooks", "--wait")
    plane.kubectl(
        *("delete", "job,clusterrole,clusterrolebinding", "--ignore-not-found"),
        *("-n", HOME, "-l", "app.kubernetes.io/component=uninstall"),
    )

    assert before == settled(plane.admin, before)


@pytest.mark.parametrize("works", [True, False])
def test_helm_test_tells_whether_a_pod_gets_the_keys(
    namespaces: ControlPlane, helm: Helm, injector: Injector, *, works: bool
) -> None:
    """The test's own pod, against an API server that reaches the webhook or not."""
    plane = namespaces
    values = f"tests.namespace={COMPUTE},injection.inTree=false"
    upgrade(helm, CHART, *VALUES, "--set", values)
    plane.admin.delete(CONFIGURATION)
    if works:
        injector.register(plane)
    passed, ended = helm_test(plane, helm)
    if works:
        injector.unregister(plane)
        put_away(plane, PROBED)
    left = plane.kubectl(
        *("get", "pod,serviceaccount,role,rolebinding", "-A", "-o", "name"),
        *("-l", "app.kubernetes.io/component=test"),
    )
    plane.admin.delete(f"/api/v1/namespaces/{HOME}/pods")

    assert works is passed
    assert works is (ended.code == 0), ended
    assert ("the pod got no tracking keys" in ended.said) is not works
    # A pod that failed stays for whoever reads its log; its rights never do.
    assert left.split() == ([] if works else [f"pod/{ended.pod}"])


def helm_test(plane: ControlPlane, helm: Helm) -> tuple[bool, Ended]:
    """Run the test of admission: whether it passed, and how its pod ended."""
    command = ("test", RELEASE, "--namespace", HOME, "--timeout", "30s")
    only = ("--filter", f"name={RELEASE}-test-admission")
    with OneOffPods(plane, HOME) as pods:
        try:
            passed = bool(helm(*command, *only))
        except LabError:
            passed = False
    (ended,) = pods.ended
    return passed, ended


LIMITS = {
    "limits.cpu": "64",
    "limits.memory": "64Gi",
    "requests.cpu": "64",
    "requests.memory": "64Gi",
}
"""A quota that wants every container to say what it takes."""


@pytest.fixture
def held(namespaces: ControlPlane) -> Iterator[ControlPlane]:
    """Both namespaces enforce `restricted`, and want limits of every container."""
    plane = namespaces
    enforce = "pod-security.kubernetes.io/enforce"
    for name in (HOME, COMPUTE):
        label(plane, name, {enforce: "restricted"})
        quota(plane, name, LIMITS)
    yield plane
    for name in (HOME, COMPUTE):
        label(plane, name, {enforce: None})
        plane.admin.delete(f"/api/v1/namespaces/{name}/resourcequotas/limits")


def label(plane: ControlPlane, namespace: str, labels: dict[str, str | None]) -> None:
    """Write labels of a namespace; None takes one away."""
    body: Object = {"metadata": {"labels": labels}}
    plane.admin.patch(f"/api/v1/namespaces/{namespace}", body)


def quota(plane: ControlPlane, namespace: str, hard: dict[str, str]) -> None:
    """Bound a namespace, and return once the bound holds."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    plane.admin.create(path, {"metadata": {"name": "limits"}, "spec": {"hard": hard}})
    wait_for(
        "a quota's first count",
        lambda: plane.admin.get(f"{path}/limits").get("status", {}).get("used"),
    )


def test_pods_of_helm_test_are_taken_where_namespaces_are_strict(
    held: ControlPlane, helm: Helm
) -> None:
    """Its own pod runs, and the one that it creates in a dry run is let in.

    No webhook answers here, so all that is amiss is that the pod gets no keys.
    """
    upgrade(helm, CHART, *VALUES, "--set", f"tests.namespace={COMPUTE}")
    held.admin.delete(CONFIGURATION)
    passed, ended = helm_test(held, helm)
    held.admin.delete(f"/api/v1/namespaces/{HOME}/pods")

    assert passed or "the pod got no tracking keys" in ended.said, ended.said


@pytest.fixture
def full(namespaces: ControlPlane) -> Iterator[ControlPlane]:
    """The labeled namespace takes no more pods."""
    quota(namespaces, COMPUTE, {"pods": "0"})
    yield namespaces
    namespaces.admin.delete(f"/api/v1/namespaces/{COMPUTE}/resourcequotas/limits")
    namespaces.admin.delete(f"/api/v1/namespaces/{HOME}/pods")


def test_helm_test_tells_why_the_api_server_refused(
    full: ControlPlane, helm: Helm
) -> None:
    """In its own words."""
    upgrade(helm, CHART, *VALUES, "--set", f"tests.namespace={COMPUTE}")
    passed, ended = helm_test(full, helm)

    assert not passed
    assert f"refused the pod in namespace {COMPUTE}: pods " in ended.said
    assert "exceeded quota: limits" in ended.said
    assert "Traceback" not in ended.said
