"""What all pods have in common that an operator would create."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from webhook.cli.document import Field

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


def pod(
    template: Field, spec: Json, labels: Mapping[str, str], part: Field | None = None
) -> Json:
    """Return a pod with the labels and annotations of a template.

    Args:
        template: of the pod.
        spec: of the pod.
        labels: what the operator sets, whatever a person wrote.
        part: what has labels and annotations besides, which win.
    """
    nodes = [template.at("metadata").or_empty(), *([part] if part else [])]

    def texts(name: str) -> dict[str, str]:
        return {k: v for one in nodes for k, v in one.at(name).texts().items()}

    metadata = {
        "labels": texts("labels") | dict(labels),
        "annotations": texts("annotations"),
    }
    return {"metadata": metadata, "spec": spec}


def variable(key: str, *, writer: str) -> Json:
    """Return an `env` entry that an operator writes, without the value it works out."""
    if path := _FIELDS.get(key):
        return {"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}}
    return {"name": key, "value": f"<written by {writer}>"}
