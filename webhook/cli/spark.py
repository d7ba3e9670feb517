"""The pods that a SparkApplication leads to.

As far as recognition and the environment need it: what Spark writes, with what
spark-operator's own webhook appends. A value that Spark works out is `WRITTEN`.

Source: spark-operator 2.5 `internal/webhook/sparkpod_defaulter.go` and
`internal/controller/sparkapplication/submission.go`; Spark 3.5
`resource-managers/kubernetes/core`.
"""

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from webhook.cli.document import Field
from webhook.injection.workload import SPARK_LABEL

WRITTEN = "<written by Spark>"

_FIELDS = {
    "SPARK_DRIVER_BIND_ADDRESS": "status.podIP",
    "SPARK_EXECUTOR_POD_IP": "status.podIP",
    "SPARK_EXECUTOR_POD_NAME": "metadata.name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role:
    label: str
    container: str
    conf: str
    secret_conf: str
    before: tuple[str, ...]
    after: tuple[str, ...]


_ROLES = (
    _Role(
        label="driver",
        container="spark-kubernetes-driver",
        conf="spark.kubernetes.driverEnv.",
        secret_conf="spark.kubernetes.driver.secretKeyRef.",  # noqa: S106 - a setting
        before=("SPARK_USER", "SPARK_APPLICATION_ID"),
        after=("SPARK_DRIVER_BIND_ADDRESS", "SPARK_LOCAL_DIRS", "SPARK_CONF_DIR"),
    ),
    _Role(
        label="executor",
        container="spark-kubernetes-executor",
        conf="spark.executorEnv.",
        secret_conf="spark.kubernetes.executor.secretKeyRef.",  # noqa: S106 - a setting
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


def spark_application(spec: Field, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The driver and an executor.

    Args:
        spec: A SparkApplication's spec.
        name: The application's name.

    Yields:
        `driver` or `executor`, and the pod.

    Raises:
        BadInputError: A field that makes the pod is of the wrong type.
    """
    for role in _ROLES:
        yield role.label, _pod(role, spec, name)


def scheduled_spark_application(
    spec: Field, name: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods of each run; arguments and result as `spark_application`."""
    yield from spark_application(spec.at("template"), name)


def spark_connect(spec: Field, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The server, which is no task, and an executor; as `spark_application`."""
    connect = dataclasses.replace(_ROLES[0], label="server")
    server = _pod(connect, spec, name)
    server["metadata"]["labels"][SPARK_LABEL] = "connect-server"
    yield "server", server
    yield "executor", _pod(_ROLES[1], spec, name)


def _pod(role: _Role, spec: Field, name: str) -> dict[str, Any]:
    part = spec.at(role.label).or_empty()
    template = part.at("template").or_empty()
    metadata = template.at("metadata").or_empty()
    pod_spec = copy.deepcopy(template.at("spec").map_or_empty())
    container, others = _spark_container(template, role)
    container["env"] = [
        *(container.get("env") or ()),
        *map(_written, role.before),
        *_configured(role, spec, part),
        *map(_written, role.after),
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


def _spark_container(
    template: Field, role: _Role
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    # Spark takes the template's container of the name it is told, else the first,
    # and puts it behind the others.
    spec = template.at("spec").or_empty()
    nodes = spec.at("containers").items()
    for node in nodes:
        node.at("env").items()
        node.at("envFrom").items()
    containers = copy.deepcopy([node.map() for node in nodes])
    if not containers:
        return {"name": role.container}, []
    names = [container.get("name") for container in containers]
    place = names.index(role.container) if role.container in names else 0
    return containers.pop(place), containers


def _configured(role: _Role, spec: Field, part: Field) -> list[dict[str, Any]]:
    conf = spec.at("sparkConf").texts()
    literals = {
        key.removeprefix(role.conf): value
        for key, value in conf.items()
        if key.startswith(role.conf)
    } | part.at("envVars").texts()
    references = {
        key.removeprefix(role.secret_conf): value.partition(":")
        for key, value in conf.items()
        if key.startswith(role.secret_conf)
    }
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


def _written(key: str) -> dict[str, Any]:
    if path := _FIELDS.get(key):
        return {"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}}
    return {"name": key, "value": WRITTEN}
