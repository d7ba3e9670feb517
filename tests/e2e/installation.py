"""The product as an operator installs it: its chart, its image, one source, a label."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.lab import own_image
from tests.lab.node import Node
from tests.lab.processes import wait_for
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL

CHART: Final = Path(__file__).parents[2] / "charts" / "tracking-injector"
RELEASE: Final = "tracking-injector"
NAMESPACE: Final = "tracking-injector-system"
TRACKING_URI: Final = "http://mlflow.tracking.svc.cluster.local:5000"
API_KEY: Final = "canary-6f1d2b7c90e84a53"
"""The secret value, of a form that nothing else contains."""

_RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installed release.

    Attributes:
        node: Where it is installed.
        seconds: From `helm install` until both Deployments were available.
    """

    node: Node
    seconds: float

    @classmethod
    def install(cls, node: Node, values: Mapping[str, str]) -> "Installation":
        """Install the chart with the checkout's image; return once it is available.

        Args:
            node: Where to.
            values: More values, as `helm --set` takes them.
        """
        node.load(own_image.archive(node.plane.toolbox))
        node.plane.namespace(NAMESPACE, _RESTRICTED)
        source = {
            "metadata": {"name": "tracking"},
            "stringData": {"TRACKING_URI": TRACKING_URI, "TRACKING_API_KEY": API_KEY},
        }
        node.plane.admin.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", source)
        chosen = {
            "image.repository": own_image.REPOSITORY,
            "image.tag": own_image.TAG,
            "tracking.existingSecret": "tracking",
            **values,
        }
        started = time.monotonic()
        node.plane.helm(
            *("install", RELEASE, CHART, "--namespace", NAMESPACE),
            *(w for pair in chosen.items() for w in ("--set", "=".join(pair))),
            *("--wait", "--timeout", "180s"),
        )
        return cls(node=node, seconds=time.monotonic() - started)

    def compute_namespace(self, name: str) -> str:
        """Create a namespace as an operator would, and label it."""
        return self.node.plane.namespace(name, {INJECT_LABEL: INJECT_ENABLED})

    def scale(self, deployment: str, replicas: int) -> None:
        """Set a Deployment's replicas, and return once there are that many pods."""
        plane = self.node.plane
        plane.kubectl(
            *("scale", "deployment", deployment, "-n", NAMESPACE),
            f"--replicas={replicas}",
        )
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        component = "companion" if deployment.endswith("companion") else "webhook"
        selector = f"app.kubernetes.io/component={component}"

        def settled() -> bool:
            found = plane.admin.get(pods, labelSelector=selector)["items"]
            return len(found) == replicas and all(map(is_ready, found))

        wait_for(f"{replicas} pods of {deployment}", settled, seconds=90)

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The release's pods of a component."""
        found: list[dict[str, Any]] = self.node.plane.admin.get(
            f"/api/v1/namespaces/{NAMESPACE}/pods",
            labelSelector=f"app.kubernetes.io/component={component}",
        )["items"]
        return found

    def shell(self, namespace: str, pod: str, script: str) -> str:
        """Run a shell script in a pod."""
        return self.node.plane.kubectl(
            "exec", "-n", namespace, pod, "--", "sh", "-c", script
        )


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is Ready."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", ())
    )


def await_pod(
    node: Node,
    namespace: str,
    name: str,
    seen: Callable[[dict[str, Any]], bool] = is_ready,
    *,
    seconds: float = 60,
) -> float:
    """Wait until a pod is as `seen` wants it, and return how long that took."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    started = time.monotonic()
    wait_for(
        f"{name} ({seen.__name__})",
        lambda: seen(node.plane.admin.get(path)),
        seconds=seconds,
    )
    return time.monotonic() - started
