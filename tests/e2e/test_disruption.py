"""Pods are created at 20 a second while the webhook's own pods come and go.

Orderly replacements miss none. Where every replica dies at once, and no policy of the
API server's injects beside them (`test_in_tree.py`), pods are admitted as they were
sent, and each one that missed the keys is reported.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.installation import (
    DEPLOYMENTS,
    NAMESPACE,
    PATIENCE,
    Installation,
    is_ready,
)
from tests.e2e.stream import Stream, fail_open
from tests.lab import own_image
from tests.lab.node import Node
from tests.lab.processes import wait_for
from webhook.companion.audit import AuditReason

OTHER_TAG = "lab-again"
ALONE = {"injection.inTree": "false"}
"""The webhook injects alone, as on clusters before Kubernetes 1.36."""


@pytest.fixture(scope="module")
def installation(node: Node) -> Iterator[Installation]:
    """A release whose webhook injects alone."""
    release = Installation.install(node, ALONE)
    yield release
    release.remove()


def restart(installation: Installation) -> None:
    """`kubectl rollout restart`."""
    deployment = f"deployment/{DEPLOYMENTS['webhook']}"
    installation.node.plane.kubectl("rollout", "restart", deployment, "-n", NAMESPACE)
    installation.node.plane.kubectl(
        "rollout", "status", deployment, "-n", NAMESPACE, f"--timeout={PATIENCE}s"
    )
    installation.await_pods()


def drain(installation: Installation) -> None:
    """Evict every webhook pod as `kubectl drain` does: as fast as the budget lets."""
    plane = installation.node.plane
    for pod in installation.pods("webhook"):
        name = pod["metadata"]["name"]
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": NAMESPACE},
        }
        plane.admin.create(
            f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction", eviction
        )
        installation.await_pods()


def upgrade(installation: Installation) -> None:
    """`helm upgrade` to another image."""
    installation.node.tag(
        f"{own_image.REPOSITORY}:{own_image.TAG}", f"{own_image.REPOSITORY}:{OTHER_TAG}"
    )
    installation.upgrade({**ALONE, "image.tag": OTHER_TAG})


def kill(installation: Installation) -> None:
    """End every webhook process at once, and return when others run."""
    before = restarts(installation)
    for pod in installation.pods("webhook"):
        installation.node.kill(pod)
    wait_for("restarts", lambda: before + 2 <= restarts(installation))
    installation.await_pods()


@pytest.mark.parametrize("replace", [restart, drain, upgrade])
def test_an_orderly_replacement_misses_no_pod(
    installation: Installation, replace: Callable[[Installation], None]
) -> None:
    """Each pod gets the keys, and the API server never went on without an answer."""
    namespace = mirrored(installation, replace.__name__)
    old = names(installation)
    before = fail_open(installation.node)

    with Stream(installation.node, namespace) as stream:
        replace(installation)

    assert [] == stream.refused
    assert [] == stream.missed
    assert 0 == fail_open(installation.node) - before
    assert set() == old & names(installation)
    stream.await_running()


def test_killed_at_once_they_block_no_pod_and_each_missed_one_is_reported(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """`kill -9` of every webhook process."""
    namespace = mirrored(installation, "killed")
    before = fail_open(installation.node)

    with Stream(installation.node, namespace) as stream:
        kill(installation)

    assert [] == stream.refused
    assert 0 < len(stream.missed) <= fail_open(installation.node) - before
    assert_reported(installation, stream, capsys)
    stream.await_running()


def test_evicted_by_the_kubelet_they_block_no_pod_and_each_missed_one_is_reported(
    installation: Installation,
    pressed: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The node runs out of memory, by the kubelet's own reckoning."""
    # What uses more than it asked for goes first.
    installation.upgrade({**ALONE, "webhook.resources.requests.memory": "1Mi"})
    namespace = mirrored(installation, "evicted")
    old = names(installation)

    with Stream(installation.node, namespace) as stream:
        pressed("99%")
        wait_for("evictions", lambda: old <= evicted(installation), seconds=PATIENCE)
        pressed("")
        wait_for("new pods", lambda: 2 == len(running(installation)), seconds=PATIENCE)

    assert [] == stream.refused
    assert_reported(installation, stream, capsys)
    stream.await_running()


@pytest.fixture
def pressed(node: Node) -> Iterator[Callable[[str], None]]:
    """Sets below how much available memory the kubelet evicts; nothing stays set."""
    yield node.restart_kubelet
    node.restart_kubelet("")


def assert_reported(
    installation: Installation, stream: Stream, capsys: pytest.CaptureFixture[str]
) -> None:
    """The auditor counts just the missed pods, ten seconds after the last at most."""
    wait_for(
        f"a report of {len(stream.missed)} missed pods in {stream.namespace}",
        lambda: len(stream.missed) == reported(installation, stream.namespace),
        seconds=10,
    )
    with capsys.disabled():
        print(  # noqa: T201 - a figure for people
            f"\n{stream.namespace}: {len(stream.missed)} of "
            f"{len(stream.missed) + len(stream.injected)} pods missed the keys, "
            "each reported"
        )


def reported(installation: Installation, namespace: str) -> int:
    """How many pods of a namespace the companion's status calls missed."""
    status = installation.status()["namespaces"].get(namespace, {})
    found: int = status.get("pods", {}).get(AuditReason.MISSED, 0)
    return found


def mirrored(installation: Installation, name: str) -> str:
    """A labeled namespace that has its keys, so that its pods can run at once."""
    namespace = installation.compute_namespace(name)
    path = f"/api/v1/namespaces/{namespace}/secrets/michelangelo-tracking"
    wait_for("the mirror", lambda: installation.node.plane.admin.exists(path))
    return namespace


def names(installation: Installation) -> set[str]:
    """The webhook's pods."""
    return {pod["metadata"]["name"] for pod in installation.pods("webhook")}


def restarts(installation: Installation) -> int:
    """How often containers of the webhook have been started again."""
    return sum(
        status["restartCount"]
        for pod in installation.pods("webhook")
        for status in pod["status"]["containerStatuses"]
    )


def evicted(installation: Installation) -> set[str]:
    """The pods of the release that the kubelet has evicted."""
    pods = installation.node.plane.admin.get(
        f"/api/v1/namespaces/{NAMESPACE}/pods", fieldSelector="status.phase=Failed"
    )["items"]
    return {
        pod["metadata"]["name"]
        for pod in pods
        if "Evicted" == pod["status"].get("reason")
    }


def running(installation: Installation) -> set[str]:
    """Those of the webhook's pods that are ready."""
    return {
        pod["metadata"]["name"] for pod in installation.pods("webhook") if is_ready(pod)
    }
