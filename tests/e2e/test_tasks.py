"""Real Ray and real Spark, a real MLflow client and server: what users came for.

KubeRay makes the head and the worker, Spark itself the driver and the executor. Each
sees the keys, and what a task logs arrives.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.e2e import ray_clusters
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


def test_the_guides_check_passes_on_every_node_of_a_ray_cluster(
    installation: Installation, ray: str
) -> None:
    """The program of the sample, on the head and on the worker."""
    head = only(installation, ray, ray_clusters.HEAD)
    printed = installation.node.plane.kubectl(
        *("exec", "-i", "-n", ray, head, "--", "python3", "-"), stdin=check("ray")
    )

    assert 2 == printed.count(": TRACKING_URI is set")
    assert TRACKING_URI not in printed


def test_the_guides_check_passes_in_a_spark_application(
    installation: Installation, tracking: TrackingServer, tmp_path: Path
) -> None:
    """The program of the sample, in a driver and an executor."""
    plane = installation.node.plane
    namespace = installation.compute_namespace("spark-check")
    plane.kubectl(
        *("create", "rolebinding", "spark", "--clusterrole=edit", "-n", namespace),
        f"--serviceaccount={namespace}:default",
    )
    (tmp_path / "check.py").write_text(check("spark"), "utf-8")
    submission = Spark.find(plane.toolbox).submit(
        plane,
        "check",
        namespace=namespace,
        mode="cluster",
        program="local:///tasks/check.py",
        conf=spark_settings(tmp_path),
    )
    wait_for("the submission", lambda: not submission.running, seconds=PATIENCE)
    submission.stop()
    driver = only(installation, namespace, "spark-role=driver")
    await_pod(
        installation.node,
        namespace,
        driver,
        lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"),
    )
    printed = plane.kubectl("logs", "-n", namespace, driver)

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


def check(engine: str) -> str:
    """The program of the guide's check, as the documentation's sample has it."""
    text = (SAMPLES / f"check-tracking-config-{engine}.yaml").read_text("utf-8")
    config, *_ = yaml.safe_load_all(text)
    program: str = config["data"]["check.py"]
    return program


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
