"""The pods that operators and Kubernetes itself would create from other resources.

As far as recognition and the environment need it: the labels and variables that KubeRay
writes, those that Spark writes, and what spark-operator's own webhook appends. A value
that they work out themselves is told as `<written by ...>`.

Sources: KubeRay 1.6 `ray-operator/controllers/ray/common/pod.go` (`labelPod`,
`setContainerEnvVars`) and `job.go`; spark-operator 2.5
`internal/webhook/sparkpod_defaulter.go` and
`internal/controller/sparkapplication/submission.go`; Spark 3.5
`resource-managers/kubernetes/core`.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from webhook.cli.document import Field
from webhook.injection.workload import RAY_LABEL, SPARK_LABEL

Json: TypeAlias = dict[str, Any]
Pods: TypeAlias = Iterator[tuple[str, Json]]
"""What each pod is, such as `worker of group small`, and the pod."""

_LABELS = "metadata.labels['{}']"
_FIELDS = {
    "RAY_CLUSTER_NAME": _LABELS.format("ray.io/cluster"),
    "RAY_CLUSTER_NAMESPACE": "metadata.namespace",
    "RAY_CLOUD_INSTANCE_ID": "metadata.name",
    "RAY_NODE_TYPE_NAME": _LABELS.format("ray.io/group"),
    "SPARK_DRIVER_BIND_ADDRESS": "status.podIP",
    "SPARK_EXECUTOR_POD_IP": "status.podIP",
    "SPARK_EXECUTOR_POD_NAME": "metadata.name",
}
"""Variables that are taken from a field of the pod."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role:
    label: str
    conf: str
    before: tuple[str, ...]
    after: tuple[str, ...]


_ROLES = (
    _Role(
        label="driver",
        conf="spark.kubernetes.driverEnv.",
        before=("SPARK_USER", "SPARK_APPLICATION_ID"),
        after=("SPARK_DRIVER_BIND_ADDRESS", "SPARK_LOCAL_DIRS", "SPARK_CONF_DIR"),
    ),
    _Role(
        label="executor",
        conf="spark.executorEnv.",
        before=(
            "SPARK_USER",
            "SPARK_DRIVER_URL",
            "SPARK_EXECUTOR_CORES",
            "SPARK_EXECUTOR_MEMORY",
            "SPARK_APPLICATION_ID",
            "SPARK_CONF_DIR",
            "SPARK_EXECUTOR_ID",
            "SPARK_RESOURCE_PROFILE_ID",
        ),
        after=("SPARK_EXECUTOR_POD_IP", "SPARK_EXECUTOR_POD_NAME", "SPARK_LOCAL_DIRS"),
    ),
)


def _variable(key: str, *, writer: str) -> Json:
    if path := _FIELDS.get(key):
        return {"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}}
    return {"name": key, "value": f"<written by {writer}>"}


_by_kuberay = partial(_variable, writer="KubeRay")
_by_spark = partial(_variable, writer="Spark")


def _ray_cluster(spec: Field, name: str) -> Pods:
    """Yield the head and one worker of each group."""
    head = spec.at("headGroupSpec").at("template")
    yield "head", _ray_pod(head, name, "headgroup", "head")
    for group in spec.at("workerGroupSpecs").items():
        group_name = group.at("groupName").text()
        worker = _ray_pod(group.at("template"), name, group_name, "worker")
        yield f"worker of group {group_name}", worker


def _ray_job(spec: Field, name: str) -> Pods:
    """Yield the pods of the job's own cluster, if it has one, and the submitter."""
    if not spec.at("clusterSelector").map_or_empty():
        yield from _ray_cluster(spec.at("rayClusterSpec"), name)
    if (spec.at("submissionMode").text() or "K8sJobMode") == "K8sJobMode":
        template = spec.at("submitterPodTemplate")
        given = bool(template.map_or_empty())
        yield "submitter", _ray_template(template) if given else _SUBMITTER


def _ray_pod(template: Field, cluster: str, group: str, node_type: str) -> Json:
    pod = _ray_template(template)
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
    return pod


def _ray_template(template: Field) -> Json:
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


def _spark_application(spec: Field, name: str) -> Pods:
    """Yield the driver and an executor."""
    for role in _ROLES:
        yield role.label, _spark_pod(role, spec, name)


def _spark_connect(spec: Field, name: str) -> Pods:
    """Yield the server, which is no task, and an executor."""
    server = _spark_pod(replace(_ROLES[0], label="server"), spec, name)
    server["metadata"]["labels"][SPARK_LABEL] = "connect-server"
    yield "server", server
    yield "executor", _spark_pod(_ROLES[1], spec, name)


def _spark_pod(role: _Role, spec: Field, name: str) -> Json:
    part = spec.at(role.label).or_empty()
    template = part.at("template").or_empty()
    metadata = template.at("metadata").or_empty()
    pod_spec = copy.deepcopy(template.at("spec").map_or_empty())
    container, others = _spark_container(template, role)
    container["env"] = [
        *(container.get("env") or ()),
        *map(_by_spark, role.before),
        *_configured(role, spec, part),
        *map(_by_spark, role.after),
        *(entry.value for entry in part.at("env").items()),
    ]
    container["envFrom"] = [
        *(container.get("envFrom") or ()),
        *(source.value for source in part.at("envFrom").items()),
    ]
    sidecars = [sidecar.value for sidecar in part.at("sidecars").items()]
    pod_spec["containers"] = [*others, container, *sidecars]
    return {
        "metadata": {
            "labels": {
                **metadata.at("labels").texts(),
                **part.at("labels").texts(),
                "spark-app-name": name,
                "sparkoperator.k8s.io/launched-by-spark-operator": "true",
                SPARK_LABEL: role.label,
            },
            "annotations": {
                **metadata.at("annotations").texts(),
                **part.at("annotations").texts(),
            },
        },
        "spec": pod_spec,
    }


def _spark_container(template: Field, role: _Role) -> tuple[Json, list[Json]]:
    # Spark takes the template's container of the name it is told, else the first,
    # and puts it behind the others.
    spec = template.at("spec").or_empty()
    nodes = spec.at("containers").items()
    for node in nodes:
        node.at("env").items()
        node.at("envFrom").items()
    containers = copy.deepcopy([node.map() for node in nodes])
    own = f"spark-kubernetes-{role.label}"
    if not containers:
        return {"name": own}, []
    names = [container.get("name") for container in containers]
    place = names.index(own) if own in names else 0
    return containers.pop(place), containers


def _configured(role: _Role, spec: Field, part: Field) -> list[Json]:
    conf = spec.at("sparkConf").texts()
    literals = _below(role.conf, conf) | part.at("envVars").texts()
    secrets = _below(f"spark.kubernetes.{role.label}.secretKeyRef.", conf)
    references = {key: value.partition(":") for key, value in secrets.items()}
    refs = part.at("envSecretKeyRefs")
    for key in refs.map_or_empty():
        target = refs.at(key)
        references[key] = target.at("name").text(), ":", target.at("key").text()
    return [
        *({"name": key, "value": value} for key, value in literals.items()),
        *(
            {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": item}}}
            for key, (secret, _, item) in references.items()
        ),
    ]


def _below(prefix: str, conf: dict[str, str]) -> dict[str, str]:
    return {k.removeprefix(prefix): v for k, v in conf.items() if k.startswith(prefix)}


_TEMPLATE = ("spec", "template")
TEMPLATES = {
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
}
"""By API group and kind: where the template is of which pods are copies."""

OPERATORS: dict[tuple[str, str], Callable[[Field, str], Pods]] = {
    ("ray.io", "RayCluster"): _ray_cluster,
    ("ray.io", "RayJob"): _ray_job,
    ("ray.io", "RayCronJob"): lambda spec, name: _ray_job(spec.at("jobTemplate"), name),
    ("ray.io", "RayService"): lambda spec, name: _ray_cluster(
        spec.at("rayClusterConfig"), name
    ),
    ("sparkoperator.k8s.io", "SparkApplication"): _spark_application,
    ("sparkoperator.k8s.io", "SparkConnect"): _spark_connect,
    ("sparkoperator.k8s.io", "ScheduledSparkApplication"): (
        lambda spec, name: _spark_application(spec.at("template"), name)
    ),
}
"""By API group and kind: what gives the pods that the operator would create.

It gets the resource's spec and name, and raises `BadInputError` where a field that
makes a pod is missing or of the wrong type.
"""
