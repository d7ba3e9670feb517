"""What Michelangelo's own client makes of a flow, and what its Go mapper makes of that.

The client runs in an environment of its own (`capture.py`). The mapper is Go that no
module proxy serves, so it is restated here; it renames and copies, and decides nothing.
Sources: `go/kubeproto/util` (RemoveInlineFields), `k8sengine/ray.go` (mapRayCluster,
mapRay) and `spark/job/client/client.go` (CreateJob) of michelangelo-ai/michelangelo.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.lab.build import Toolbox

Json = dict[str, Any]

ENVIRON: Final = {
    "UF_TASK_IMAGE": "examples:latest",
    "UF_STORAGE_URL": "s3://default",
    "MA_NAMESPACE": "team-a",
}
"""What the workflow engine's own environment has."""

DATA: Final = Path(__file__).parent / "data"
"""What each flow creates, on file; `test_specs.py` holds it to the client."""

_HERE: Final = Path(__file__).parent
_INLINE: Final = ("localObjectReference", "volumeSource", "handler")
"""Go structs that are embedded: in JSON their fields stand in their owner."""


def capture(toolbox: Toolbox, environ: Mapping[str, str] = ENVIRON) -> Json:
    """Build every flow by the client; return what each would create, by its name."""
    done = subprocess.run(
        [sys.executable, "-S", _HERE / "capture.py", json.dumps(dict(environ))],
        env={
            "PYTHONPATH": str(toolbox.environment("michelangelo")),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    flows: Json = json.loads(done.stdout)
    return flows


def on_file(flow: str) -> list[Any]:
    """What a flow creates, as it is on file."""
    created: list[Any] = json.loads((DATA / f"{flow}.json").read_text("utf-8"))
    return created


def hoisted(value: Any) -> Any:
    """Lift what stands below an embedded struct into its owner."""
    if isinstance(value, list):
        return [hoisted(one) for one in value]
    if not isinstance(value, dict):
        return value
    lifted: Json = {}
    for name, child in value.items():
        lifted |= hoisted(child) if name in _INLINE else {name: hoisted(child)}
    return lifted


def ray_cluster(spec: Json, name: str) -> Json:
    """Map Michelangelo's RayCluster to KubeRay's."""
    own = hoisted(spec)
    head = own["spec"]["head"]
    workers = [
        {
            "groupName": f"worker-{name}",
            "replicas": one["minInstances"],
            "minReplicas": one["minInstances"],
            "maxReplicas": one["maxInstances"],
            "rayStartParams": one["rayStartParams"],
            "template": one["pod"],
        }
        for one in own["spec"]["workers"]
    ]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": name},
        "spec": {
            "rayVersion": own["spec"]["rayVersion"],
            "headGroupSpec": {
                "serviceType": head["serviceType"],
                "rayStartParams": head["rayStartParams"],
                "template": head["pod"],
            },
            "workerGroupSpecs": workers,
        },
    }


def ray_job(spec: Json, cluster: str, command: str) -> Json:
    """Map Michelangelo's RayJob to KubeRay's; its submitter is the head's twin.

    Args:
        spec: Michelangelo's RayCluster, on which it runs.
        cluster: The name of KubeRay's.
        command: What it runs there.
    """
    submitter = hoisted(spec)["spec"]["head"]["pod"]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": cluster},
        "spec": {
            "clusterSelector": {"ray.io/cluster": cluster},
            "entrypoint": command,
            "submitterPodTemplate": {
                **submitter,
                "spec": {**submitter["spec"], "restartPolicy": "Never"},
            },
        },
    }


def spark_application(spec: Json, name: str) -> Json:
    """Map Michelangelo's SparkJob to spark-operator's SparkApplication."""
    own = hoisted(spec["spec"])
    python = "PythonRunner" in own["mainClass"]
    return {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": name},
        "spec": {
            "type": "Python" if python else "Scala",
            "mode": "cluster",
            "image": own["driver"]["pod"]["image"],
            "imagePullPolicy": own["driver"]["pod"]["imagePullingPolicy"],
            "mainClass": own["mainClass"],
            "mainApplicationFile": own["mainApplicationFile"],
            "arguments": own["mainArgs"],
            "sparkVersion": own["sparkVersion"],
            "driver": {
                **_spark_pod(own["driver"]["pod"]),
                "serviceAccount": "spark-operator-spark",
            },
            "executor": {
                **_spark_pod(own["executor"]["pod"]),
                "instances": own["executor"]["instances"],
            },
        },
    }


def _spark_pod(pod: Json) -> Json:
    return {
        "cores": pod["resource"]["cpu"],
        "memory": pod["resource"]["memory"].lower(),
        "env": pod["env"],
        "envFrom": pod["envFrom"],
    }
