"""What a pod does that is created before its namespace has the keys."""

from typing import Any

import pytest

from tests.e2e.installation import (
    API_KEY,
    CHART,
    NAMESPACE,
    RELEASE,
    Installation,
    await_pod,
)
from tests.e2e.taskpods import create, worker
from tests.lab.processes import wait_for

COMPANION = f"{RELEASE}-companion"


def waits_for_configuration(pod: dict[str, Any]) -> bool:
    """Whether the kubelet holds a container back for a missing Secret."""
    return any(
        status["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError"
        for status in pod["status"].get("containerStatuses", ())
    )


def test_a_pod_waits_for_the_keys_and_then_starts_by_itself(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """The companion is away, the pod waits; it is back, and nobody touches the pod."""
    installation.scale(COMPANION, 0)
    namespace = installation.compute_namespace("patient")
    name = create(installation.node, namespace, worker("worker"))
    await_pod(installation.node, namespace, name, waits_for_configuration)

    installation.scale(COMPANION, 2)
    more = await_pod(installation.node, namespace, name, seconds=30)

    with capsys.disabled():
        print(f"\nran {more:.1f} s after the companion was back")  # noqa: T201 - figure
    assert f"{API_KEY}\n" == installation.shell(
        namespace, name, "echo $TRACKING_API_KEY"
    )


def test_a_pod_starts_without_the_keys_where_the_operator_chose_so(
    installation: Installation,
) -> None:
    """`onMissing: start`: the companion is away and the pod runs all the same."""
    helm_set(installation, "start")
    installation.scale(COMPANION, 0)
    try:
        namespace = installation.compute_namespace("hasty")
        name = create(installation.node, namespace, worker("worker"))
        await_pod(installation.node, namespace, name)

        assert "0\n" == installation.shell(
            namespace, name, "env | grep -c TRACKING_ || true"
        )
    finally:
        installation.scale(COMPANION, 2)
        helm_set(installation, "wait")


def helm_set(installation: Installation, choice: str) -> None:
    """Upgrade the release to this `onMissing`, and wait for the new pods."""
    installation.node.plane.helm(
        *("upgrade", RELEASE, CHART, "--namespace", NAMESPACE, "--reuse-values"),
        *("--set", f"injection.onMissing={choice}", "--wait", "--timeout", "180s"),
    )
    # A pod that is draining still answers, and answers as it was told.
    wait_for(
        "the end of the old pods",
        lambda: 2 == len(installation.pods("webhook")),
        seconds=60,
    )
