"""The least pod of each kind, for dry runs and the tests of the chart.

It satisfies Pod Security's `restricted` and asks for almost nothing, so that a refusal
means that real task pods would be refused too.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from webhook.injection.environment import KnownSources, VariableSource, environment
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL, MIRROR_SECRET
from webhook.injection.patch import refers_to_mirror

KINDS: Final[Mapping[str, tuple[Mapping[str, str], str]]] = {
    "Ray head": ({"ray.io/node-type": "head"}, "ray-head"),
    "Ray worker": ({"ray.io/node-type": "worker"}, "ray-worker"),
    "Spark driver": ({"spark-role": "driver"}, "spark-kubernetes-driver"),
    "Spark executor": ({"spark-role": "executor"}, "spark-kubernetes-executor"),
    "Opted-in pod": ({INJECT_LABEL: INJECT_ENABLED}, "task"),
}
"""By what people call it: labels, and the task container's name."""

IMAGE: Final = "registry.k8s.io/pause:3.10"
"""Where the release's own image, which the cluster's policies know, is not known."""
NOBODY: Final[Mapping[str, Any]] = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
UNPRIVILEGED: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
_LEAST: Final = {"cpu": "1m", "memory": "4Mi"}


def task_pod(kind: str, namespace: str, image: str) -> dict[str, Any]:
    """Return a pod of a kind.

    Args:
        kind: one of `KINDS`.
        namespace: where it would be.
        image: one that the cluster's policies know; it is never pulled.
    """
    labels, container = KINDS[kind]
    return {
        "metadata": {
            "generateName": "tracking-doctor-",
            "namespace": namespace,
            "labels": dict(labels),
        },
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "securityContext": dict(NOBODY),
            "containers": [
                {
                    "name": container,
                    "image": image,
                    "resources": {"requests": dict(_LEAST), "limits": dict(_LEAST)},
                    "securityContext": dict(UNPRIVILEGED),
                }
            ],
        },
    }


def has_keys(pod: Mapping[str, Any], kind: str) -> bool:
    """Return whether a pod's task container refers to the mirror."""
    return any(map(refers_to_mirror, _task(pod, kind).get("envFrom") or ()))


def hidden_keys(
    pod: Mapping[str, Any], kind: str, keys: Collection[str]
) -> Mapping[str, str]:
    """Return the tracking keys that come from elsewhere, and from where.

    Args:
        pod: as the API server would store it.
        kind: one of `KINDS`.
        keys: names of the tracking keys.
    """
    sources = KnownSources(
        secrets={MIRROR_SECRET: dict.fromkeys(keys, "")}, config_maps={}
    )
    found = environment(_task(pod, kind), sources).variables
    return {
        key: found[key].source
        for key in keys
        if key in found and found[key].kind is not VariableSource.TRACKING
    }


def _task(pod: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    _, name = KINDS[kind]
    containers = pod["spec"]["containers"]
    named = [one for one in containers if one["name"] == name]
    found: Mapping[str, Any] = (named or containers)[0]
    return found
