"""What an operator gets by `helm install` and a label."""

import pytest

from tests.e2e.installation import (
    API_KEY,
    NAMESPACE,
    TRACKING_URI,
    Installation,
    await_pod,
)
from tests.e2e.taskpods import bystander, create, worker


def test_the_first_pod_of_a_labeled_namespace_sees_the_tracking_uri(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """The guide's own check; with the times of both steps printed."""
    namespace = installation.compute_namespace("first")

    name = create(installation.node, namespace, worker("worker"))
    started = await_pod(installation.node, namespace, name)

    with capsys.disabled():
        print(  # noqa: T201 - a figure for people
            f"\nfrom `helm install` to the first injected pod: "
            f"{installation.seconds:.1f} s + {started:.1f} s"
        )
    seen = installation.shell(namespace, name, "env | grep TRACKING_ | sort")
    assert f"TRACKING_API_KEY={API_KEY}\nTRACKING_URI={TRACKING_URI}\n" == seen


def test_other_pods_of_a_labeled_namespace_stay_as_they_are(
    installation: Installation,
) -> None:
    """A pod that is no task pod gets no variable."""
    namespace = installation.compute_namespace("others")

    name = create(installation.node, namespace, bystander("bystander"))
    await_pod(installation.node, namespace, name)

    assert "0\n" == installation.shell(
        namespace, name, "env | grep -c TRACKING_ || true"
    )


@pytest.mark.parametrize("component", ["webhook", "companion"])
def test_both_processes_run_twice_and_cannot_write_to_their_image(
    installation: Installation, component: str
) -> None:
    """Under Pod Security `restricted`, as a user without rights, root read-only."""
    pods = installation.pods(component)

    assert 2 == len(pods)
    for pod in pods:
        name = pod["metadata"]["name"]
        who = installation.shell(NAMESPACE, name, "id -u; touch /app/x || echo refused")
        assert "65532\nrefused\n" == who


def test_the_serving_process_has_no_credential(installation: Installation) -> None:
    """Looked for inside the running container: no token is mounted."""
    name = installation.pods("webhook")[0]["metadata"]["name"]

    found = installation.shell(
        NAMESPACE, name, "ls /var/run/secrets/kubernetes.io 2>/dev/null || echo none"
    )

    assert "none\n" == found
