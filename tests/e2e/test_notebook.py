"""A notebook that asks for the keys by its own label, and logs in without a key.

It is neither Ray's nor Spark's. What it gets is one ConfigMap: where the server is, and
that its pod's own token is shown there. The client is MLflow's own; the server knows
nobody, and asks the API server whose token it was shown, as such servers do.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.e2e.installation import (
    NAMESPACE,
    PATIENCE,
    Installation,
    await_pod,
    delete_namespaces,
)
from tests.e2e.taskpods import create
from tests.e2e.test_disruption import mirrored
from tests.lab import own_image, task_image
from tests.lab.images import BUSYBOX
from tests.lab.node import Node
from tests.lab.processes import wait_for
from tests.lab.tools import LabError
from tests.pods import OPTED_IN, Container, container, pod
from webhook.injection.names import CONTAINERS_ANNOTATION

TRACKER: Final = "keyless"
URI: Final = f"http://tracker.{TRACKER}.svc.cluster.local:5000"
KEYS: Final = {
    "MLFLOW_TRACKING_URI": URI,
    "MLFLOW_TRACKING_AUTH": "kubernetes-namespaced",
}
SOURCE: Final = f"/api/v1/namespaces/{NAMESPACE}/configmaps"

SERVER: Final = """
import http.server, json, pathlib, ssl, urllib.request

API = "https://kubernetes.default.svc/apis/authentication.k8s.io/v1/tokenreviews"
OWN = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
TRUST = ssl.create_default_context(cafile=OWN / "ca.crt")

def owner(token):
    question = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
    body = json.dumps(question | {"spec": {"token": token}}).encode()
    mine = "Bearer " + (OWN / "token").read_text()
    headers = {"Content-Type": "application/json", "Authorization": mine}
    request = urllib.request.Request(API, body, headers)
    with urllib.request.urlopen(request, context=TRUST) as answer:
        status = json.load(answer)["status"]
    return status["user"]["username"] if status.get("authenticated") else ""

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        who = owner(token) if kind == "Bearer" else ""
        found = {"experiment": {"experiment_id": "7", "name": "any"}}
        refused = {"error_code": "UNAUTHENTICATED", "message": "who are you?"}
        body = json.dumps(found if who else refused).encode()
        self.send_response(200 if who else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        print("let in:", who, self.headers.get("X-MLFLOW-WORKSPACE"), flush=True)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 5000), Handler).serve_forever()
"""
CLIENT: Final = """
from mlflow import MlflowClient
print(MlflowClient().get_experiment_by_name("any").experiment_id)
"""


@pytest.fixture(scope="module")
def tracker(node: Node) -> Iterator[str]:
    """The server, in a namespace of its own that it is called by."""
    plane, base = node.plane, f"/api/v1/namespaces/{TRACKER}"
    plane.namespace(TRACKER)
    who = ("--clusterrole=system:auth-delegator", f"--serviceaccount={TRACKER}:default")
    plane.kubectl("create", "clusterrolebinding", TRACKER, *who)
    ports = [{"port": 5000}]
    service = {"selector": {"app": "tracker"}, "ports": ports}
    plane.admin.create(
        f"{base}/services", {"metadata": {"name": "tracker"}, "spec": service}
    )
    server = container(
        "tracker",
        image=f"{own_image.REPOSITORY}:{own_image.TAG}",
        command=["python", "-c", SERVER],
        readinessProbe={"tcpSocket": {"port": 5000}, "periodSeconds": 1},
    )
    body = pod({"app": "tracker"}, server, name="tracker")
    body["spec"]["terminationGracePeriodSeconds"] = 0
    create(node, TRACKER, body)
    await_pod(node, TRACKER, "tracker")
    yield TRACKER
    plane.kubectl("delete", "clusterrolebinding", TRACKER)
    delete_namespaces(node, TRACKER)


@pytest.fixture(scope="module")
def installation(node: Node) -> Iterator[Installation]:
    """A release whose one source is a ConfigMap."""
    node.plane.admin.create(SOURCE, {"metadata": {"name": "mlflow"}, "data": KEYS})
    values = {"tracking.existingSecret": "", "tracking.existingConfigMap": "mlflow"}
    release = Installation.install(node, values)
    yield release
    release.remove()
    node.plane.admin.delete(f"{SOURCE}/mlflow")


@pytest.fixture(scope="module")
def team(installation: Installation, tracker: str, tasks_image: None) -> str:
    """A labeled namespace that has its keys."""
    return mirrored(installation, "notebooks")


def run(node: Node, team: str, name: str, annotated: str = "", **spec: Any) -> str:
    """Run a notebook's pod: beside it a proxy in front, and a kernel."""
    packages = {"name": "packages", "mountPath": "/packages", "readOnly": True}
    environ = {"PYTHONPATH": "/packages", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    notebook = idle(
        "notebook",
        image=task_image.NAME,
        env=[{"name": name, "value": value} for name, value in environ.items()],
        volumeMounts=[packages],
    )
    annotations = {CONTAINERS_ANNOTATION: annotated} if annotated else {}
    body = pod(
        OPTED_IN,
        *(idle("proxy"), notebook, idle("kernel")),
        name=name,
        annotations=annotations,
    )
    # MLflow's extra `kubernetes`, which the image of tasks does not have.
    extra = node.plane.toolbox.environment("keyless")
    body["spec"] |= {
        "volumes": [{"name": "packages", "hostPath": {"path": str(extra)}}],
        "terminationGracePeriodSeconds": 0,
        **spec,
    }
    create(node, team, body)
    await_pod(node, team, name)
    return name


def idle(name: str, **fields: Any) -> Container:
    """A container that does nothing until told."""
    return container(name, **{"image": BUSYBOX, "command": ["sleep", "3600"], **fields})


def execute(node: Node, team: str, name: str, container: str, *command: str) -> str:
    """Run a command in a container; return what it prints."""
    return node.plane.kubectl(
        *("exec", "-n", team, name, "-c", container, "--", *command)
    )


def with_keys(node: Node, team: str, name: str) -> set[str]:
    """The containers of a notebook's pod whose environment has each key."""
    found = {
        one: execute(node, team, name, one, "env").splitlines()
        for one in ("proxy", "notebook", "kernel")
    }
    wanted = {f"{key}={value}" for key, value in KEYS.items()}
    return {one for one, lines in found.items() if wanted <= set(lines)}


def test_the_containers_that_a_pod_names_have_the_keys(node: Node, team: str) -> None:
    """And no other one does."""
    name = run(node, team, "named", "notebook, kernel")

    assert with_keys(node, team, name) == {"notebook", "kernel"}


def test_without_names_the_first_container_has_the_keys(node: Node, team: str) -> None:
    """Whatever it is for."""
    assert with_keys(node, team, run(node, team, "nameless")) == {"proxy"}


def test_a_notebook_is_known_by_its_pods_token(
    node: Node, team: str, tracker: str
) -> None:
    """As its service account, in the workspace of its namespace."""
    name = run(node, team, "known", "notebook")

    printed = execute(node, team, name, "notebook", "python3", "-c", CLIENT)

    assert printed.splitlines()[-1] == "7"
    known = f"let in: system:serviceaccount:{team}:default {team}"
    logs = ("logs", "-n", tracker, "tracker")
    # The server prints after its answer, and the runtime writes that down later still.
    wait_for(known, lambda: known in node.plane.kubectl(*logs).splitlines(), seconds=30)


def test_a_pod_without_a_token_cannot_log_in_and_is_told(
    installation: Installation, node: Node, team: str
) -> None:
    """By its own client, and by the auditor to whoever looks."""
    name = run(node, team, "bare", "notebook", automountServiceAccountToken=False)

    with pytest.raises(LabError, match="Could not determine Kubernetes"):
        execute(node, team, name, "notebook", "python3", "-c", CLIENT)

    missed = {"subject": name, "reason": "TokenMissing"}
    wait_for(
        "the report",
        lambda: (
            missed in installation.status()["namespaces"][team].get("missedPods", ())
        ),
        seconds=PATIENCE,
    )
