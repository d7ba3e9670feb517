"""A tracking server that does one thing wrong at each of its ports, as a pod."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from certs.issue import issue
from certs.policy import CertificatePolicy
from tests.e2e.installation import API_KEY, await_pod
from tests.lab import own_image
from tests.lab.node import Node

NAMESPACE: Final = "scripted"
HOST: Final = f"tracker.{NAMESPACE}.svc.cluster.local"
IMAGE: Final = f"{own_image.REPOSITORY}:{own_image.TAG}"
"""The product's own, for its Python."""

WELL: Final = 5000
"""Takes the key, and refuses whoever has none."""
REFUSES: Final = {401: 5401, 403: 5403, 500: 5500}
"""By the status that everybody gets: the port."""
DEAF: Final = 5999
"""Of the Service; nothing listens there."""
ANOTHER_NAME: Final = 5443
"""TLS, with a certificate for another name, by an authority of its own."""

_SERVER: Final = f"""
import http.server, ssl, threading

def serve(port, status, pem=None):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status or self.known())
            self.send_header("Content-Length", "0")
            self.end_headers()

        def known(self):
            given = self.headers.get("Authorization")
            return 200 if given == "Bearer {API_KEY}" else 401

    server = http.server.ThreadingHTTPServer(("", port), Handler)
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()

serve({WELL}, None)
serve({ANOTHER_NAME}, 200, "/pair/tls.pem")
for status, port in {REFUSES}.items():
    serve(port, status)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedTracker:
    """The server, behind a Service.

    Attributes:
        node: where it runs.
        authority: the certificate of the authority that it is signed by, PEM.
    """

    node: Node
    authority: str

    @classmethod
    def start(cls, node: Node) -> Self:
        """Start it and return when its pod is ready."""
        node.plane.namespace(NAMESPACE)
        policy = CertificatePolicy(names=("other.example.org",))
        pair = issue(policy, datetime.now(UTC))  # noqa: TID251 - a test's own
        base = f"/api/v1/namespaces/{NAMESPACE}"
        pem = base64.b64encode(pair.leaf + pair.key.reveal()).decode()
        secret = {"metadata": {"name": "pair"}, "data": {"tls.pem": pem}}
        node.plane.admin.create(f"{base}/secrets", secret)
        ports = (WELL, ANOTHER_NAME, DEAF, *REFUSES.values())
        node.plane.admin.create(
            f"{base}/services",
            {
                "metadata": {"name": "tracker"},
                "spec": {
                    "selector": {"app": "tracker"},
                    "ports": [{"name": f"p{port}", "port": port} for port in ports],
                },
            },
        )
        node.plane.admin.create(f"{base}/pods", _pod())
        await_pod(node, NAMESPACE, "tracker")
        return cls(node=node, authority=pair.root.pem.decode())


def _pod() -> dict[str, Any]:
    container = {
        "name": "tracker",
        "image": IMAGE,
        "command": ["python", "-c", _SERVER],
        "readinessProbe": {"tcpSocket": {"port": WELL}, "periodSeconds": 1},
        "volumeMounts": [{"name": "pair", "mountPath": "/pair"}],
    }
    return {
        "metadata": {"name": "tracker", "labels": {"app": "tracker"}},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "pair", "secret": {"secretName": "pair"}}],
            "terminationGracePeriodSeconds": 0,
        },
    }
