"""An API server that starts with a policy in place."""

import time

from tests.cluster.in_tree.ways import install, remove
from tests.cluster.injector import COMPUTE, task_pod
from tests.lab.api import ApiError
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import wait_for
from webhook.injection.names import INJECTED_LABEL
from webhook.injection.policy import InjectionPolicy

STARTS = 3


def test_once_it_is_ready_no_pod_is_refused_or_missed(
    serving_plane: ControlPlane,
) -> None:
    """Before that an API server refuses whatever it would have to evaluate."""
    plane = serving_plane
    namespace = plane.namespace("restarted", {**COMPUTE, "restarted": ""})
    path = f"/api/v1/namespaces/{namespace}/pods"
    install(plane, "restarted", InjectionPolicy(), {"restarted": ""})

    def injected() -> bool:
        pod = plane.admin.create(path, task_pod(), dryRun="All")
        return INJECTED_LABEL in pod["metadata"]["labels"]

    wait_for("the policy's effect", injected)
    refused: list[str] = []
    missed = 0
    for _ in range(STARTS):
        plane.stop_api_server()
        plane.start_api_server()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                missed += not injected()
            except ApiError as error:
                refused.append(str(error))
    remove(plane, "restarted")

    assert (refused, missed) == ([], 0)
