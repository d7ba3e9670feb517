"""Generated pods, patched by us, are pods to a real API server."""

from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.lab.control_plane import ControlPlane
from tests.pods import injected
from tests.property.injection.pods import policies, task_pods
from webhook.injection.policy import InjectionPolicy


@given(task_pods(), policies)
@settings(
    max_examples=100,
    # The API server keeps nothing of a dry run, so examples may share it.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_patched_pod_is_a_valid_pod(
    plane: ControlPlane, pod: dict[str, Any], policy: InjectionPolicy
) -> None:
    """Whatever came, what we make of it decodes and validates."""
    after = injected(pod, policy)
    metadata = after["metadata"]
    # Generated to need escaping in a JSON pointer; no API server takes such keys.
    metadata["labels"].pop("x/y~z")
    metadata["annotations"] = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if "~" not in key
    }
    metadata["name"] = "generated"
    volumes = after["spec"]["volumes"] = list(after["spec"].get("volumes") or ())
    for field in ("containers", "initContainers"):
        for container in after["spec"][field]:
            container["image"] = "task"
            for mount in container.get("volumeMounts") or ():
                if mount["name"] not in {one["name"] for one in volumes}:
                    volumes.append({"name": mount["name"], "emptyDir": {}})
    after["spec"]["initContainers"][0]["name"] = "init"

    answer = plane.admin.create(
        "/api/v1/namespaces/default/pods",
        {"apiVersion": "v1", "kind": "Pod", **after},
        dryRun="All",
    )

    assert "generated" == answer["metadata"]["name"]
