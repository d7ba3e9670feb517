"""A real MLflow tracking server as a pod, and what it has recorded."""

import json
from dataclasses import dataclass
from typing import Any, Final, Self

from tests.e2e.installation import await_pod
from tests.lab import task_image
from tests.lab.node import Node

NAMESPACE: Final = "tracking"
_NAME: Final = "mlflow"
_COMMAND: Final = (
    *("mlflow", "server", "--host=0.0.0.0", "--port=5000", "--workers=1"),
    *("--backend-store-uri=sqlite:////tmp/mlflow.db", "--allowed-hosts=*"),
)
_ASK: Final = """
import json, mlflow
mlflow.set_tracking_uri("http://127.0.0.1:5000")
runs = mlflow.search_runs(experiment_names=["{experiment}"], output_format="list")
print(json.dumps([{{**run.data.metrics, **run.data.params}} for run in runs]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingServer:
    """A running server, behind the Service `mlflow.tracking`."""

    node: Node

    @classmethod
    def start(cls, node: Node) -> Self:
        """Start it and return when it answers."""
        node.plane.namespace(NAMESPACE)
        container: dict[str, Any] = {
            "name": _NAME,
            "image": task_image.NAME,
            "args": list(_COMMAND),
            "readinessProbe": {
                "httpGet": {"path": "/health", "port": 5000},
                "periodSeconds": 1,
                "timeoutSeconds": 5,
            },
        }
        pod = {
            "metadata": {"name": _NAME, "labels": {"app": _NAME}},
            "spec": {
                "containers": [container],
                "enableServiceLinks": False,
                # A test has the kubelet evict pods: not this one.
                "priorityClassName": "system-node-critical",
            },
        }
        service = {
            "metadata": {"name": _NAME},
            "spec": {"selector": {"app": _NAME}, "ports": [{"port": 5000}]},
        }
        base = f"/api/v1/namespaces/{NAMESPACE}"
        node.plane.admin.create(f"{base}/services", service)
        node.plane.admin.create(f"{base}/pods", pod)
        await_pod(node, NAMESPACE, _NAME)
        return cls(node=node)

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """The metrics and parameters of each run of an experiment."""
        script = _ASK.format(experiment=experiment)
        printed = self.node.plane.kubectl(
            *("exec", "-n", NAMESPACE, _NAME, "--", "python3", "-c", script)
        )
        found: list[dict[str, Any]] = json.loads(printed.splitlines()[-1])
        return found
