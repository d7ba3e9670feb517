"""The tracking key is where it belongs, and nowhere else that anybody can look.

The value is one that nothing else contains, so a search for it is conclusive.
"""

import base64
import gzip
import re
from collections.abc import Iterator

import pytest

from tests.e2e.installation import (
    API_KEY,
    COMPONENTS,
    NAMESPACE,
    Installation,
    await_pod,
)
from tests.e2e.taskpods import bystander, create, worker

TASKS = "canary"
METRICS_PORTS = {"webhook": 8080, "companion": 9090}
ENCODED = base64.b64encode(API_KEY.encode())


@pytest.fixture(scope="module", autouse=True)
def tasks(installation: Installation) -> str:
    """A compute namespace in which a task and another pod run."""
    namespace = installation.compute_namespace(TASKS)
    for pod in (worker("task"), bystander("bystander")):
        create(installation.node, namespace, pod)
        await_pod(installation.node, namespace, pod["metadata"]["name"])
    return namespace


def test_of_all_that_is_stored_the_source_and_the_mirror_hold_it(
    installation: Installation,
) -> None:
    """Every key of etcd is read: objects, Events, and what Helm packed."""
    stored = installation.node.plane.stored()

    holders = {key for key, value in stored.items() if holds(value)}

    assert {
        f"/registry/secrets/{NAMESPACE}/tracking",
        f"/registry/secrets/{TASKS}/michelangelo-tracking",
    } == holders
    releases = [key for key in stored if "sh.helm.release" in key]
    assert releases
    assert all(API_KEY.encode() not in unpacked(stored[key]) for key in releases)


def test_of_all_pods_the_task_has_it_in_its_environment(
    installation: Installation,
) -> None:
    """And neither the pod beside it nor our own processes do."""
    places = [(TASKS, "task"), (TASKS, "bystander")]
    for component in COMPONENTS:
        for pod in installation.pods(component):
            places.append((NAMESPACE, pod["metadata"]["name"]))

    seen = {
        name
        for namespace, name in places
        if API_KEY in everything_set(installation, namespace, name)
    }

    assert {"task"} == seen


def test_no_log_has_it(installation: Installation) -> None:
    """Neither a container's nor that of any program of the cluster."""
    logs = list(container_logs(installation)) + list(program_logs(installation))

    assert len(logs) > 10
    assert [] == [
        name for name, text in logs if API_KEY in text or ENCODED.decode() in text
    ]


def test_no_metric_has_it(installation: Installation) -> None:
    """Ours, the API server's and the kubelet's."""
    admin = installation.node.plane.admin
    pages = [admin.text("/metrics"), admin.text("/api/v1/nodes/node/proxy/metrics")]
    for component, port in METRICS_PORTS.items():
        for pod in installation.pods(component):
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}"
            pages.append(admin.text(f"{path}:{port}/proxy/metrics"))

    assert 6 == len(pages)
    assert all("# HELP" in page and API_KEY not in page for page in pages)


def holds(value: bytes) -> bool:
    """Whether bytes contain the value, plain or in base64."""
    return API_KEY.encode() in value or ENCODED in value


def unpacked(stored: bytes) -> bytes:
    """What Helm packed into a release's Secret: base64 of a gzip stream."""
    packed = re.search(rb"H4sI[A-Za-z0-9+/=]+", stored)
    assert packed
    return gzip.decompress(base64.b64decode(packed[0]))


def everything_set(installation: Installation, namespace: str, pod: str) -> str:
    """The environment of every process in a container, as far as it may be read."""
    return installation.shell(
        namespace, pod, "cat /proc/[0-9]*/environ 2>/dev/null || true"
    )


def container_logs(installation: Installation) -> Iterator[tuple[str, str]]:
    """The log of every container on the node."""
    admin = installation.node.plane.admin
    for pod in admin.get("/api/v1/pods")["items"]:
        meta = pod["metadata"]
        for status in pod["status"].get("containerStatuses", ()):
            if "waiting" not in status["state"]:
                path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/log"
                yield meta["name"], admin.text(path, container=status["name"])


def program_logs(installation: Installation) -> Iterator[tuple[str, str]]:
    """The logs of what the cluster is made of."""
    folder = installation.node.folder
    for path in (*folder.glob("*.log"), *folder.glob("plane/*.log")):
        yield path.name, path.read_text("utf-8", "replace")
