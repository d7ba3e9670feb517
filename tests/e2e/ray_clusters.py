"""Michelangelo's Ray clusters and jobs on a small node: KubeRay makes the pods."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.e2e.installation import PATIENCE, is_ready
from tests.lab import task_image
from tests.lab.node import Node
from tests.lab.processes import wait_for
from tests.michelangelo.client import Json, ray_cluster, ray_job

NAME: Final = "uf-ray"
HEAD: Final = "ray.io/node-type=head"
WORKER: Final = "ray.io/node-type=worker"

SMALL: Final = {
    "requests": {"cpu": "50m", "memory": "256Mi"},
    "limits": {"cpu": "2", "memory": "2Gi"},
}
SUCCEEDED: Final = "SUCCEEDED"
_SETTLED: Final = ("Complete", "Failed")


@contextmanager
def running(
    node: Node, namespace: str, cluster: Json, *, app: Path | None = None
) -> Iterator[None]:
    """Keep a cluster of one head and one worker in a namespace.

    Args:
        node: A node beside which KubeRay runs.
        namespace: Where.
        cluster: As Michelangelo's client creates it.
        app: What its image would have in `/app`.
    """
    config = {"metadata": {"name": "michelangelo-config"}, "data": {"MA_X": "kept"}}
    admin = node.plane.admin
    admin.create(f"/api/v1/namespaces/{namespace}/configmaps", config)
    path = f"/apis/ray.io/v1/namespaces/{namespace}/rayclusters"
    admin.create(path, _small(ray_cluster(cluster, NAME), app))
    wait_for(
        f"head and worker in {namespace}",
        lambda: [True, True] == [is_ready(pod) for pod in _pods(node, namespace)],
        seconds=PATIENCE,
    )
    yield
    admin.delete(f"{path}/{NAME}")
    wait_for("Ray's end", lambda: not _pods(node, namespace), seconds=PATIENCE)


def run(
    node: Node,
    namespace: str,
    cluster: Json,
    command: str,
    *,
    app: Path | None = None,
) -> tuple[str, str]:
    """Run a command on the cluster that `running` keeps, as Michelangelo does.

    Returns:
        How it ended, and what it printed.
    """
    job = ray_job(cluster, NAME, command)
    template = job["spec"]["submitterPodTemplate"]
    job["spec"]["submitterPodTemplate"] = _fitted(template, app)
    job["metadata"] = {"generateName": f"{NAME}-"}
    jobs = f"/apis/ray.io/v1/namespaces/{namespace}/rayjobs"
    admin = node.plane.admin
    name = admin.create(jobs, job)["metadata"]["name"]
    return ended(node, namespace, name)


def ended(node: Node, namespace: str, name: str) -> tuple[str, str]:
    """Wait for the end of a RayJob and of the pod that submitted it.

    The job ends first: its submitter still has lines to print then.

    Returns:
        How it ended, and what it printed.
    """
    path = f"/apis/ray.io/v1/namespaces/{namespace}/rayjobs/{name}"
    found: dict[str, Any] = {}

    def settled() -> bool:
        found.update(node.plane.admin.get(path).get("status", {}))
        return found.get("jobDeploymentStatus") in _SETTLED

    wait_for(f"the end of {name} in {namespace}", settled, seconds=PATIENCE)
    printed = node.plane.kubectl(
        *("logs", "-n", namespace, "-l", f"job-name={name}", "--tail=-1")
    )
    return found["jobStatus"], printed


def _small(cluster: Json, app: Path | None) -> Json:
    """A cluster whose tasks run on its one worker."""
    head = cluster["spec"]["headGroupSpec"]
    (worker,) = cluster["spec"]["workerGroupSpecs"]
    worker |= {"replicas": 1, "minReplicas": 1, "maxReplicas": 1}
    for group, processors in ((head, "0"), (worker, "1")):
        group["rayStartParams"]["num-cpus"] = processors
        group["template"] = _fitted(group["template"], app)
    return cluster


def _fitted(template: Json, app: Path | None) -> Json:
    """A pod's template with our image, and little of the machine."""
    template = copy.deepcopy(template)
    spec = template["spec"]
    (container,) = spec["containers"]
    container |= {"image": task_image.NAME, "resources": SMALL}
    for volume in spec.get("volumes", ()):
        # Not the machine's own `/tmp/ray`, which all clusters here would share.
        volume.pop("hostPath")
        volume["emptyDir"] = {}
    if app:
        mount = {"name": "app", "mountPath": "/app"}
        volume = {"name": "app", "hostPath": {"path": str(app)}}
        container["volumeMounts"] = [*container.get("volumeMounts", ()), mount]
        spec["volumes"] = [*spec.get("volumes", ()), volume]
    return template


def _pods(node: Node, namespace: str) -> list[Json]:
    found: list[Json] = node.plane.admin.get(
        f"/api/v1/namespaces/{namespace}/pods", labelSelector="ray.io/node-type"
    )["items"]
    return found
