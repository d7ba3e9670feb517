"""The product as an operator installs it: its chart, its image, one source, a label."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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

PATIENCE: Final = 300
"""Seconds to wait for what nobody promises a time for: a machine may be busy."""

COMPONENTS: Final = ("webhook", "companion")
DEPLOYMENTS: Final = {"webhook": RELEASE, "companion": f"{RELEASE}-companion"}

_VALUES: Final = {
    "image.repository": own_image.REPOSITORY,
    "image.tag": own_image.TAG,
    "tracking.existingSecret": "tracking",
}
RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Of a namespace that takes only pods without privileges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installed release.

    Attributes:
        node: Where it is installed.
        seconds: From `helm install` until both Deployments were available.
        namespaces: The compute namespaces made for it.
    """

    node: Node
    seconds: float
    namespaces: list[str] = field(default_factory=list)

    @classmethod
    def install(
        cls, node: Node, values: Mapping[str, str], *, chart: Path = CHART
    ) -> "Installation":
        """Install the chart with the checkout's image; return once it is available.

        Args:
            node: Where to; `prepare` it before.
            values: More values, as `helm --set` takes them.
            chart: Another version of the chart.
        """
        started = time.monotonic()
        _helm(node, "install", chart, {**_VALUES, **values})
        return cls(node=node, seconds=time.monotonic() - started)

    def rollback(self) -> None:
        """Go back one revision, and return once the pods before have ended."""
        self.node.plane.helm(
            *("rollback", RELEASE, "--namespace", NAMESPACE),
            *("--wait", "--timeout", f"{PATIENCE}s"),
        )
        self.await_pods()

    def upgrade(self, values: Mapping[str, str], *, chart: Path = CHART) -> None:
        """Upgrade the release, and return once the pods before it have ended.

        Args:
            values: More values, as `helm --set` takes them; others are the default's.
            chart: Another version of the chart.
        """
        _helm(self.node, "upgrade", chart, {**_VALUES, **values})
        self.await_pods()

    def await_pods(self) -> None:
        """Return once two of each component run, and the ones they replace are gone.

        A pod that is draining still answers, and answers as it was told.
        """
        for component in COMPONENTS:
            wait_for(
                f"two pods of {component}", self._whole(component), seconds=PATIENCE
            )

    def remove(self) -> None:
        """Take the release and its compute namespaces away."""
        delete_namespaces(self.node, *self.namespaces)
        self.uninstall(seconds_to_drain=1)

    def uninstall(self, *flags: str, seconds_to_drain: int | None = None) -> None:
        """Uninstall the release, and return once its pods have ended.

        Args:
            flags: More flags for helm.
            seconds_to_drain: How long its pods may take; their own choice by default.
        """
        self.node.plane.helm("uninstall", RELEASE, "--namespace", NAMESPACE, *flags)
        if seconds_to_drain is not None:
            self.node.plane.kubectl(
                *("delete", "pods", "--all", "--namespace", NAMESPACE),
                f"--grace-period={seconds_to_drain}",
            )
        wait_for(
            "the end of the release's pods",
            lambda: not any(map(self.pods, COMPONENTS)),
            seconds=PATIENCE,
        )

    def compute_namespace(self, name: str) -> str:
        """Create a namespace as an operator would, and label it."""
        self.namespaces.append(name)
        return self.node.plane.namespace(name, {INJECT_LABEL: INJECT_ENABLED})

    def scale(self, component: str, replicas: int) -> None:
        """Set a component's replicas, and return once there are that many pods."""
        self.node.plane.kubectl(
            *("scale", "deployment", DEPLOYMENTS[component], "-n", NAMESPACE),
            f"--replicas={replicas}",
        )
        wait_for(
            f"{replicas} pods of {component}",
            self._whole(component, replicas),
            seconds=PATIENCE,
        )

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The release's pods of a component, but those that the kubelet evicted."""
        found: list[dict[str, Any]] = self.node.plane.admin.get(
            f"/api/v1/namespaces/{NAMESPACE}/pods",
            labelSelector=f"app.kubernetes.io/component={component}",
            fieldSelector="status.phase!=Failed",
        )["items"]
        return found

    def status(self) -> dict[str, Any]:
        """The companion's report."""
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{RELEASE}-status"
        report: dict[str, Any] = json.loads(
            self.node.plane.admin.get(path)["data"]["status.json"]
        )
        return report

    def _whole(self, component: str, replicas: int = 2) -> Callable[[], bool]:
        def settled() -> bool:
            found = self.pods(component)
            return len(found) == replicas and all(map(_is_in_service, found))

        return settled

    def shell(self, namespace: str, pod: str, script: str) -> str:
        """Run a shell script in a pod."""
        return self.node.plane.kubectl(
            "exec", "-n", namespace, pod, "--", "sh", "-c", script
        )


def prepare(node: Node) -> None:
    """What an operator does before anything is installed: a namespace and a source."""
    node.load(own_image.archive(node.plane.toolbox))
    node.plane.namespace(NAMESPACE, RESTRICTED)
    source = {
        "metadata": {"name": "tracking"},
        "stringData": {"TRACKING_URI": TRACKING_URI, "TRACKING_API_KEY": API_KEY},
    }
    node.plane.admin.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", source)


def delete_namespaces(node: Node, *names: str) -> None:
    """Delete namespaces, and return once nothing of them is left."""
    paths = [f"/api/v1/namespaces/{name}" for name in names]
    for path in paths:
        node.plane.admin.delete(path)
    wait_for(
        f"the end of {', '.join(names)}",
        lambda: not any(map(node.plane.admin.exists, paths)),
        seconds=PATIENCE,
    )


def _helm(node: Node, verb: str, chart: Path, values: Mapping[str, str]) -> None:
    node.plane.helm(
        *(verb, RELEASE, chart, "--namespace", NAMESPACE),
        *(w for pair in values.items() for w in ("--set", "=".join(pair))),
        *("--wait", "--timeout", f"{PATIENCE}s"),
    )


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is Ready."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", ())
    )


def _is_in_service(pod: dict[str, Any]) -> bool:
    return is_ready(pod) and "deletionTimestamp" not in pod["metadata"]


def await_pod(
    node: Node,
    namespace: str,
    name: str,
    seen: Callable[[dict[str, Any]], bool] = is_ready,
    *,
    seconds: float = PATIENCE,
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
