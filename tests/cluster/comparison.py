"""Compares a stored pod with its twin: what the same client creates without us.

Two creations never give the same bytes. `comparable` blanks what differs between any
two of them by nature, all of it listed here, and nothing else.
"""

import copy
import json
import re
from typing import Any, Final

from tests.lab.api import Object
from webhook.injection.names import (
    INJECTED_LABEL,
    INJECTED_TRUE,
    INJECTION_ANNOTATION,
    MIRROR_SECRET,
)

REFERENCE: Final[Object] = {"secretRef": {"name": MIRROR_SECRET}}
"""What a task container gets, by the defaults."""

_GIVEN_BY_THE_API_SERVER: Final = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
)

_BY_NATURE: Final = (
    # uids of owners, in labels, and Spark's submission id and local directory
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    # the volume that the ServiceAccount plugin adds
    r"(?<=kube-api-access-)[a-z0-9]{5}",
    # a Spark application's id, and what Spark names after the moment
    r"(?<=spark-)[0-9a-f]{32}",
    r"(?<=-)[0-9a-f]{16}(?=-)",
    # the port of a Spark driver that runs here
    r"(?<=spark.driver.port=)\d+",
    r"(?<=CoarseGrainedScheduler@127.0.0.1:)\d+",
)


def comparable(pod: Object, *random: str) -> Any:
    """The pod without what differs between any two creations.

    Besides the patterns above: its own generated name, its namespace, and the
    generated name of the RayCluster that it belongs to.

    Args:
        pod: As stored.
        *random: Patterns of what else its creator makes up.
    """
    pod = copy.deepcopy(pod)
    metadata = pod["metadata"]
    for field in _GIVEN_BY_THE_API_SERVER:
        metadata.pop(field, None)
    text = json.dumps(pod)
    names = {
        "NAME": metadata["name"],
        "CLUSTER": metadata["labels"].get("ray.io/cluster"),
        "NAMESPACE": metadata["namespace"],
    }
    for placeholder, name in names.items():
        if name:
            text = text.replace(name, placeholder)
    for pattern in (*_BY_NATURE, *random):
        text = re.sub(pattern, "RANDOM", text)
    return json.loads(text)


def containers_with_reference(pod: Object) -> list[str]:
    """Names of the containers, init containers included, that hold our reference."""
    spec = pod["spec"]
    return [
        container["name"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        if REFERENCE in container.get("envFrom", [])
    ]


def stamp(pod: Object) -> Object | None:
    """What the stamp says; `None` unless both label and annotation are there."""
    metadata = pod["metadata"]
    if metadata["labels"].get(INJECTED_LABEL) != INJECTED_TRUE:
        return None
    note = metadata.get("annotations", {}).get(INJECTION_ANNOTATION)
    return None if note is None else dict(json.loads(note))


def without_ours(pod: Object) -> Object:
    """The pod with our stamp and our first-placed references taken out.

    A reference anywhere but first stays, and so fails the comparison.
    """
    pod = copy.deepcopy(pod)
    metadata = pod["metadata"]
    metadata["labels"].pop(INJECTED_LABEL, None)
    annotations = metadata.get("annotations", {})
    if annotations.pop(INJECTION_ANNOTATION, None) and not annotations:
        del metadata["annotations"]
    for container in pod["spec"]["containers"]:
        sources = container.get("envFrom")
        if sources and sources[0] == REFERENCE:
            del sources[0]
            if not sources:
                del container["envFrom"]
    return pod
