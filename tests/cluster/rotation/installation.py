"""The whole product on one API server: chart, companion, three webhooks, their mounts.

What a kubelet does is done here: each webhook's folder follows the serving Secret by
turning the link `..data`, after a lag of its own. The API server dials the replicas by
the Service's endpoints, as a cluster without kube-proxy on its control plane does, so
that each replica really is called.
"""

from __future__ import annotations

import base64
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import urllib3

from tests.cluster.injector import CHART, COMPUTE, CONFIGURATIONS, task_pod
from tests.lab.api import ApiError, Object
from tests.lab.control_plane import ControlPlane, Options
from tests.lab.processes import Process, free_port, wait_for
from webhook.injection.names import INJECTED_LABEL, MIRROR_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

    from tests.lab.build import Toolbox

RELEASE: Final = "tracking-injector"
HOME: Final = "rotation-system"
NAMESPACE: Final = "compute"
"""Where the tests create task pods."""
SECRETS: Final = f"/api/v1/namespaces/{HOME}/secrets"
PAIR: Final = f"{SECRETS}/{RELEASE}-tls"
STATE: Final = f"{SECRETS}/{RELEASE}-tls-state"
CONFIGURATION: Final = f"{CONFIGURATIONS}/{RELEASE}"
SLICES: Final = f"/apis/discovery.k8s.io/v1/namespaces/{HOME}/endpointslices"
URI: Final = "http://tracking.invalid:5000"
COMMAND: Final = Path(sys.executable).with_name("tracking-injector")
REPLICAS: Final = 3
MOUNT_LAG: Final = 3.0
"""Seconds at most from a change of the Secret to the mount: a kubelet's two minutes,
shortened as the dwells are."""
DWELLS: Final[Mapping[str, str]] = {
    "MTI_CERTIFICATE_SKEW_SECONDS": "0.2",
    "MTI_CERTIFICATE_BUNDLE_SECONDS": "3",
    "MTI_CERTIFICATE_SERVE_SECONDS": "4",
}
"""The documented settings, for clocks and an API server on one machine."""
SETTINGS: Final[Mapping[str, str]] = {
    "MTI_PROFILES": f'{{"default": [{{"configMap": "{RELEASE}-uri"}}]}}',
    "MTI_EGRESS_MODE": "off",
    "MTI_RELEASE": f"{HOME}.{RELEASE}",
    **DWELLS,
}
"""What the chart tells its companion, as far as it is not the default."""


@contextmanager
def running(
    toolbox: Toolbox, folders: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Three webhooks and a companion, on an API server of their own.

    Args:
        toolbox: Where the programs are.
        folders: Makes one for the API server, and one for the rest.
    """
    plane = ControlPlane.start(
        toolbox, folders.mktemp("plane"), Options(aggregator_routing=True)
    )
    installed = None
    try:
        installed = Installation(plane, folders.mktemp("installed"))
        plane.namespace(NAMESPACE, COMPUTE)
        installed.start_companion()
        wait_for("the first certificate", installed.is_settled, seconds=60)
        wait_for("the mounts", installed.are_ready, seconds=30)
        wait_for("a handshake with each", installed.is_verified, seconds=60)
        wait_for("the first pod's keys", lambda: INJECTED_LABEL in installed.pod())
        yield installed
    finally:
        if installed is not None:
            installed.stop()
        plane.stop()


class Installation:
    """Starts everything, and stops it."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        """Install the chart and start the webhooks; no companion yet.

        Without the API server's own policy: it would hide a call that is lost.
        """
        self.plane = plane
        self.folder = folder
        plane.namespace(HOME)
        self.upgrade("injection.inTree=false")
        self.account = plane.kubeconfig_for(HOME, f"{RELEASE}-companion")
        self._address = own_address()
        self._stop = threading.Event()
        self._companion: Process | None = None
        self._ports = [free_port() for _ in range(REPLICAS)]
        self._webhooks: list[Process] = []
        for number, port in enumerate(self._ports):
            (folder / f"mount-{number}").mkdir()
            plane.admin.create(
                SLICES, endpoint_slice(RELEASE, number, self._address, port)
            )
        self.start_webhooks()
        self._kubelet = threading.Thread(target=self._mount, daemon=True)
        self._kubelet.start()

    def upgrade(self, *values: str) -> None:
        """Install or upgrade the release.

        Args:
            *values: As `--set` takes them.
        """
        chosen = ",".join([f"tracking.uri={URI}", "egress.mode=off", *values])
        self.plane.helm(
            *("upgrade", "--install", RELEASE, CHART, "--namespace", HOME),
            *("--set", chosen, "--no-hooks"),
        )

    def stop(self) -> None:
        """End every process."""
        self._stop.set()
        self.stop_companion()
        self.stop_webhooks()
        self._kubelet.join(10)

    # --- the companion ---

    def start_companion(self, *program: str | Path) -> Process:
        """As its Deployment would, under its own account's rights.

        Args:
            *program: Another program than ours that takes our words.
        """
        self._companion = Process.start(
            "companion",
            [
                *(program or (COMMAND,)),
                *(
                    "companion",
                    "--kubeconfig",
                    self.account,
                    "--release-namespace",
                    HOME,
                ),
            ],
            log=self.folder / "companion.log",
            env={
                "MTI_HEALTH_BIND": "127.0.0.1:0",
                # A container that is started again is in the same pod.
                "MTI_IDENTITY": "companion",
                **SETTINGS,
            },
        )
        return self._companion

    def stop_companion(self) -> None:
        """Ask it to end; it lets the Lease go."""
        if self._companion is not None:
            self._companion.stop(seconds=5)
            self._companion = None

    def run_once(self) -> tuple[int, str]:
        """One pass, as a CronJob would: exit code, and what it printed."""
        return self.run("companion", "--once", kubeconfig=self.account, **SETTINGS)

    def rotate(self) -> None:
        """Ask for a rotation by command, and return when it is over."""
        before = self.current()
        self.request_rotation()
        wait_for(
            "the end of a rotation",
            lambda: self.current() != before and self.is_settled(),
            seconds=60,
        )

    def request_rotation(self) -> None:
        """Ask for one by command, as an operator."""
        code, said = self.run("certs", "rotate", "--now")
        assert code == 0, said

    def run(
        self, *words: str, kubeconfig: Path | None = None, **settings: str
    ) -> tuple[int, str]:
        """Run one of our commands on this installation.

        Args:
            *words: Command and options.
            kubeconfig: Whose rights; an administrator's otherwise.
            **settings: Variables.

        Returns:
            Its exit code, and what it printed.
        """
        access = ("--kubeconfig", kubeconfig or self.plane.kubeconfig)
        where = ("--release", f"{HOME}/tracking-injector")
        if words[0] == "companion":
            where = ("--release-namespace", HOME)
        done = subprocess.run(
            [COMMAND, *words, *where, *access],
            env={"COLUMNS": "200", **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    # --- what is so ---

    def current(self) -> str:
        """The serving certificate in the state, as its Secret holds it."""
        return str((self.plane.admin.get(STATE).get("data") or {}).get("current.crt"))

    def is_settled(self) -> bool:
        """One generation: in the state, in the serving Secret and in the bundles."""
        state = self.plane.admin.get(STATE).get("data") or {}
        pair = self.plane.admin.get(PAIR).get("data") or {}
        if "next.crt" in state or "retired.crt" in state or "current.crt" not in state:
            return False
        same = state["current.crt"] == pair.get("tls.crt")
        return same and set(self.bundles()) == {state["current.ca.crt"]}

    def bundles(self) -> list[str]:
        """Each entry's `caBundle`, in base64."""
        entries = self.plane.admin.get(CONFIGURATION)["webhooks"]
        return [entry["clientConfig"].get("caBundle", "") for entry in entries]

    def empty_bundles(self) -> None:
        """As a Helm release does whose template has an empty `caBundle`."""
        entries = self.plane.admin.get(CONFIGURATION)["webhooks"]
        self.plane.admin.patch(
            f"{CONFIGURATION}?fieldManager=helm&force=true",
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": RELEASE},
                "webhooks": [
                    {"name": entry["name"], "clientConfig": {"caBundle": ""}}
                    for entry in entries
                ],
            },
            kind="application/apply-patch+yaml",
        )

    def versions(self) -> list[str]:
        """Of everything that the companion may write but its Lease."""
        home = f"/api/v1/namespaces/{HOME}"
        paths = (
            *(PAIR, STATE, CONFIGURATION),
            f"{home}/configmaps/{RELEASE}-status",
            f"/api/v1/namespaces/{NAMESPACE}/secrets/{MIRROR_SECRET}",
        )
        found = [self.plane.admin.get(path)["metadata"] for path in paths]
        return [one["resourceVersion"] for one in found]

    def are_ready(self) -> bool:
        """Whether every webhook serves a certificate."""
        return (
            all("\n" in path.read_text() for path in self.folder.glob("mounted-*"))
            and len(list(self.folder.glob("mounted-*"))) == REPLICAS
        )

    def is_verified(self) -> bool:
        """Whether every webhook serves what API servers trust."""
        return self.run("certs", "verify")[0] == 0

    def pod(self) -> Object:
        """The labels and annotations that a task pod would get now."""
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        metadata = self.plane.admin.create(pods, task_pod(), dryRun="All")["metadata"]
        return {**metadata["labels"], **metadata.get("annotations", {})}

    # --- webhooks and their mounts ---

    def start_webhooks(self) -> None:
        """Every replica, on its own port and mount."""
        self._webhooks = [
            Process.start(
                f"webhook-{number}",
                [
                    *(COMMAND, "serve", "--cert-dir", self.folder / f"mount-{number}"),
                    *("--bind", f"{self._address}:{port}"),
                    *("--health-bind", "127.0.0.1:0"),
                ],
                log=self.folder / f"webhook-{number}.log",
                env={},
            )
            for number, port in enumerate(self._ports)
        ]

    def stop_webhooks(self) -> None:
        """All at once, without a drain."""
        for process in self._webhooks:
            process.stop(seconds=0)
        self._webhooks = []

    def _mount(self) -> None:
        seen = ""
        while not self._stop.wait(0.2):
            try:
                secret = self.plane.admin.get(PAIR)
            except (ApiError, urllib3.exceptions.HTTPError):
                continue  # a kubelet asks again
            version = secret["metadata"]["resourceVersion"]
            data = secret.get("data") or {}
            if version == seen or not data.get("tls.crt"):
                continue
            seen = version
            for number in range(REPLICAS):
                lag = random.uniform(0, MOUNT_LAG)  # noqa: S311 - a lag, no secret
                arguments = (self.folder, number, version, data)
                threading.Timer(lag, _turn, arguments).start()


def _turn(folder: Path, number: int, version: str, data: Mapping[str, str]) -> None:
    """What a kubelet does: a new folder, then the link, in one step."""
    mount = folder / f"mount-{number}"
    target = mount / f"..{version}"
    target.mkdir()
    for name in ("tls.crt", "tls.key"):
        (target / name).write_bytes(base64.b64decode(data[name]))
    link = mount / "..new"
    link.symlink_to(target.name)
    link.replace(mount / "..data")
    (folder / f"mounted-{number}").write_text(f"{version} {time.time()}\n")


def endpoint_slice(service: str, number: int, address: str, port: int) -> Object:
    """One replica: they share an address, so each has a slice for its port."""
    return {
        "metadata": {
            "name": f"replica-{number}",
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "the-test",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


def own_address() -> str:
    """This machine's address: endpoints may not be on loopback. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
