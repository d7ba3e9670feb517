"""Real MLflow tracking servers as pods, and what they have recorded."""

import json
from base64 import b64encode
from collections.abc import Mapping
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
_OVER_TLS: Final = (
    "--uvicorn-opts=--ssl-certfile /tls/tls.crt --ssl-keyfile /tls/tls.key"
)
_ASK: Final = """
import json, mlflow, os
os.environ["MLFLOW_TRACKING_INSECURE_TLS"] = "true"
mlflow.set_tracking_uri("{scheme}://127.0.0.1:5000")
runs = mlflow.search_runs(experiment_names=["{experiment}"], output_format="list")
print(json.dumps([{{**run.data.metrics, **run.data.params}} for run in runs]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingServer:
    """A running server, behind the Service `mlflow` of its namespace.

    Attributes:
        node: Where it runs.
        namespace: Its own.
        scheme: `http`, or `https`.
    """

    node: Node
    namespace: str
    scheme: str

    @classmethod
    def start(
        cls,
        node: Node,
        namespace: str = NAMESPACE,
        *,
        tls: Mapping[str, bytes] | None = None,
    ) -> Self:
        """Start it and return when it answers.

        Args:
            node: One that has the tasks' image.
            namespace: To be made.
            tls: `tls.crt` and `tls.key`; without, it serves in the clear.
        """
        node.plane.namespace(namespace)
        scheme = "https" if tls else "http"
        container: dict[str, Any] = {
            "name": _NAME,
            "image": task_image.NAME,
            "args": list(_COMMAND),
            "readinessProbe": {
                "httpGet": {
                    "path": "/health",
                    "port": 5000,
                    "scheme": scheme.upper(),
                },
                "periodSeconds": 1,
                "timeoutSeconds": 5,
            },
        }
        volumes = []
        base = f"/api/v1/namespaces/{namespace}"
        if tls:
            data = {name: b64encode(pem).decode() for name, pem in tls.items()}
            secret = {"metadata": {"name": "tls"}, "data": data}
            node.plane.admin.create(f"{base}/secrets", secret)
            container["args"].append(_OVER_TLS)
            container["volumeMounts"] = [{"name": "tls", "mountPath": "/tls"}]
            volumes = [{"name": "tls", "secret": {"secretName": "tls"}}]
        pod = {
            "metadata": {"name": _NAME, "labels": {"app": _NAME}},
            "spec": {
                "containers": [container],
                "volumes": volumes,
                "enableServiceLinks": False,
                # A test has the kubelet evict pods: not this one.
                "priorityClassName": "system-node-critical",
            },
        }
        service = {
            "metadata": {"name": _NAME},
            "spec": {"selector": {"app": _NAME}, "ports": [{"port": 5000}]},
        }
        node.plane.admin.create(f"{base}/services", service)
        node.plane.admin.create(f"{base}/pods", pod)
        await_pod(node, namespace, _NAME)
        return cls(node=node, namespace=namespace, scheme=scheme)

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """The metrics and parameters of each run of an experiment."""
        script = _ASK.format(experiment=experiment, scheme=self.scheme)
        printed = self.node.plane.kubectl(
            *("exec", "-n", self.namespace, _NAME, "--", "python3", "-c", script)
        )
        found: list[dict[str, Any]] = json.loads(printed.splitlines()[-1])
        return found
