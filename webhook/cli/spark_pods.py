"""The pods that Spark's operators would create, Kubeflow's and Apache's own.

What Spark itself writes is the same for both; Kubeflow's own webhook appends more.

Sources: spark-operator 2.5 `internal/webhook/sparkpod_defaulter.go` and
`internal/controller/sparkapplication/submission.go`; Spark 3.5
`resource-managers/kubernetes/core`; spark-kubernetes-operator 1.0
`spark-submission-worker` (`SparkClusterResourceSpec.java`) and
`spark-operator/.../utils/Utils.java`.
"""

import copy
from dataclasses import dataclass, replace
from functools import partial

from webhook.cli.document import Field
from webhook.cli.expected_pods import Json, Pods, pod, variable
from webhook.injection.workload import SPARK_LABEL

_by_spark = partial(variable, writer="Spark")


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


def spark_application(spec: Field, name: str) -> Pods:
    """Yield the driver and an executor."""
    for role in _ROLES:
        part = spec.at(role.label).or_empty()
        yield role.label, _kubeflow_pod(role, spec, part, name)


def spark_connect(spec: Field, name: str) -> Pods:
    """Yield the server, which is no task, and an executor."""
    driver, executor = _ROLES
    part = spec.at("server").or_empty()
    server = replace(driver, label="server")
    made = _kubeflow_pod(server, spec, part, name)
    made["metadata"]["labels"][SPARK_LABEL] = "connect-server"
    yield "server", made
    part = spec.at(executor.label).or_empty()
    yield executor.label, _kubeflow_pod(executor, spec, part, name)


def apache_application(spec: Field, name: str) -> Pods:
    """Yield the driver and an executor of Apache's own operator."""
    for role in _ROLES:
        part = spec.at(f"{role.label}Spec").or_empty()
        template = part.at("podTemplateSpec").or_empty()
        labels = {"spark-app-name": name, "spark.operator/spark-app-name": name}
        yield role.label, _spark_pod(role, spec, part, template, labels)


def apache_cluster(spec: Field, name: str) -> Pods:
    """Yield the master and a worker, neither of which is a task by itself."""
    for role, key in (("master", "SPARK_MASTER_OPTS"), ("worker", "SPARK_WORKER_OPTS")):
        part = spec.at(f"{role}Spec").or_empty().at("statefulSetSpec").or_empty()
        yield role, _standalone_pod(role, key, part.at("template").or_empty(), name)


def _standalone_pod(role: str, key: str, template: Field, name: str) -> Json:
    spec = template.at("spec").or_empty()
    containers = [copy.deepcopy(node.map()) for node in spec.at("containers").items()]
    if all(one.get("name") != role for one in containers):
        containers.append({"name": role})
    for one in containers:
        if one.get("name") == role:
            one["env"] = [*(one.get("env") or ()), variable(key, writer="the operator")]
    labels = {SPARK_LABEL: role, "spark.operator/spark-cluster-name": name}
    made = {**copy.deepcopy(spec.map()), "containers": containers}
    return pod(template, made, labels)


def _kubeflow_pod(role: _Role, spec: Field, part: Field, name: str) -> Json:
    labels = {
        "spark-app-name": name,
        "sparkoperator.k8s.io/launched-by-spark-operator": "true",
    }
    return _spark_pod(role, spec, part, part.at("template").or_empty(), labels)


def _spark_pod(
    role: _Role, spec: Field, part: Field, template: Field, labels: dict[str, str]
) -> Json:
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
    return pod(template, pod_spec, labels | {SPARK_LABEL: role.label}, part)


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
