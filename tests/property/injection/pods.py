"""Generated task pods, with everything that an environment may come from."""

import copy
from typing import Any

from hypothesis import strategies as st

from tests.pods import (
    CONFIG,
    MIRROR,
    OPTED_IN,
    RAY_ENV,
    RAY_HEAD,
    RAY_WORKER,
    SPARK_DRIVER,
    SPARK_DRIVER_ENV,
    SPARK_EXECUTOR,
    SPARK_EXECUTOR_ENV,
)
from webhook.injection.certificate_mount import MOUNT, VOLUME
from webhook.injection.names import (
    CA_CONFIG_MAP,
    CA_DIRECTORY,
    CONTAINERS_ANNOTATION,
    INJECTION_ANNOTATION,
)
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence

KEYS = ["TRACKING_URI", "TRACKING_API_KEY", "S3", "OTHER", "a.b-c"]

policies = st.builds(
    InjectionPolicy,
    precedence=st.sampled_from(Precedence),
    on_missing=st.sampled_from(OnMissing),
    enforced_keys=st.lists(st.sampled_from(KEYS), unique=True, max_size=3).map(tuple),
    tracking_ca=st.booleans(),
)

literals = st.fixed_dictionaries(
    {"name": st.sampled_from(KEYS)},
    optional={
        "value": st.sampled_from(["v", "$(TRACKING_URI)", "$$(S3)", "$(NONE)", ""])
    },
)
key_references = st.builds(
    lambda name, secret, key: {
        "name": name,
        "valueFrom": {"secretKeyRef": {"name": secret, "key": key}},
    },
    st.sampled_from(KEYS),
    st.sampled_from(["michelangelo-tracking", "theirs"]),
    st.sampled_from(KEYS),
)
fields = st.builds(
    lambda name: {
        "name": name,
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
    },
    st.sampled_from(KEYS),
)
entries = st.lists(literals | key_references | fields, max_size=6)

THEIRS = {"secretRef": {"name": "theirs", "optional": True}}
PREFIXED = {"prefix": "P_", **MIRROR}
OPTIONAL = {"secretRef": {"name": "michelangelo-tracking", "optional": True}}
sources = st.lists(
    st.sampled_from([CONFIG, THEIRS, PREFIXED, MIRROR, OPTIONAL]), max_size=4
)
foreign_sources = st.lists(st.sampled_from([CONFIG, THEIRS, PREFIXED]), max_size=4)

VOLUMES: list[dict[str, Any]] = [
    {"name": "logs", "emptyDir": {}},
    VOLUME,
    {"name": CA_CONFIG_MAP, "emptyDir": {}},
    {"name": CA_CONFIG_MAP, "configMap": {"name": CA_CONFIG_MAP}},
    {"name": CA_CONFIG_MAP, "configMap": {"name": "theirs"}},
]
volumes = st.none() | st.lists(
    st.sampled_from(VOLUMES), unique_by=lambda volume: volume["name"], max_size=2
)
MOUNTS: list[dict[str, Any]] = [
    {"name": "logs", "mountPath": "/var/log"},
    {"name": "logs", "mountPath": "/etc"},
    {"name": "logs", "mountPath": f"{CA_DIRECTORY}/"},
    {"name": "logs", "mountPath": f"{CA_DIRECTORY}/ca.crt", "subPath": "a"},
    {"name": "logs", "mountPath": f"{CA_DIRECTORY}-too"},
    MOUNT,
]
mounts = st.none() | st.lists(
    st.sampled_from(MOUNTS), unique_by=lambda mount: mount["mountPath"], max_size=3
)

SIGNATURES = [
    (RAY_HEAD, RAY_ENV),
    (RAY_WORKER, RAY_ENV),
    (SPARK_DRIVER, SPARK_DRIVER_ENV),
    (SPARK_EXECUTOR, SPARK_EXECUTOR_ENV),
    (OPTED_IN, []),
]

annotations: st.SearchStrategy[dict[str, str] | None] = (
    st.none()
    | st.just({})
    | st.just({"a~/b": "c"})
    | st.sampled_from(["", "[]", '{"containers":["task"]}']).map(
        lambda note: {INJECTION_ANNOTATION: note}
    )
)


@st.composite
def task_pods(
    draw: st.DrawFn, sources: st.SearchStrategy[list[Any]] = sources
) -> dict[str, Any]:
    """A task pod with one task container, `task`, and containers around it."""
    labels, signature = draw(st.sampled_from(SIGNATURES))
    task: dict[str, Any] = {
        "name": "task",
        # The operators append theirs after the user's.
        "env": [*draw(entries), *signature, *draw(entries)],
        "x-unknown": draw(st.none() | st.just({"deep": [1, None, "ü"]})),
    }
    other: dict[str, Any] = {"name": "other", "env": draw(st.none() | entries)}
    for container in (task, other):
        if draw(st.booleans()):
            container["envFrom"] = draw(st.none() | sources)
        if draw(st.booleans()):
            container["volumeMounts"] = draw(mounts)
            container["securityContext"] = {"readOnlyRootFilesystem": True}
    containers = draw(st.permutations([task, other]))
    metadata: dict[str, Any] = {"labels": {**labels, "x/y~z": "1"}}
    if draw(st.booleans()):
        metadata["annotations"] = draw(annotations)
    if labels is OPTED_IN:
        names = draw(st.sampled_from(["task", " task", "gone,task ,"]))
        metadata["annotations"] = {
            **(metadata.get("annotations") or {}),
            CONTAINERS_ANNOTATION: names,
        }
    spec: dict[str, Any] = {
        "containers": containers,
        "initContainers": [copy.deepcopy(other)],
    }
    if draw(st.booleans()):
        spec["volumes"] = draw(volumes)
    return {"metadata": metadata, "spec": spec}


def task_of(pod: dict[str, Any]) -> dict[str, Any]:
    """The task container of a generated pod."""
    found: dict[str, Any] = next(
        c for c in pod["spec"]["containers"] if c["name"] == "task"
    )
    return found
