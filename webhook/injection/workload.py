"""Recognizes task pods, and in them the containers that run user code.

Labels decide about the pod: KubeRay and Spark set them before the pod is created and
let no template change them to something else. Names do not: Michelangelo calls its Ray
containers `head` and `worker`, and a Spark pod template renames at will. So the
container is found by the environment that KubeRay and Spark always write, then by
name, and only for Ray by position.

A pod that is neither opts in by a label of its own, and says itself which containers.

Sources: KubeRay `ray-operator/controllers/ray/common/pod.go` (v1.0 to v1.7), Spark
`resource-managers/kubernetes/core` (3.5 to 4.3).
"""

from enum import StrEnum
from typing import Any

from webhook.injection.names import (
    CONTAINERS_ANNOTATION,
    INJECT_ENABLED,
    INJECT_LABEL,
)


class Workload(StrEnum):
    """The kinds of task pod."""

    RAY_HEAD = "ray-head"
    RAY_WORKER = "ray-worker"
    SPARK_DRIVER = "spark-driver"
    SPARK_EXECUTOR = "spark-executor"
    OPTED_IN = "opted-in"
    """A notebook, a Job, a TrainJob: whatever its owner labels."""


RAY_LABEL = "ray.io/node-type"
SPARK_LABEL = "spark-role"

WORKLOADS = {
    (RAY_LABEL, "head"): Workload.RAY_HEAD,
    (RAY_LABEL, "worker"): Workload.RAY_WORKER,
    (SPARK_LABEL, "driver"): Workload.SPARK_DRIVER,
    (SPARK_LABEL, "executor"): Workload.SPARK_EXECUTOR,
    (INJECT_LABEL, INJECT_ENABLED): Workload.OPTED_IN,
}
"""By a label and its value; of a pod with several, the first counts."""

_RAY_NAMES = frozenset({"ray-head", "ray-worker", "head", "worker"})
NAMES = {
    # A template could give a head pod the worker's label until KubeRay 1.3, so the
    # names of both count for both.
    Workload.RAY_HEAD: _RAY_NAMES,
    Workload.RAY_WORKER: _RAY_NAMES,
    Workload.SPARK_DRIVER: frozenset({"spark-kubernetes-driver"}),
    # `executor` was the name in Spark 2.
    Workload.SPARK_EXECUTOR: frozenset({"spark-kubernetes-executor", "executor"}),
    Workload.OPTED_IN: frozenset(),
}
"""Of a task container, where its environment does not tell."""

_RAY_SIGNATURES = (
    frozenset({"KUBERAY_GEN_RAY_START_CMD"}),
    # KubeRay 1.0 does not write the start command yet.
    frozenset({"RAY_ADDRESS", "RAY_PORT"}),
)
SIGNATURES = {
    Workload.RAY_HEAD: _RAY_SIGNATURES,
    Workload.RAY_WORKER: _RAY_SIGNATURES,
    Workload.SPARK_DRIVER: (
        frozenset({"SPARK_APPLICATION_ID", "SPARK_DRIVER_BIND_ADDRESS"}),
    ),
    Workload.SPARK_EXECUTOR: (
        frozenset({"SPARK_APPLICATION_ID", "SPARK_EXECUTOR_ID"}),
    ),
    Workload.OPTED_IN: (),
}
"""Sets of variables that only a task container has, the surest first."""

BY_POSITION = frozenset({Workload.RAY_HEAD, Workload.RAY_WORKER, Workload.OPTED_IN})
"""KubeRay's own rule is "the first container", and kubectl's too; Spark has none."""

_PROXIES = frozenset({"istio-proxy", "linkerd-proxy"})
"""Of meshes, which put them in front of every other container."""
_RAY_SIDECARS = _PROXIES | {
    "autoscaler",
    "ray-job-submitter",
    "ray-history-collector",
    # Michelangelo's own, where its `logPersistence` is on.
    "collector",
}
SIDECARS = {
    Workload.RAY_HEAD: _RAY_SIDECARS,
    Workload.RAY_WORKER: _RAY_SIDECARS,
    Workload.SPARK_DRIVER: _PROXIES,
    Workload.SPARK_EXECUTOR: _PROXIES,
    Workload.OPTED_IN: _PROXIES,
}
"""Containers that others add; none runs user code, whatever its env."""

MIRROR_POD_ANNOTATION = "kubernetes.io/config.mirror"
"""Marks the API object of a static pod, which only its node's files can change."""


def recognize(pod: dict[str, Any]) -> Workload | None:
    """Tell the workload by the pod's labels.

    Args:
        pod: A Pod; `metadata.labels` may be absent or null.

    Returns:
        The workload, or `None` for every other pod: submitters, Redis clean-up,
        connect servers, standalone masters and workers, databases.
    """
    labels = (pod.get("metadata") or {}).get("labels") or {}
    for (label, value), workload in WORKLOADS.items():
        if labels.get(label) == value:
            return workload
    return None


def task_containers(pod: dict[str, Any], workload: Workload) -> tuple[int, ...]:
    """Find the containers that run user code.

    Args:
        pod: A pod whose containers are named.
        workload: What `recognize` said.

    Returns:
        Indices into `spec.containers`, in ascending order; empty when none is
        recognizable. Of a pod that opted in, those that its annotation names.
    """
    containers = pod["spec"]["containers"]
    if workload is Workload.OPTED_IN:
        annotations = pod["metadata"].get("annotations") or {}
        if (named := annotations.get(CONTAINERS_ANNOTATION)) is not None:
            names = named.replace(" ", "").split(",")
            return tuple(i for i, c in enumerate(containers) if c["name"] in names)
    sidecars = SIDECARS[workload]
    candidates = [
        index
        for index, container in enumerate(containers)
        if container["name"] not in sidecars
    ]
    for signature in SIGNATURES[workload]:
        if found := [i for i in candidates if signature <= _env_names(containers[i])]:
            return tuple(found)
    names = NAMES[workload]
    if found := [i for i in candidates if containers[i]["name"] in names]:
        return tuple(found)
    if workload in BY_POSITION:
        # A mesh may have put its proxy in front of it.
        return tuple(candidates[:1])
    return ()


def _env_names(container: dict[str, Any]) -> set[str]:
    return {entry["name"] for entry in container.get("env") or ()}
