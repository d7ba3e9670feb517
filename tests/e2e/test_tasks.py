"""Real Ray and real Spark, a real MLflow client and server: what users came for.

KubeRay makes the head and the worker, Spark itself the driver and the executor. Each
sees the keys, and what a task logs arrives.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.e2e import ray_clusters, spark_applications
from tests.e2e.installation import (
    PATIENCE,
    TRACKING_URI,
    Installation,
    await_pod,
    is_ready,
)
from tests.e2e.tracking import TrackingServer
from tests.lab import task_image
from tests.lab.operators import KubeRay
from tests.lab.processes import wait_for
from tests.lab.spark import Spark
from tests.michelangelo.client import on_file

TASKS: Final = Path(__file__).with_name("tasks")
SAMPLES: Final = Path(__file__).parents[2] / "docs" / "samples"
GUIDE: Final = "env | grep TRACKING_URI"
"""The check that Michelangelo's operator guide tells people to make."""


@pytest.fixture(scope="module")
def ray(
    installation: Installation, tracking: TrackingServer, kuberay: KubeRay
) -> Iterator[str]:
    """A namespace with a RayCluster whose head and worker are ready."""
    namespace = installation.compute_namespace("ray")
    cluster, _ = on_file("train")
    with ray_clusters.running(installation.node, namespace, cluster):
        yield namespace


@pytest.fixture(scope="module")
def spark(installation: Installation, tracking: TrackingServer) -> Iterator[str]:
    """A namespace with a Spark application whose executor has work."""
    plane = installation.node.plane
    namespace = installation.compute_namespace("spark")
    plane.kubectl(
        *("create", "rolebinding", "spark", "--clusterrole=edit", "-n", namespace),
        f"--serviceaccount={namespace}:default",
    )
    submission = Spark.find(plane.toolbox).submit(
        plane,
        "task",
        namespace=namespace,
        mode="cluster",
        program="local:///tasks/spark_task.py",
        conf=spark_settings(TASKS),
    )
    wait_for("the submission", lambda: not submission.running, seconds=PATIENCE)
    submission.stop()
    wait_for(
        "driver and executor",
        lambda: (
            2 == len(pods(installation, namespace, "spark-role"))
            and all(map(is_ready, pods(installation, namespace, "spark-role")))
        ),
        seconds=PATIENCE,
    )
    yield namespace
    driver = only(installation, namespace, "spark-role=driver")
    installation.shell(namespace, driver, "touch /tmp/done")
    await_pod(
        installation.node,
        namespace,
        driver,
        lambda pod: pod["status"]["phase"] == "Succeeded",
    )


@pytest.mark.parametrize("node_type", ["head", "worker"])
def test_a_ray_pod_sees_the_tracking_uri(
    installation: Installation, ray: str, node_type: str
) -> None:
    """The guide's check, in the container that KubeRay made; nothing else is lost."""
    name = only(installation, ray, f"ray.io/node-type={node_type}")

    assert f"TRACKING_URI={TRACKING_URI}\n" == installation.shell(ray, name, GUIDE)
    assert "kept\n" == installation.shell(ray, name, "printenv MA_X")


def test_a_ray_task_logs_a_metric(
    installation: Installation, ray: str, tracking: TrackingServer
) -> None:
    """On a worker, with the real client, found on the server."""
    head = only(installation, ray, ray_clusters.HEAD)
    program = (TASKS / "ray_task.py").read_text("utf-8")

    printed = installation.node.plane.kubectl(
        *("exec", "-i", "-n", ray, head, "--", "python3", "-"), stdin=program
    )

    assert TRACKING_URI in printed.splitlines()
    assert [{"loss": 0.5}] == tracking.runs("ray")


def test_the_guides_check_passes_as_a_ray_job(
    installation: Installation, ray: str
) -> None:
    """The sample itself, by KubeRay: on the head and on the worker."""
    namespace = installation.compute_namespace("ray-check")
    job = apply_sample(installation, namespace, "ray", small_ray_job)
    state, printed = ray_clusters.ended(installation.node, namespace, job)

    assert state == ray_clusters.SUCCEEDED, printed
    assert 2 == printed.count(": TRACKING_URI is set"), printed
    assert TRACKING_URI not in printed
    installation.node.plane.admin.delete(
        f"/apis/ray.io/v1/namespaces/{namespace}/rayjobs/{job}"
    )


@pytest.fixture
def spark_operator(
    installation: Installation, tracking: TrackingServer
) -> Iterator[str]:
    """A namespace whose SparkApplications spark-operator runs, with its webhook."""
    namespace = installation.compute_namespace("spark-check")
    with spark_applications.operating(installation.node, namespace):
        yield namespace


def test_the_guides_check_passes_as_a_spark_application(
    installation: Installation, spark_operator: str
) -> None:
    """The sample itself, by spark-operator: in the driver and in an executor."""
    name = apply_sample(installation, spark_operator, "spark", spark_applications.fit)

    state, printed = spark_applications.ended(installation.node, spark_operator, name)

    assert state == spark_applications.SUCCEEDED, printed
    assert 2 <= printed.count(": TRACKING_URI is set"), printed
    assert TRACKING_URI not in printed


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_a_spark_pod_sees_the_tracking_uri(
    installation: Installation, spark: str, role: str
) -> None:
    """The guide's check, in the container that Spark made."""
    name = only(installation, spark, f"spark-role={role}")

    assert f"TRACKING_URI={TRACKING_URI}\n" == installation.shell(spark, name, GUIDE)


def test_a_spark_program_logs_a_metric(
    installation: Installation, spark: str, tracking: TrackingServer
) -> None:
    """From the driver, with what the executors saw, found on the server."""
    wait_for("the run", lambda: bool(recorded(tracking)), seconds=PATIENCE)

    assert [{"loss": 0.25, "executor_uri": TRACKING_URI}] == tracking.runs("spark")


def apply_sample(
    installation: Installation,
    namespace: str,
    engine: str,
    fit: Callable[[dict[str, Any]], None],
) -> str:
    """Apply the documentation's check of an engine, and return what it is called.

    Args:
        installation: the release.
        namespace: where to.
        engine: `ray` or `spark`.
        fit: puts the lab's image in, and less of what a machine has.
    """
    text = (SAMPLES / f"check-tracking-config-{engine}.yaml").read_text("utf-8")
    config, job = yaml.safe_load_all(text)
    fit(job["spec"])
    manifests = yaml.safe_dump_all([config, job])
    installation.node.plane.kubectl(
        "apply", "-n", namespace, "-f", "-", stdin=manifests
    )
    name: str = job["metadata"]["name"]
    return name


def small_ray_job(spec: dict[str, Any]) -> None:
    """Debian's Python has no other name than python3."""
    spec["entrypoint"] = spec["entrypoint"].replace("python ", "python3 ")
    cluster = spec["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        [container] = group["template"]["spec"]["containers"]
        container |= {"image": task_image.NAME, "resources": ray_clusters.SMALL}


def spark_settings(folder: Path) -> dict[str, str]:
    """Settings of a small application whose driver has this folder as /tasks."""
    mount = "spark.kubernetes.driver.volumes.hostPath.tasks"
    return {
        "spark.kubernetes.container.image": task_image.NAME,
        "spark.executor.instances": "1",
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.kubernetes.driver.request.cores": "100m",
        "spark.kubernetes.executor.request.cores": "100m",
        "spark.pyspark.python": "python3",
        "spark.pyspark.driver.python": "python3",
        f"{mount}.mount.path": "/tasks",
        f"{mount}.options.path": str(folder),
    }


def recorded(tracking: TrackingServer) -> bool:
    """Whether the Spark program's run is there and whole."""
    return any("loss" in run for run in tracking.runs("spark"))


def pods(
    installation: Installation, namespace: str, selector: str
) -> list[dict[str, Any]]:
    """The pods that a label selector finds."""
    found: list[dict[str, Any]] = installation.node.plane.admin.get(
        f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector
    )["items"]
    return found


def only(installation: Installation, namespace: str, selector: str) -> str:
    """The name of the one pod that a label selector finds."""
    [pod] = pods(installation, namespace, selector)
    name: str = pod["metadata"]["name"]
    return name
