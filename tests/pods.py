"""Small pods for tests: only what a decision reads, shaped as operators do."""

import copy
from typing import Any

import jsonpatch

from webhook.injection.decision import Decision, decide
from webhook.injection.policy import InjectionPolicy
from webhook.injection.review import Review

Pod = dict[str, Any]
Container = dict[str, Any]

RAY_ENV = [{"name": "KUBERAY_GEN_RAY_START_CMD", "value": "ray start"}]
SPARK_DRIVER_ENV = [
    {"name": "SPARK_APPLICATION_ID", "value": "spark-1"},
    {"name": "SPARK_DRIVER_BIND_ADDRESS", "value": "10.0.0.1"},
]
SPARK_EXECUTOR_ENV = [
    {"name": "SPARK_APPLICATION_ID", "value": "spark-1"},
    {"name": "SPARK_EXECUTOR_ID", "value": "1"},
]

RAY_HEAD = {"ray.io/node-type": "head"}
RAY_WORKER = {"ray.io/node-type": "worker"}
SPARK_DRIVER = {"spark-role": "driver"}
SPARK_EXECUTOR = {"spark-role": "executor"}
OPTED_IN = {"tracking.michelangelo-ai.org/inject": "enabled"}

MIRROR = {"secretRef": {"name": "michelangelo-tracking"}}
CONFIG = {"configMapRef": {"name": "michelangelo-config"}}


def container(name: str, **fields: Any) -> Container:
    """A container of this name with just these fields."""
    return {"name": name, **fields}


def pod(labels: dict[str, str] | None, *containers: Container, **metadata: Any) -> Pod:
    """A pod of these labels and containers."""
    return {
        "metadata": {"labels": labels, **metadata},
        "spec": {"containers": list(containers)},
    }


def ray_head(**fields: Any) -> Pod:
    """A head pod whose one container has these fields beside KubeRay's signature."""
    env = [*RAY_ENV, *fields.pop("env", [])]
    return pod(RAY_HEAD, container("ray-head", env=env, **fields))


def review_of(pod: Any, **fields: Any) -> Review:
    """The review of this pod's creation in a compute namespace."""
    return Review(**{"uid": "u", "namespace": "team-a", "pod": pod, **fields})


def decide_on(
    pod: Any, policy: InjectionPolicy | None = None, **fields: Any
) -> Decision:
    """Decide on this pod's creation."""
    return decide(review_of(pod, **fields), policy or InjectionPolicy())


def apply(pod: Pod, decision: Decision) -> Pod:
    """The pod after the decision's patch, applied by jsonpatch."""
    patched: Pod = jsonpatch.apply_patch(copy.deepcopy(pod), list(decision.patch))
    return patched


def injected(pod: Pod, policy: InjectionPolicy | None = None) -> Pod:
    """The pod after one pass."""
    return apply(pod, decide_on(pod, policy))


def first(pod: Pod) -> Container:
    """The pod's first container."""
    found: Container = pod["spec"]["containers"][0]
    return found
