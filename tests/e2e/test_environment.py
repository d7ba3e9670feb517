"""The reference model says what the kubelet does.

Other tests trust `webhook.injection.environment` to judge what a task sees. Here a
real kubelet starts generated pods, as they are and as the webhook would change them,
and each container prints its environment.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from tests.e2e.environments import SOURCES, generated_container
from tests.e2e.installation import PATIENCE, delete_namespaces
from tests.lab.images import BUSYBOX
from tests.lab.node import Node
from tests.lab.processes import wait_for
from tests.pods import RAY_WORKER, Pod, injected
from webhook.injection.environment import Environment, environment
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence

NAMESPACE: Final = "environments"
PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"

NUMBERS: Final = tuple(range(60))
PRINT: Final = ["base64", "-w0", "/proc/self/environ"]
POLICIES: Final = (
    None,
    InjectionPolicy(),
    InjectionPolicy(precedence=Precedence.OVERRIDE, on_missing=OnMissing.START),
    InjectionPolicy(enforced_keys=("TRACKING_URI", "TRACKING_API_KEY")),
)


def generated_pod(number: int) -> Pod:
    """The pod with this number: its container prints its environment, once."""
    fields = generated_container(number)
    container = {"name": "ray-worker", "image": BUSYBOX, "command": PRINT, **fields}
    pod = {
        "metadata": {"name": f"pod-{number}", "labels": RAY_WORKER},
        "spec": {
            "containers": [container],
            "enableServiceLinks": False,
            "hostname": "probe",
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
        },
    }
    policy = POLICIES[number % len(POLICIES)]
    return pod if policy is None else injected(pod, policy)


@pytest.fixture(scope="module")
def seen(node: Node) -> Iterator[Mapping[str, dict[str, str] | str]]:
    """For each pod what its container printed, or why it waits."""
    admin = node.plane.admin
    node.plane.namespace(NAMESPACE)
    for kind, objects in (
        ("secrets", SOURCES.secrets),
        ("configmaps", SOURCES.config_maps),
    ):
        for name, content in objects.items():
            if content is not None:
                field = "stringData" if kind == "secrets" else "data"
                body = {"metadata": {"name": name}, field: dict(content)}
                admin.create(f"/api/v1/namespaces/{NAMESPACE}/{kind}", body)
    admin.create(PODS, bare_pod())
    for number in NUMBERS:
        admin.create(PODS, generated_pod(number))
    wait_for(
        "the end of every pod",
        lambda: all(map(outcome, listed(node))),
        seconds=PATIENCE,
    )
    yield {pod["metadata"]["name"]: read(node, pod) for pod in listed(node)}
    delete_namespaces(node, NAMESPACE)


def bare_pod() -> Pod:
    """A pod that sets nothing, to see what every container gets."""
    pod = generated_pod(0)
    pod["metadata"]["name"] = "bare"
    del pod["spec"]["containers"][0]["env"], pod["spec"]["containers"][0]["envFrom"]
    return pod


def listed(node: Node) -> list[dict[str, Any]]:
    """The pods as they are now."""
    items: list[dict[str, Any]] = node.plane.admin.get(PODS)["items"]
    return items


def outcome(pod: dict[str, Any]) -> str:
    """`Succeeded`, or the reason to wait; empty while neither is settled."""
    phase: str = pod["status"]["phase"]
    if phase in ("Succeeded", "Failed"):
        return phase
    for status in pod["status"].get("containerStatuses", ()):
        reason: str = status["state"].get("waiting", {}).get("reason", "")
        if reason == "CreateContainerConfigError":
            return reason
    return ""


def read(node: Node, pod: dict[str, Any]) -> dict[str, str] | str:
    """What the pod's container printed, or why it waits."""
    if outcome(pod) != "Succeeded":
        return outcome(pod)
    printed = base64.b64decode(
        node.plane.admin.text(f"{PODS}/{pod['metadata']['name']}/log")
    )
    entries = [e.partition("=") for e in printed.decode().split("\0") if e]
    return {name: value for name, _, value in entries}


def model(number: int) -> Environment:
    """What the model says of a pod."""
    return environment(generated_pod(number)["spec"]["containers"][0], SOURCES)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_container_sees_what_the_model_says(
    seen: Mapping[str, dict[str, str] | str], number: int
) -> None:
    """Values, precedence, prefixes, duplicates, odd names, references, waiting."""
    expected = model(number)
    values = {name: v.value for name, v in expected.variables.items()}
    bare = seen["bare"]
    assert isinstance(bare, dict)

    if expected.waits_for:
        assert "CreateContainerConfigError" == seen[f"pod-{number}"]
    else:
        assert {**bare, **values} == seen[f"pod-{number}"]
