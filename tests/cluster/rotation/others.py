"""An installation whose certificate cert-manager issues, or the operator brings."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from certs.codec import encode_pair
from certs.issue import issue
from certs.policy import CertificatePolicy, service_name
from tests.cluster.injector import CHART, CONFIGURATIONS
from tests.cluster.rotation.installation import COMMAND, endpoint_slice, own_address
from tests.lab.processes import Process, free_port, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.api import Object
    from tests.lab.control_plane import ControlPlane
    from webhook.settings import Issuer

RELEASE: Final = "others"
HOME: Final = "others-system"
CONFIGURATION: Final = f"{CONFIGURATIONS}/{RELEASE}"
APPLY: Final = "application/apply-patch+yaml"
CERTIFICATES: Final = "certificates.cert-manager.io"
DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True, slots=True)
class Others:
    """What the tests of these modes need.

    Attributes:
        plane: The control plane.
        folder: For logs and the webhook's certificate.
        issuer: Whose certificate it is.
        secret: Name of the Secret that holds it.
    """

    plane: ControlPlane
    folder: Path
    issuer: Issuer
    secret: str

    def install(self) -> None:
        """The chart, the pair of another's making, and the roots of the same."""
        now = datetime.now(UTC)  # noqa: TID251 - the API server's clock judges it
        pair = issue(CertificatePolicy(names=(service_name(RELEASE, HOME),)), now)
        data = encode_pair(pair)
        self.plane.namespace(HOME)
        self.plane.helm(
            *("upgrade", "--install", RELEASE, CHART, "--namespace", HOME),
            *("--no-hooks", "--set", "egress.mode=off", "--set"),
            f"certificates.mode={self.issuer.value},"
            "certificates.certManager.issuerName=any,"
            f"certificates.provided.secretName={self.secret},"
            f"certificates.provided.caBundle={data['ca.crt']}",
        )
        self.plane.admin.create(
            f"/api/v1/namespaces/{HOME}/secrets",
            {
                "metadata": {"name": self.secret},
                "type": "kubernetes.io/tls",
                "data": data,
            },
        )
        self.trust(data["ca.crt"])
        for name in ("tls.crt", "tls.key"):
            (self.folder / name).write_bytes(base64.b64decode(data[name]))

    def uninstall(self) -> None:
        """Also what would be called for the pods of other tests."""
        self.plane.helm("uninstall", RELEASE, "--namespace", HOME, "--no-hooks")
        self.plane.admin.delete(f"/api/v1/namespaces/{HOME}/secrets/{self.secret}")
        self.plane.admin.delete(f"/api/v1/namespaces/{HOME}")
        wait_for(
            "the namespace's end",
            lambda: not self.plane.admin.exists(f"/api/v1/namespaces/{HOME}"),
        )

    def trust(self, bundle: str) -> None:
        """Write the bundles as cert-manager's cainjector does."""
        entries = self.configuration()["webhooks"]
        self.plane.admin.patch(
            f"{CONFIGURATION}?fieldManager=cert-manager-cainjector&force=true",
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": RELEASE},
                "webhooks": [
                    {"name": entry["name"], "clientConfig": {"caBundle": bundle}}
                    for entry in entries
                ],
            },
            kind=APPLY,
        )

    def configuration(self) -> Object:
        """The webhook configuration as stored."""
        return self.plane.admin.get(CONFIGURATION)

    def stored(self) -> tuple[Object, Object]:
        """The configuration and the Secret, managed fields and all."""
        path = f"/api/v1/namespaces/{HOME}/secrets/{self.secret}"
        return self.configuration(), self.plane.admin.get(path)

    def start_webhook(self) -> Process:
        """One replica with the pair, behind the Service."""
        port, address = free_port(), own_address()
        self.plane.admin.create(
            f"/apis/discovery.k8s.io/v1/namespaces/{HOME}/endpointslices",
            endpoint_slice(RELEASE, 0, address, port),
        )
        return Process.start(
            "others-webhook",
            [
                *(COMMAND, "serve", "--cert-dir", self.folder),
                *("--bind", f"{address}:{port}"),
                *("--health-bind", "127.0.0.1:0"),
            ],
            log=self.folder / "webhook.log",
            env={},
        )

    def start_companion(self) -> Process:
        """As the chart's Deployment would, and return once it leads."""
        account = self.plane.kubeconfig_for(HOME, f"{RELEASE}-companion")
        companion = Process.start(
            "others-companion",
            [
                COMMAND,
                "companion",
                "--kubeconfig",
                account,
                "--release-namespace",
                HOME,
            ],
            log=self.folder / "companion.log",
            env={
                "MTI_HEALTH_BIND": "127.0.0.1:0",
                "MTI_LEASE_NAME": f"{RELEASE}-companion",
                "MTI_STATUS_CONFIGMAP": f"{RELEASE}-status",
                "MTI_EGRESS_MODE": "off",
                "MTI_CERTIFICATES": self.issuer.value,
                "MTI_WEBHOOK_NAME": RELEASE,
                "MTI_TLS_SECRET": self.secret,
            },
        )
        companion.wait_until(lambda: '"leading"' in companion.log.read_text())
        return companion

    def certs(self, *words: str) -> tuple[int, str]:
        """Run `certs`: its exit code, and what it printed."""
        access = ("--kubeconfig", self.plane.kubeconfig)
        done = subprocess.run(
            [COMMAND, "certs", *words, "--release", f"{HOME}/{RELEASE}", *access],
            env={"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


def define_certificates(plane: ControlPlane) -> None:
    """Cert-manager's resource, as far as the chart's object needs it."""
    if plane.admin.exists(f"{DEFINITIONS}/{CERTIFICATES}"):
        return
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    plane.admin.create(
        DEFINITIONS,
        {
            "metadata": {"name": CERTIFICATES},
            "spec": {
                "group": "cert-manager.io",
                "scope": "Namespaced",
                "names": {
                    "kind": "Certificate",
                    "plural": "certificates",
                    "singular": "certificate",
                },
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": anything},
                    }
                ],
            },
        },
    )
    served = "/apis/cert-manager.io/v1"
    wait_for("cert-manager's resource", lambda: plane.admin.exists(served))
