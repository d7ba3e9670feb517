"""MLflow without a key: a task shows its pod's token, and a server asks whose it is.

The source is one ConfigMap. The server asks the API server by a TokenReview, as such
servers do; the client is MLflow's own.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.companion.state import create_after
from tests.cluster.release import MIRROR, Release, companion, eventually
from tests.lab.api import Api
from tests.lab.build import Toolbox
from webhook.injection.names import INJECTED_LABEL

CLIENT = Path(__file__).with_name("show_token.py")
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
AUTH = "kubernetes-namespaced"
ONE_CONFIG_MAP = '{"default": [{"configMap": "uri"}]}'


@dataclass(slots=True)
class Tracker:
    """A tracking server that knows nobody, and asks the API server.

    Attributes:
        uri: Where it answers.
        seen: Whom it let in, and the workspace that they asked for.
    """

    admin: Api
    uri: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)

    def admit(self, authorization: str, workspace: str) -> bool:
        """Ask whose token it is; remember who came in."""
        kind, _, token = authorization.partition(" ")
        if kind != "Bearer" or not token:
            return False
        status = self.admin.create(REVIEWS, {"spec": {"token": token}})["status"]
        if status.get("authenticated"):
            self.seen.append((status["user"]["username"], workspace))
        return bool(status.get("authenticated"))


def handler(tracker: Tracker) -> type[BaseHTTPRequestHandler]:
    """Answers for a tracker."""

    class Handler(BaseHTTPRequestHandler):
        """One experiment, for whoever is let in."""

        def do_GET(self) -> None:
            """Say what it is, or that nobody is known by that token."""
            headers = self.headers
            may = tracker.admit(
                headers.get("Authorization", ""), headers.get("X-MLFLOW-WORKSPACE", "")
            )
            found = {"experiment": {"experiment_id": "7", "name": "any"}}
            refused = {"error_code": "UNAUTHENTICATED", "message": "who are you?"}
            body = json.dumps(found if may else refused).encode()
            self.send_response(200 if may else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its
            """Say nothing."""

    return Handler


@pytest.fixture(name="tracker", scope="module")
def _tracker(release: Release) -> Iterator[Tracker]:
    tracker = Tracker(release.admin)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(tracker))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tracker.uri = f"http://127.0.0.1:{server.server_port}"
    yield tracker
    server.shutdown()
    server.server_close()


@pytest.fixture(name="namespace", scope="module")
def _namespace(release: Release, tracker: Tracker) -> Iterator[str]:
    """A labeled namespace, whose mirror is what one ConfigMap says."""
    data = {"MLFLOW_TRACKING_URI": tracker.uri, "MLFLOW_TRACKING_AUTH": AUTH}
    # A patch merges: what the release came with goes.
    path = f"/api/v1/namespaces/{release.namespace}/configmaps"
    release.admin.patch(f"{path}/uri", {"data": {"TRACKING_URI": None, **data}})
    with companion(release, profiles=ONE_CONFIG_MAP):
        name = release.compute("keyless")
        eventually("the mirror", lambda: release.mirror(name) == data)
        eventually("a second", lambda: create_after(release, name), seconds=3)
        yield name


def track(
    toolbox: Toolbox, mounted: Path, environ: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the client with what a task has: its environment, and its pod's files."""
    return subprocess.run(
        [sys.executable, "-S", CLIENT, mounted],
        env={
            "PYTHONPATH": str(toolbox.environment("keyless")),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(mounted),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            **environ,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_task_is_known_by_its_pods_token(
    toolbox: Toolbox, release: Release, tracker: Tracker, namespace: str, tmp_path: Path
) -> None:
    """Nothing that it was given is a secret; another token is nobody's."""
    environ = release.mirror(namespace)
    assert environ == {
        "MLFLOW_TRACKING_URI": tracker.uri,
        "MLFLOW_TRACKING_AUTH": AUTH,
    }
    (tmp_path / "namespace").write_text(namespace)
    (tmp_path / "token").write_text(release.plane.token(namespace, "default"))
    known = track(toolbox, tmp_path, environ)
    (tmp_path / "token").write_text("nobodys")
    unknown = track(toolbox, tmp_path, environ)

    assert known.stdout == "7", known.stderr
    assert set(tracker.seen) == {
        (f"system:serviceaccount:{namespace}:default", namespace)
    }
    assert unknown.returncode != 0
    assert "who are you?" in unknown.stderr


def test_a_pod_without_a_token_is_told(release: Release, namespace: str) -> None:
    """As the API server's own admission mounts it, or as its pod refuses it."""
    projected: dict[str, Any] = {
        "volumes": [
            {
                "name": "t",
                "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
            }
        ]
    }
    mount = {"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    run(release, namespace, "usual")
    run(release, namespace, "none", automountServiceAccountToken=False)
    run(
        release,
        namespace,
        "own",
        mounts=[mount],
        automountServiceAccountToken=False,
        **projected,
    )

    def told() -> dict[str, Any]:
        found: dict[str, Any] = release.status()["namespaces"].get(namespace, {})
        return found

    wanted = {"Injected": 2, "TokenMissing": 1}
    eventually("all", lambda: told().get("pods") == wanted, seconds=20)
    (missed,) = told()["missedPods"]
    assert missed == {"subject": "none", "reason": "TokenMissing"}


def run(
    release: Release, namespace: str, name: str, *, mounts: Any = (), **spec: Any
) -> None:
    """Somebody runs a task pod that was given the keys."""
    container = {
        "name": "head",
        "image": "none",
        "envFrom": [{"secretRef": {"name": MIRROR}}],
        "volumeMounts": list(mounts),
    }
    labels = {"ray.io/node-type": "head", INJECTED_LABEL: "true"}
    release.admin.create(
        f"/api/v1/namespaces/{namespace}/pods",
        {
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [container], **spec},
        },
    )
