"""What a pod does that is created before its namespace has the keys."""

from typing import Any

import pytest

from tests.e2e.installation import API_KEY, Installation, await_pod
from tests.e2e.taskpods import create, worker


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
    installation.scale("companion", 0)
    namespace = installation.compute_namespace("patient")
    name = create(installation.node, namespace, worker("worker"))
    await_pod(installation.node, namespace, name, waits_for_configuration)

    installation.scale("companion", 2)
    more = await_pod(installation.node, namespace, name, seconds=10)

    with capsys.disabled():
        print(f"\nran {more:.1f} s after the companion was back")  # noqa: T201 - figure
    assert f"{API_KEY}\n" == installation.shell(
        namespace, name, "echo $TRACKING_API_KEY"
    )


def test_a_pod_starts_without_the_keys_where_the_operator_chose_so(
    installation: Installation,
) -> None:
    """`onMissing: start`: the companion is away and the pod runs all the same."""
    installation.upgrade({"injection.onMissing": "start"})
    installation.scale("companion", 0)
    namespace = installation.compute_namespace("hasty")

    name = create(installation.node, namespace, worker("worker"))
    await_pod(installation.node, namespace, name)

    assert "0\n" == installation.shell(
        namespace, name, "env | grep -c TRACKING_ || true"
    )
    installation.upgrade({})
