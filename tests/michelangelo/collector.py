"""The sidecar that Michelangelo's mapper adds where `logPersistence` is on.

As far as it shows in a pod. Source: `k8sengine/ray.go` (injectCollectorSidecar) and its
test, michelangelo-ai/michelangelo#1124.
"""

from typing import Final

from tests.michelangelo.client import Json

_LOGS: Final = "/tmp/ray"  # noqa: S108 - Ray's own
_SHARED: Final = {"name": "ray-logs", "mountPath": _LOGS}


def with_collector(cluster: Json) -> Json:
    """Add it to every pod template of a RayCluster."""
    head, workers = (
        cluster["spec"]["headGroupSpec"],
        cluster["spec"]["workerGroupSpecs"],
    )
    for role, group in (("Head", head), *(("Worker", one) for one in workers)):
        _add(group["template"]["spec"], role)
    return cluster


def _add(spec: Json, role: str) -> None:
    containers = spec["containers"]
    mounts = [mount for one in containers for mount in one.get("volumeMounts", ())]
    # A volume that is there already is shared, by its own name.
    shared = next((one for one in mounts if one["mountPath"] == _LOGS), None)
    if shared is None:
        shared = _SHARED
        spec.setdefault("volumes", []).append({"name": shared["name"], "emptyDir": {}})
        for one in containers:
            one.setdefault("volumeMounts", []).append(shared)
    for one in containers:
        exported = {"name": "RAY_enable_ray_event", "value": "true"}
        one.setdefault("env", []).append(exported)
    containers.append(
        {
            "name": "collector",
            "image": "quay.io/kuberay/collector:v1.7.1",
            "command": ["collector", f"--role={role}", "--ray-root-dir=log"],
            "env": [{"name": "S3_BUCKET", "value": "ray-history"}],
            "volumeMounts": [shared],
        }
    )
