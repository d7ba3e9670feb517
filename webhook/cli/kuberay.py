"""The pods that KubeRay would create from its own resources.

As far as recognition and the environment need it: the labels KubeRay sets and the
variables it appends. A value that it works out itself is given as `WRITTEN`.

Source: KubeRay 1.6 `ray-operator/controllers/ray/common/pod.go` (`labelPod`,
`setContainerEnvVars`) and `job.go`.
"""

import copy
from collections.abc import Iterator
from typing import Any

from webhook.cli.document import Field
from webhook.injection.workload import RAY_LABEL

WRITTEN = "<written by KubeRay>"

_LABELS = "metadata.labels['{}']"
_FIELDS = {
    "RAY_CLUSTER_NAME": _LABELS.format("ray.io/cluster"),
    "RAY_CLUSTER_NAMESPACE": "metadata.namespace",
    "RAY_CLOUD_INSTANCE_ID": "metadata.name",
    "RAY_NODE_TYPE_NAME": _LABELS.format("ray.io/group"),
}
_SUBMITTER: dict[str, Any] = {
    "metadata": {},
    "spec": {"containers": [{"name": "ray-job-submitter"}]},
}
_UNLESS_SET = {
    "head": (
        "RAY_PORT",
        "RAY_ADDRESS",
        "RAY_USAGE_STATS_KUBERAY_IN_USE",
        "RAY_USAGE_STATS_EXTRA_TAGS",
        "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE",
    ),
    "worker": (
        "RAY_PORT",
        "RAY_ADDRESS",
        "RAY_USAGE_STATS_KUBERAY_IN_USE",
        "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE",
    ),
}


def ray_cluster(spec: Field, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The head and one worker of each group.

    Args:
        spec: A RayCluster's spec.
        name: The cluster's name.

    Yields:
        What the pod is, as `worker of group small`, and the pod.

    Raises:
        BadInputError: A field that makes the pod is missing or of the wrong type.
    """
    head = spec.at("headGroupSpec").at("template")
    yield "head", _pod(head, name, "headgroup", "head")
    for group in spec.at("workerGroupSpecs").items():
        group_name = group.at("groupName").text()
        worker = _pod(group.at("template"), name, group_name, "worker")
        yield f"worker of group {group_name}", worker


def ray_job(spec: Field, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods of the job's own cluster, if it has one, and the submitter.

    Args:
        spec: A RayJob's spec.
        name: The job's name.

    Yields:
        As `ray_cluster`.

    Raises:
        BadInputError: As `ray_cluster`.
    """
    if not spec.at("clusterSelector").map_or_empty():
        yield from ray_cluster(spec.at("rayClusterSpec"), name)
    if (spec.at("submissionMode").text() or "K8sJobMode") == "K8sJobMode":
        template = spec.at("submitterPodTemplate")
        yield (
            "submitter",
            _template(template) if template.map_or_empty() else _SUBMITTER,
        )


def ray_cron_job(spec: Field, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods of each job; arguments and result as `ray_job`."""
    yield from ray_job(spec.at("jobTemplate"), name)


def ray_service(spec: Field, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods of the service's cluster; arguments and result as `ray_cluster`."""
    yield from ray_cluster(spec.at("rayClusterConfig"), name)


def _pod(template: Field, cluster: str, group: str, node_type: str) -> dict[str, Any]:
    pod = _template(template)
    pod["metadata"]["labels"] = {
        "ray.io/is-ray-node": "yes",
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
        **pod["metadata"]["labels"],
        "ray.io/cluster": cluster,
        "ray.io/group": group,
        RAY_LABEL: node_type,
    }
    container = pod["spec"]["containers"][0]
    entries = container["env"] = list(container.get("env") or ())
    present = {entry.get("name") for entry in entries}
    added = ["FQ_RAY_IP", "RAY_IP"] if node_type == "worker" else []
    entries += [{"name": key, "value": WRITTEN} for key in added]
    entries += [
        {"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for key, path in _FIELDS.items()
    ]
    entries.append({"name": "KUBERAY_GEN_RAY_START_CMD", "value": WRITTEN})
    entries += [
        {"name": key, "value": WRITTEN}
        for key in _UNLESS_SET[node_type]
        if key not in present
    ]
    return pod


def _template(template: Field) -> dict[str, Any]:
    containers = template.at("spec").at("containers")
    if not containers.items():
        raise containers.error("is missing")
    for container in containers.items():
        for entry in container.at("env").items():
            entry.at("name").text()
    metadata = template.at("metadata").or_empty()
    return {
        "metadata": {
            "labels": metadata.at("labels").texts(),
            "annotations": metadata.at("annotations").texts(),
        },
        "spec": copy.deepcopy(template.at("spec").map()),
    }
