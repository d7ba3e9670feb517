"""Small pods of the task pods' shape, and the policy that isolates their namespace.

What runs in them does not matter.
"""

from typing import Any, Final

from tests.lab.images import BUSYBOX
from tests.lab.node import Node
from tests.pods import RAY_ENV, RAY_WORKER

DENY_EGRESS: Final[dict[str, Any]] = {
    "metadata": {"name": "deny-egress"},
    "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
}
"""As careful teams isolate a namespace."""

_IDLE: Final = ["sleep", "3600"]
_SERVE: Final = [
    *("sh", "-c"),
    "mkdir -p /tmp/w; echo hello >/tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w",
]


def worker(name: str, **labels: str) -> dict[str, Any]:
    """A Ray worker, as far as the webhook can tell."""
    return _pod(name, {**RAY_WORKER, **labels}, _IDLE, env=RAY_ENV)


def serving_worker(name: str, **labels: str) -> dict[str, Any]:
    """The same, but it answers on port 80."""
    return _pod(name, {**RAY_WORKER, **labels}, _SERVE, env=RAY_ENV)


def bystander(name: str, **labels: str) -> dict[str, Any]:
    """A pod that is no task pod."""
    return _pod(name, labels, _IDLE)


def web_server(name: str, **labels: str) -> dict[str, Any]:
    """A pod that is no task pod and answers on port 80."""
    return _pod(name, labels, _SERVE)


def policies(namespace: str) -> str:
    """The path of a namespace's NetworkPolicies."""
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"


def create(node: Node, namespace: str, pod: dict[str, Any]) -> str:
    """Create a pod and return its name."""
    node.plane.admin.create(f"/api/v1/namespaces/{namespace}/pods", pod)
    name: str = pod["metadata"]["name"]
    return name


def _pod(
    name: str, labels: dict[str, str], command: list[str], **fields: Any
) -> dict[str, Any]:
    container = {
        "name": "ray-worker",
        "image": BUSYBOX,
        "command": command,
        **fields,
    }
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
