"""A release comes, changes and goes; tasks that run notice nothing of it."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documentation import lines
from tests.e2e.installation import (
    CHART,
    COMPONENTS,
    DEPLOYMENTS,
    NAMESPACE,
    PATIENCE,
    RELEASE,
    RESTRICTED,
    TRACKING_URI,
    Installation,
    await_pod,
    delete_namespaces,
)
from tests.e2e.stream import Stream, fail_open
from tests.e2e.taskpods import DENY_EGRESS, create, policies, worker
from tests.lab import own_image
from tests.lab.listing import listing
from tests.lab.node import Node
from tests.lab.processes import wait_for
from tests.lab.tools import LabError
from webhook.injection.names import INJECT_LABEL, MANAGED_BY, MANAGED_BY_LABEL

PREVIOUS = "0.0.9"
TASKS = "lifecycle"
"""The compute namespace of these tests."""

_NO_IMAGE = {"ErrImagePull", "ImagePullBackOff"}
_WHOLE = re.MULTILINE | re.DOTALL


@pytest.fixture
def before(node: Node) -> set[str]:
    """What the cluster holds before anything is installed."""
    return listing(node.plane)


@pytest.fixture
def release(before: set[str], node: Node) -> Iterator[Installation]:
    """A release that a test may uninstall."""
    release = Installation.install(node, {})
    yield release
    put_away(release)


@pytest.fixture
def previous(before: set[str], node: Node, tmp_path: Path) -> Iterator[Installation]:
    """A release of the version before: this chart under an earlier number.

    So its objects, rights and pods are those of an installed release that is replaced;
    nothing older has been published.
    """
    image = f"{own_image.REPOSITORY}:{PREVIOUS}"
    node.tag(f"{own_image.REPOSITORY}:{own_image.TAG}", image)
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    description = yaml.safe_load((chart / "Chart.yaml").read_text("utf-8"))
    description |= {"version": PREVIOUS, "appVersion": PREVIOUS}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(description), "utf-8")
    release = Installation.install(node, {"image.tag": ""}, chart=chart)
    yield release
    put_away(release)


def put_away(release: Installation) -> None:
    """Leave nothing for the next test, whatever this one left."""
    if RELEASE in release.node.plane.helm("list", "--short", "-n", NAMESPACE):
        release.remove()
    else:
        delete_namespaces(release.node, *release.namespaces)


def test_an_upgrade_from_the_previous_version_and_back_misses_no_pod(
    previous: Installation,
) -> None:
    """And a task that runs meanwhile is not touched."""
    namespace = previous.compute_namespace(TASKS)
    task = running_task(previous, namespace, "task")
    images = image_tags(previous)
    ignored = fail_open(previous.node)

    with Stream(previous.node, namespace) as stream:
        previous.upgrade({})
        upgraded = image_tags(previous)
        previous.rollback()

    assert ({PREVIOUS}, {own_image.TAG}) == (images, upgraded)
    assert images == image_tags(previous)
    assert ([], []) == (stream.refused, stream.missed)
    assert ignored == fail_open(previous.node)
    assert task == undisturbed(previous, namespace, "task")
    stream.await_running()


def test_an_uninstall_leaves_nothing_behind_and_lets_tasks_run(
    release: Installation, before: set[str]
) -> None:
    """Listed in full, the cluster is as before; new pods start, without the keys."""
    namespace = isolated_namespace(release)
    task = running_task(release, namespace, "task")

    release.uninstall()

    assert [] == ours(release, namespace)
    assert task == undisturbed(release, namespace, "task")
    assert "" == tracking_uri(release, namespace, "later")
    assert_as_before(release, before)


def test_an_uninstall_with_dead_pods_leaves_nothing_behind(
    release: Installation, before: set[str]
) -> None:
    """The policy gives pods their keys meanwhile; the hook does what ours cannot."""
    namespace = isolated_namespace(release)
    task = running_task(release, namespace, "task")
    kill_for_good(release)

    assert f"{TRACKING_URI}\n" == tracking_uri(release, namespace, "meanwhile")
    release.uninstall()

    assert [] == ours(release, namespace)
    assert task == undisturbed(release, namespace, "task")
    assert "" == tracking_uri(release, namespace, "later")
    assert_as_before(release, before)


def test_where_not_even_the_hook_can_run_the_documented_commands_clean_up(
    release: Installation, before: set[str]
) -> None:
    """As the how-to has them: without hooks, then what the companion made by hand."""
    namespace = isolated_namespace(release)
    running_task(release, namespace, "task")
    kill_for_good(release)
    how_to = (CHART.parents[1] / "docs" / "how-to" / "uninstall.md").read_text("utf-8")
    [section] = re.findall(r"^## When our own pods are dead\n(.*?)^## ", how_to, _WHOLE)
    [command] = (
        line.replace("ml-tracking", NAMESPACE).split()[1:]
        for line in lines(section)
        if line.startswith("kubectl delete ")
    )

    release.uninstall("--no-hooks")
    release.node.plane.kubectl(*command)

    assert [] == ours(release, namespace)
    assert "" == tracking_uri(release, namespace, "later")
    assert_as_before(release, before)


@pytest.fixture
def strict(release: Installation) -> Iterator[str]:
    """A compute namespace that `helm test` tries; it and the release's are strict.

    Both enforce Pod Security's `restricted`, and want limits of every new container.
    """
    admin = release.node.plane.admin
    namespace = release.compute_namespace(TASKS)
    path = f"/api/v1/namespaces/{namespace}"
    admin.patch(path, {"metadata": {"labels": RESTRICTED}})
    release.upgrade({"tests.namespace": namespace})
    quotas = [f"/api/v1/namespaces/{n}/resourcequotas" for n in (namespace, NAMESPACE)]
    for quota in quotas:
        spec = {"hard": {"limits.cpu": "64", "limits.memory": "64Gi"}}
        admin.create(quota, {"metadata": {"name": "limits"}, "spec": spec})
    yield namespace
    for quota in quotas:
        admin.delete(f"{quota}/limits")


def test_helm_test_proves_the_handshake_and_the_admission(
    release: Installation, strict: str
) -> None:
    """In pods that really run; and it fails where a namespace is not labeled."""
    namespace = strict
    said = helm_test(release)
    release.node.plane.kubectl("label", "namespace", namespace, f"{INJECT_LABEL}-")

    assert {f"{RELEASE}-test-handshake", f"{RELEASE}-test-admission"} <= set(
        re.findall(r"TEST SUITE: +(\S+)\n.*\n.*\nPhase: +Succeeded", said)
    )
    with pytest.raises(LabError, match="test-admission"):
        helm_test(release)
    release.node.plane.kubectl(
        "delete", "pod", f"{RELEASE}-test-admission", "-n", NAMESPACE
    )


def isolated_namespace(release: Installation) -> str:
    """A labeled namespace in which the companion keeps a mirror and a policy."""
    namespace = release.compute_namespace(TASKS)
    release.node.plane.admin.create(policies(namespace), DENY_EGRESS)
    wait_for("mirror and policy", lambda: 2 == len(ours(release, namespace)))
    return namespace


def ours(release: Installation, namespace: str) -> list[str]:
    """What of ours is in a namespace."""
    return (
        release.node.plane.kubectl(
            *("get", "secrets,networkpolicies", "-n", namespace, "-o", "name"),
            *("-l", f"{MANAGED_BY_LABEL}={MANAGED_BY}"),
        )
    ).split()


def helm_test(release: Installation) -> str:
    """What `helm test` prints."""
    return release.node.plane.helm(
        "test", RELEASE, "-n", NAMESPACE, "--timeout", f"{PATIENCE}s"
    )


def running_task(release: Installation, namespace: str, name: str) -> dict[str, Any]:
    """Start an injected task, and return what must not change of it."""
    assert f"{TRACKING_URI}\n" == tracking_uri(release, namespace, name)
    return undisturbed(release, namespace, name)


def tracking_uri(release: Installation, namespace: str, name: str) -> str:
    """Start a task, and return what it sees."""
    create(release.node, namespace, worker(name))
    await_pod(release.node, namespace, name)
    return release.shell(namespace, name, "env | sed -n s/^TRACKING_URI=//p")


def undisturbed(release: Installation, namespace: str, name: str) -> dict[str, Any]:
    """What of a pod does not change while it runs undisturbed."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    pod = release.node.plane.admin.get(path)
    statuses = pod["status"]["containerStatuses"]
    return {
        "uid": pod["metadata"]["uid"],
        "spec": pod["spec"],
        "phase": pod["status"]["phase"],
        "containers": [(s["containerID"], s["restartCount"]) for s in statuses],
    }


def kill_for_good(release: Installation) -> None:
    """Put an image in place that nobody has, and end the pods of the one before."""
    for component in COMPONENTS:
        release.scale(component, 0)
        deployment = f"deployment/{DEPLOYMENTS[component]}"
        release.node.plane.kubectl(
            *("set", "image", deployment, f"{component}=lab.local/nobody-has-this:1"),
            *("-n", NAMESPACE),
        )
        release.node.plane.kubectl("scale", deployment, "--replicas=2", "-n", NAMESPACE)
        wait_for("dead pods", all_without_image(release, component))


def all_without_image(release: Installation, component: str) -> Callable[[], bool]:
    """Whether two pods of a component exist and cannot start."""

    def seen() -> bool:
        reasons = [
            status["state"].get("waiting", {}).get("reason", "")
            for pod in release.pods(component)
            for status in pod["status"].get("containerStatuses", ())
        ]
        return 2 == len(reasons) and set(reasons) <= _NO_IMAGE

    return seen


def image_tags(release: Installation) -> set[str]:
    """The tags of the images that the release's pods run."""
    return {
        container["image"].rpartition(":")[2]
        for component in COMPONENTS
        for pod in release.pods(component)
        for container in pod["spec"]["containers"]
    }


def assert_as_before(release: Installation, before: set[str]) -> None:
    """The cluster holds what it held, once the tests' own namespace is gone."""
    delete_namespaces(release.node, *release.namespaces)
    left: set[str] = set()

    def same() -> bool:
        nonlocal left
        left = before ^ listing(release.node.plane)
        return not left

    try:
        wait_for("a cluster as before", same, seconds=PATIENCE)
    except LabError:
        assert set() == left
