"""Somebody else's mutating webhook, before ours or after it.

It does to every pod what one function says, each time that it is asked.
"""

import base64
import copy
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonpatch

from tests.cluster.injector import CONFIGURATIONS
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.credentials import Authority

Meddling = Callable[[Object], None]
"""Changes a pod in place."""


@contextmanager
def meddler(
    plane: ControlPlane, folder: Path, meddling: Meddling, *, name: str, label: str
) -> Iterator[None]:
    """Let it meddle with pods in namespaces of a label, for the block.

    Args:
        plane: Where.
        folder: An empty folder for its certificate.
        meddling: What it does.
        name: Of its configuration: API servers ask webhooks in the order of names.
        label: Of the namespaces.
    """
    authority = Authority(folder, now=datetime.now(UTC))  # noqa: TID251 - the edge
    pair = authority.issue("tls", user="meddler", addresses=("127.0.0.1",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(meddling))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    bundle = base64.b64encode(authority.certificate.read_bytes()).decode()
    plane.admin.create(
        CONFIGURATIONS,
        {
            "metadata": {"name": name},
            "webhooks": [
                {
                    "name": f"{name}.example.com",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "clientConfig": {
                        "url": f"https://127.0.0.1:{server.server_port}/",
                        "caBundle": bundle,
                    },
                    "namespaceSelector": {"matchLabels": {label: ""}},
                    "rules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["pods"],
                        }
                    ],
                }
            ],
        },
    )
    try:
        yield
    finally:
        plane.admin.delete(f"{CONFIGURATIONS}/{name}")
        server.shutdown()
        server.server_close()


def _handler(meddling: Meddling) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers a review."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Let the pod be meddled with, and send the difference."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)["request"]
            after = copy.deepcopy(request["object"])
            meddling(after)
            patch = jsonpatch.make_patch(request["object"], after).to_string()
            answer = json.dumps(
                {
                    "apiVersion": "admission.k8s.io/v1",
                    "kind": "AdmissionReview",
                    "response": {
                        "uid": request["uid"],
                        "allowed": True,
                        "patchType": "JSONPatch",
                        "patch": base64.b64encode(patch.encode()).decode(),
                    },
                }
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its
            """Say nothing."""

    return Handler
