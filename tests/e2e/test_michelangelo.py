"""The guide by Michelangelo's own client, against a server with a private CA.

The client makes clusters, applications and commands; KubeRay and spark-operator make
the pods that run them. Nothing is made by hand but what the guide's reader writes: the
tasks of `tests/michelangelo/flows.py`, and a release that names the server once.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from certs.issue import issue
from certs.model import Generation
from certs.policy import CertificatePolicy
from tests.e2e import ray_clusters, spark_applications
from tests.e2e.installation import (
    API_KEY,
    NAMESPACE,
    Installation,
    await_pod,
    delete_namespaces,
)
from tests.e2e.taskpods import create, worker
from tests.e2e.test_disruption import mirrored
from tests.e2e.test_secret_value import holds
from tests.e2e.tracking import TrackingServer
from tests.lab.node import Node
from tests.lab.operators import KubeRay
from tests.lab.processes import wait_for
from tests.michelangelo import client
from webhook.injection.names import CA_DIRECTORY, CA_PATH

SERVER: Final = "tracking-tls"
HOST: Final = f"mlflow.{SERVER}.svc.cluster.local"
POLICY: Final = CertificatePolicy(names=(HOST,))
SOURCES: Final = f"/api/v1/namespaces/{NAMESPACE}"
CA: Final = f"{SOURCES}/configmaps/ca"
LABELED: Final = "guide"
BARE: Final = "guide-without"
FLOWS: Final = ("check", "train", "spark")
OWN_ERROR: Final = "ValueError: TRACKING_URI is not set in the environment"
ROTATION: Final = 120
"""Seconds in which a kubelet brings a ConfigMap's change to a pod that runs."""

Ended = Mapping[tuple[str, str], tuple[bool, str]]
"""Whether a flow succeeded in a namespace, and what it printed."""


@pytest.fixture(scope="module")
def generation() -> Generation:
    """A private CA, and what it signed for the server."""
    return issue(POLICY, now())


@pytest.fixture(scope="module")
def server(
    node: Node, tasks_image: None, generation: Generation
) -> Iterator[TrackingServer]:
    """An MLflow that speaks TLS alone."""
    pair = {"tls.crt": generation.leaf, "tls.key": generation.key.reveal()}
    yield TrackingServer.start(node, SERVER, tls=pair)
    delete_namespaces(node, SERVER)


@pytest.fixture(scope="module")
def installation(node: Node, generation: Generation) -> Iterator[Installation]:
    """A release with the MLflow preset and the server's CA."""
    config = {"metadata": {"name": "ca"}, "data": ca_of(generation)}
    keys = {"TRACKING_URI": f"https://{HOST}:5000", "TRACKING_API_KEY": API_KEY}
    secret = {"metadata": {"name": SERVER}, "stringData": keys}
    node.plane.admin.create(f"{SOURCES}/configmaps", config)
    node.plane.admin.create(f"{SOURCES}/secrets", secret)
    values = {
        "tracking.existingSecret": SERVER,
        "tracking.preset": "mlflow",
        "tracking.caBundle.existingConfigMap": "ca",
    }
    release = Installation.install(node, values)
    yield release
    release.remove()
    node.plane.admin.delete(CA)
    node.plane.admin.delete(f"{SOURCES}/secrets/{SERVER}")


@pytest.fixture(scope="module")
def flows(node: Node) -> client.Json:
    """What the client creates, its results kept in the pod."""
    environ = {**client.ENVIRON, "UF_STORAGE_URL": "file:///tmp"}
    return client.capture(node.plane.toolbox, environ)


@pytest.fixture(scope="module")
def app(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Michelangelo's image has in `/app`: its client and the user's flows."""
    folder = tmp_path_factory.mktemp("app")
    packages = node.plane.toolbox.environment("michelangelo")
    for name in ("michelangelo", "fsspec"):
        shutil.copytree(packages / name, folder / name)
    shutil.copy(Path(client.__file__).with_name("flows.py"), folder)
    return folder


@pytest.fixture(scope="module")
def ended(
    installation: Installation,
    server: TrackingServer,
    flows: client.Json,
    app: Path,
    kuberay: KubeRay,
) -> Iterator[Ended]:
    """Run each flow twice: in a labeled namespace, and in one without the label."""
    node = installation.node
    installation.compute_namespace(LABELED)
    node.plane.namespace(BARE)
    cluster, _ = flows["train"]
    with (
        ray_clusters.running(node, LABELED, cluster, app=app),
        ray_clusters.running(node, BARE, cluster, app=app),
        spark_applications.operating(node, LABELED, BARE),
    ):
        yield {
            (namespace, flow): run(node, namespace, flows[flow], app)
            for namespace in (LABELED, BARE)
            for flow in FLOWS
        }
    delete_namespaces(node, BARE)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_task_has_what_it_asks_of_its_environment(ended: Ended, flow: str) -> None:
    """The guide's check and training, by the client's own commands and tasks."""
    succeeded, printed = ended[LABELED, flow]

    assert succeeded, printed
    assert "[ ok ]" in printed


@pytest.mark.parametrize("flow", ["check", "spark"])
def test_the_guides_check_raises_its_own_error_without_us(
    ended: Ended, flow: str
) -> None:
    """In a namespace without the label, the same pods and the same commands."""
    succeeded, printed = ended[BARE, flow]

    assert not succeeded
    assert OWN_ERROR in printed, printed


def test_what_tasks_log_is_on_the_server(ended: Ended, server: TrackingServer) -> None:
    """Over TLS, verified by the CA that only the tracker's own variable names."""
    runs = server.runs("Default")

    assert 2 == len(runs)
    assert {"learning_rate": "0.1"} in runs
    assert {"executors_agree": "True"} in runs


def test_no_object_holds_the_key_in_the_clear(
    installation: Installation, ended: Ended
) -> None:
    """But the Secrets: of all that is stored, nothing else has it."""
    stored = installation.node.plane.stored()
    kinds = {key.split("/")[-3] for key in stored if f"/{LABELED}/" in key}

    found = [key for key, value in stored.items() if holds(value)]

    assert kinds >= {"pods", "jobs", "rayclusters", "rayjobs", "sparkapplications"}
    assert found
    assert {"secrets"} == {key.split("/")[2] for key in found}


def test_a_new_ca_reaches_a_pod_that_runs(
    installation: Installation,
    generation: Generation,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the kubelet: the pod is neither replaced nor started again."""
    node, admin = installation.node, installation.node.plane.admin
    namespace = mirrored(installation, "rotated")
    create(node, namespace, worker("task"))
    await_pod(node, namespace, "task")

    def holds(ca: Generation) -> bool:
        # A pod starts without the file where its namespace does not have it yet.
        read = f"cat {CA_PATH} || true"
        return ca_of(ca)["ca.crt"] == installation.shell(namespace, "task", read)

    path = f"/api/v1/namespaces/{namespace}/pods/task"
    before = identity(admin.get(path))
    wait_for("the CA's file", lambda: holds(generation), seconds=ROTATION)
    other = issue(POLICY, now())
    started = time.monotonic()
    admin.patch(CA, {"data": ca_of(other)})
    wait_for("the new CA's file", lambda: holds(other), seconds=ROTATION)
    seconds = time.monotonic() - started
    admin.patch(CA, {"data": ca_of(generation)})

    assert before == identity(admin.get(path))
    with capsys.disabled():
        print(f"\na new CA reached a running pod after {seconds:.0f} s")  # noqa: T201 - a figure for people


def test_a_container_that_has_a_mount_there_keeps_it(
    installation: Installation,
) -> None:
    """Under a kubelet, with a file of its own."""
    node, namespace = installation.node, mirrored(installation, "keeps")
    pod = worker("task")
    (container,) = pod["spec"]["containers"]
    container["volumeMounts"] = [{"name": "own", "mountPath": CA_DIRECTORY}]
    container["command"] = ["sh", "-c", f"echo own >{CA_PATH}; exec sleep 3600"]
    pod["spec"]["volumes"] = [{"name": "own", "emptyDir": {}}]
    create(node, namespace, pod)
    await_pod(node, namespace, "task")

    assert "own\n" == installation.shell(namespace, "task", f"cat {CA_PATH}")


def run(node: Node, namespace: str, created: list[Any], app: Path) -> tuple[bool, str]:
    """Run what the client creates of a flow: a Ray job, or a Spark application."""
    if len(created) > 1:
        cluster, command = created
        state, printed = ray_clusters.run(node, namespace, cluster, command, app=app)
        return state == ray_clusters.SUCCEEDED, printed
    application = client.spark_application(created[0], "uniflow")
    spark_applications.fit(application["spec"], app)
    state, printed = spark_applications.run(node, namespace, application)
    return state == spark_applications.SUCCEEDED, printed


def now() -> datetime:
    """The moment: a certificate is for real clients, with clocks of their own."""
    return datetime.now(UTC)  # noqa: TID251 - for clients with real clocks


def ca_of(generation: Generation) -> dict[str, str]:
    """The data of a ConfigMap that holds a CA."""
    return {"ca.crt": generation.root.pem.decode()}


def identity(pod: dict[str, Any]) -> tuple[str, int]:
    """What of a pod changes when it is replaced or started again."""
    (status,) = pod["status"]["containerStatuses"]
    return pod["metadata"]["uid"], status["restartCount"]
