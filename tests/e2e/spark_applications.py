"""SparkApplications on a small node: spark-operator makes the pods."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.e2e.installation import PATIENCE, delete_namespaces
from tests.lab import task_image
from tests.lab.node import Node
from tests.lab.operators import SparkOperator
from tests.lab.processes import wait_for
from tests.lab.spark import Spark

SUCCEEDED: Final = "COMPLETED"
_API: Final = "/apis/sparkoperator.k8s.io/v1beta2/namespaces"
_ENDED: Final = (SUCCEEDED, "FAILED")
_ROLES: Final = ("driver", "executor")


@contextmanager
def operating(node: Node, *namespaces: str) -> Iterator[None]:
    """Keep spark-operator, with its webhook, for the applications of namespaces."""
    plane = node.plane
    operator = SparkOperator.start(plane, Spark.find(plane.toolbox), namespaces)
    try:
        yield
    finally:
        operator.stop()
        # Else no Spark pod could be created any more: its webhook fails closed.
        for kind in ("mutating", "validating"):
            plane.kubectl(
                *("delete", f"{kind}webhookconfigurations", "--ignore-not-found"),
                SparkOperator.CONFIGURATION,
            )
    delete_namespaces(node, SparkOperator.NAMESPACE)


def fit(spec: dict[str, Any], app: Path | None = None) -> None:
    """Give an application our image, one executor, and little of the machine.

    Args:
        spec: What is changed.
        app: What its image would have in `/app`.
    """
    spec["image"] = task_image.NAME
    # Debian's Python has no other name.
    spec["sparkConf"] = {
        "spark.pyspark.python": "python3",
        "spark.pyspark.driver.python": "python3",
    }
    for role in _ROLES:
        spec[role] |= {"coreRequest": "100m", "cores": 1, "memory": "512m"}
        if app:
            volume = f"spark.kubernetes.{role}.volumes.hostPath.app"
            spec["sparkConf"] |= {
                f"{volume}.mount.path": "/app",
                f"{volume}.options.path": str(app),
            }
    spec["executor"]["instances"] = 1


def ended(node: Node, namespace: str, name: str) -> tuple[str, str]:
    """Wait for an application's end.

    Returns:
        How it ended, and what its driver printed.
    """
    path = f"{_applications(namespace)}/{name}"

    def state() -> str:
        status = node.plane.admin.get(path).get("status", {})
        return str(status.get("applicationState", {}).get("state", ""))

    wait_for(
        f"the end of {name} in {namespace}",
        lambda: state() in _ENDED,
        seconds=PATIENCE,
    )
    printed = node.plane.kubectl("logs", "-n", namespace, f"{name}-driver")
    return state(), printed


def run(node: Node, namespace: str, application: dict[str, Any]) -> tuple[str, str]:
    """Create an application, and wait for its end."""
    name: str = application["metadata"]["name"]
    node.plane.admin.create(_applications(namespace), application)
    return ended(node, namespace, name)


def _applications(namespace: str) -> str:
    return f"{_API}/{namespace}/sparkapplications"
