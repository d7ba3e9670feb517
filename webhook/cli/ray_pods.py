"""The pods that KubeRay would create from its own resources.

Source: KubeRay 1.6 `ray-operator/controllers/ray/common/pod.go` (`labelPod`,
`setContainerEnvVars`) and `job.go`.
"""

import copy
from functools import partial

from webhook.cli.document import Field
from webhook.cli.expected_pods import Json, Pods, pod, variable
from webhook.injection.workload import RAY_LABEL

_RAY_VARIABLES = (
    "RAY_CLUSTER_NAME",
    "RAY_CLUSTER_NAMESPACE",
    "RAY_CLOUD_INSTANCE_ID",
    "RAY_NODE_TYPE_NAME",
    "KUBERAY_GEN_RAY_START_CMD",
)
_RAY_UNLESS_SET = (
    "RAY_PORT",
    "RAY_ADDRESS",
    "RAY_USAGE_STATS_KUBERAY_IN_USE",
    "RAY_USAGE_STATS_EXTRA_TAGS",
    "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE",
)
_SUBMITTER: Json = {
    "metadata": {},
    "spec": {"containers": [{"name": "ray-job-submitter"}]},
}
_by_kuberay = partial(variable, writer="KubeRay")


def ray_cluster(spec: Field, name: str) -> Pods:
    """Yield the head and one worker of each group."""
    head = spec.at("headGroupSpec").at("template")
    yield "head", _ray_pod(head, name, "headgroup", "head")
    for group in spec.at("workerGroupSpecs").items():
        group_name = group.at("groupName").text()
        worker = _ray_pod(group.at("template"), name, group_name, "worker")
        yield f"worker of group {group_name}", worker


def ray_job(spec: Field, name: str) -> Pods:
    """Yield the pods of the job's own cluster, if it has one, and the submitter."""
    if not spec.at("clusterSelector").map_or_empty():
        yield from ray_cluster(spec.at("rayClusterSpec"), name)
    if (spec.at("submissionMode").text() or "K8sJobMode") == "K8sJobMode":
        template = spec.at("submitterPodTemplate")
        given = bool(template.map_or_empty())
        yield "submitter", _ray_template(template) if given else _SUBMITTER


def _ray_pod(template: Field, cluster: str, group: str, node_type: str) -> Json:
    made = _ray_template(template)
    made["metadata"]["labels"] = {
        "ray.io/is-ray-node": "yes",
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
        **made["metadata"]["labels"],
        "ray.io/cluster": cluster,
        "ray.io/group": group,
        RAY_LABEL: node_type,
    }
    container = made["spec"]["containers"][0]
    entries = container.get("env") or ()
    skipped = {entry.get("name") for entry in entries}
    if node_type == "worker":
        skipped.add("RAY_USAGE_STATS_EXTRA_TAGS")
    container["env"] = [
        *entries,
        *map(_by_kuberay, ("FQ_RAY_IP", "RAY_IP") if node_type == "worker" else ()),
        *map(_by_kuberay, _RAY_VARIABLES),
        *(_by_kuberay(key) for key in _RAY_UNLESS_SET if key not in skipped),
    ]
    return made


def _ray_template(template: Field) -> Json:
    containers = template.at("spec").at("containers")
    if not containers.items():
        raise containers.error("is missing")
    for container in containers.items():
        for entry in container.at("env").items():
            entry.at("name").text()
    return pod(template, copy.deepcopy(template.at("spec").map()), {})
