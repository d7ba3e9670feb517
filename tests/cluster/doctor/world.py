"""A whole installation on an API server, healthy, for faults to be brought into.

The chart is installed by Helm, the companion is built as its Deployment runs it, under
its own account's rights, and a real webhook serves. What a node would do is done here:
pods of both Deployments get an address and are ready when their process is, so that the
real endpoint controller fills the Service; mounts follow their Secret.
"""

import base64
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml

from certs.issue import issue
from certs.model import Generation
from certs.policy import CertificatePolicy
from tests.chart.rendering import Rendered
from tests.chart.test_settings import environ
from tests.cluster.injector import COMPUTE, CONFIGURATIONS, task_pod
from tests.cluster.release import CHART
from tests.cluster.rotation.installation import COMMAND, own_address
from tests.lab.api import ApiError, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import Process, free_port, wait_for
from webhook.cli.doctor_examine import Examiner
from webhook.cluster.config import load_kubeconfig
from webhook.companion.build import Companion, Outside, build_companion
from webhook.companion.manager import Manager  # noqa: TC001 - one import block
from webhook.companion.observation.release import ReleaseName
from webhook.doctor.check import Diagnosis, first_cause
from webhook.egress.dns_cache import DnsAnswer, DnsOutcome
from webhook.jsonlog import JsonLog
from webhook.settings import CompanionSettings

RELEASE: Final = "tracking-injector"
HOME: Final = "ml-tracking"
TEAMS: Final = ("team-a", "team-b")
TRACKER: Final = "mlflow"
URI: Final = f"http://server.{TRACKER}.svc.cluster.local:5000"
CONFIGURATION: Final = f"{CONFIGURATIONS}/{RELEASE}"
CORE: Final = f"/api/v1/namespaces/{HOME}"
SERVER_NAME: Final = f"{RELEASE}.{HOME}.svc"
DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{HOME}/deployments"
LEASE: Final = (
    f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/{RELEASE}-companion"
)
NODE: Final = "node"
NODE_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
READY: Final = {"type": "Ready", "status": "True"}


class World:
    """Everything, and what faults do to it."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        """Install, start, and return when doctor has nothing to say."""
        self.plane, self.folder, self.admin = plane, folder, plane.admin
        self.address, self.port = own_address(), free_port()
        self.ahead = timedelta(0)
        """How far the companion's clock is ahead."""
        self.records: dict[str, tuple[str, ...] | DnsOutcome] = {}
        """What DNS answers; names without an entry do not exist."""
        self.sick: dict[str, Callable[[], Object]] = {}
        """By component: the status of its pods, instead of the truth."""
        self.values: dict[str, Any] = {
            "image": {"repository": "registry.example.org/tracking-injector"},
            "webhook": {"port": self.port},
            # Otherwise the API server injects by itself while the webhook is away.
            "injection": {"inTree": False},
            "tracking": {
                "profiles": {
                    "default": [
                        {"configMap": "uri", "keys": ["TRACKING_URI"]},
                        {"secret": "keys"},
                    ]
                }
            },
            # The least that the chart takes, since a mount follows at once here.
            "certificates": {
                "companion": {
                    "skewSeconds": 1,
                    "bundleSeconds": 2,
                    "serveSeconds": 2,
                }
            },
        }
        self._stop = threading.Event()
        self._companion: tuple[Companion, Manager] | None = None
        self._webhook: Process | None = None
        self._health = free_port()
        self._mounted = ""
        # Never closed: threads of a companion that ended may still have a last word.
        self._log = os.open(folder / "companion.log", os.O_WRONLY | os.O_CREAT)
        (folder / "mount").mkdir()
        self._prepare()
        self.install()
        self.client = load_kubeconfig(manager="doctor", path=plane.kubeconfig).resources
        self.start_webhook()
        self.start_companion()
        self._node = threading.Thread(target=self._run_node, daemon=True)
        self._node.start()
        self.settle()

    def stop(self) -> None:
        """End everything that was started."""
        self._stop.set()
        self._node.join(10)
        self.stop_companion()
        if self._webhook is not None:
            self._webhook.stop(seconds=3)

    # --- what an operator does ---

    def install(self, **more: Any) -> None:
        """Install or upgrade by Helm, with the values as they are."""
        path = self.folder / "values.yaml"
        path.write_text(yaml.safe_dump(self.values | more), "utf-8")
        self.plane.helm(
            *("upgrade", "--install", RELEASE, CHART, "--namespace", HOME),
            *("--values", path, "--no-hooks"),
        )
        text = self.plane.helm("get", "manifest", RELEASE, "--namespace", HOME)
        documents = yaml.load_all(text, Loader=yaml.CSafeLoader)
        self._rendered = Rendered(text, tuple(one for one in documents if one))

    def source(self, name: str, data: Mapping[str, str]) -> None:
        """Write a source ConfigMap, whole."""
        path = f"{CORE}/configmaps"
        body: Object = {"metadata": {"name": name}, "data": dict(data)}
        try:
            self.admin.create(path, body)
        except ApiError:
            body["metadata"]["namespace"] = HOME
            self.admin.replace(f"{path}/{name}", body)

    def namespace(self, name: str, **labels: str) -> str:
        """Create a labeled namespace."""
        return self.plane.namespace(name, {**COMPUTE, **labels})

    def remove(self, *names: str) -> None:
        """Delete namespaces, and return when they are gone."""
        paths = [f"/api/v1/namespaces/{name}" for name in names]
        for path in paths:
            self.admin.delete(path)
        gone = lambda: not any(map(self.admin.exists, paths))  # noqa: E731 - one use
        wait_for(f"the end of {names}", gone, seconds=60)

    # --- what doctor says ---

    def examine(self, *namespaces: str) -> tuple[Diagnosis, ...]:
        """Return every diagnosis."""
        at = datetime.now(UTC)  # noqa: TID251 - doctor's own clock
        examiner = Examiner(client=self.client)
        return examiner.examine(ReleaseName(HOME, RELEASE), namespaces, at)

    def cause(self, *namespaces: str) -> str:
        """Return the code of what doctor would have mended first; empty for none."""
        found = first_cause(self.examine(*namespaces))
        return found.check.code if found else ""

    def settle(self, seconds: float = 60) -> None:
        """Return when doctor has nothing to say.

        Raises:
            AssertionError: it still has something to say after that time.
        """
        deadline = time.monotonic() + seconds
        while (found := first_cause(self.examine())) is not None:
            if time.monotonic() > deadline:
                said = "; ".join(map(str, found.symptoms))
                raise AssertionError(f"{found.namespace} {found.check.code}: {said}")
            time.sleep(0.2)

    # --- the processes ---

    def start_companion(self, **settings_: str) -> None:
        """As its Deployment runs it, with its account's rights and our clock and DNS.

        Args:
            **settings_: variables that differ from what the chart sets.
        """
        account = self.plane.kubeconfig_for(HOME, f"{RELEASE}-companion")
        connection = load_kubeconfig(manager="tracking-injector", path=account)
        settings = CompanionSettings.from_environ(
            environ(self._rendered, "companion")
            | {"MTI_IDENTITY": "companion-0", "MTI_WATCH_SECONDS": "5"}
            | settings_
        )
        built = build_companion(
            connection,
            settings,
            Outside(
                log=JsonLog(
                    partial(os.write, self._log), self._clock, flush_seconds=0.1
                ),
                clock=self._clock,
                look_up=self._look_up,
            ),
        )
        manager = built.manager()
        manager.start()
        self._companion = built, manager

    def stop_companion(self) -> None:
        """As SIGTERM does; it lets the Lease go."""
        if self._companion is not None:
            self._companion[1].stop.set()
            self._companion[1].end()
            self._companion = None

    def start_webhook(self) -> None:
        """One process for both of its pods: they share this machine's address."""
        self._webhook = Process.start(
            "webhook",
            [
                *(COMMAND, "serve", "--cert-dir", self.folder / "mount"),
                *("--bind", f"{self.address}:{self.port}"),
                *("--health-bind", f"127.0.0.1:{self._health}"),
            ],
            log=self.folder / "webhook.log",
            env={},
        )

    def stop_webhook(self) -> None:
        """At once, as a kill."""
        if self._webhook is not None:
            self._webhook.kill()
            self._webhook = None

    def mount(self, crt: bytes, key: bytes) -> None:
        """Turn the link of the webhook's mount, as a kubelet does."""
        target = self.folder / "mount" / f"..{time.monotonic_ns()}"
        target.mkdir()
        (target / "tls.crt").write_bytes(crt)
        (target / "tls.key").write_bytes(key)
        link = self.folder / "mount" / "..new"
        link.symlink_to(target.name)
        link.replace(self.folder / "mount" / "..data")

    def pair(self, *, days: float = 0, name: str = SERVER_NAME) -> Generation:
        """Issue a pair as of some days from now, for a name."""
        at = datetime.now(UTC) + timedelta(days=days)  # noqa: TID251 - as above
        return issue(CertificatePolicy(names=(name,)), at)

    @contextmanager
    def impostor(self, pair: Generation) -> Iterator[None]:
        """Serve a pair at the webhook's place that the webhook itself would refuse.

        It is trusted: every entry's caBundle has its root too.
        """
        before = self.admin.get(CONFIGURATION)["webhooks"]
        entries = [
            one | {"clientConfig": _trusting(one["clientConfig"], pair)}
            for one in before
        ]
        truth = self._truth("webhook")
        self.sick["webhook"] = lambda: truth
        self.stop_webhook()
        self.admin.patch(CONFIGURATION, {"webhooks": entries})
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        file = self.folder / "impostor.pem"
        file.write_bytes(pair.leaf + pair.key.reveal())
        context.load_cert_chain(file)
        server = self._take_port()
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
        server.server_close()
        self.admin.patch(CONFIGURATION, {"webhooks": before})
        self.start_webhook()
        del self.sick["webhook"]

    def _take_port(self) -> ThreadingHTTPServer:
        """Serve where the webhook did; a worker of its may outlive it for a moment."""
        made: list[ThreadingHTTPServer] = []

        def taken() -> bool:
            with suppress(OSError):
                where = (self.address, self.port)
                made.append(ThreadingHTTPServer(where, SimpleHTTPRequestHandler))
            return bool(made)

        wait_for("the webhook's port to be free", taken, seconds=60)
        return made[0]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def wait_until(self, what: str, seen: Callable[[], object]) -> None:
        """Return once it is seen."""
        wait_for(what, lambda: bool(seen()), seconds=60)

    def wait_for_pods(self, component: str, count: int) -> None:
        """Return once a component has that many pods."""
        label = f"app.kubernetes.io/component={component}"

        def pods() -> int:
            found = self.admin.get(f"{CORE}/pods", labelSelector=label)
            return len(found["items"])

        self.wait_until(f"{count} pods", lambda: pods() == count)

    def unconfigured(self) -> None:
        """Return once API servers have heard that no webhook is to be called."""
        path = f"/api/v1/namespaces/{TEAMS[0]}/pods"

        def plain() -> bool:
            pod = self.admin.create(path, task_pod(), dryRun="All")
            return not pod["spec"]["containers"][0].get("envFrom")

        self.wait_until("pods are left alone", plain)

    def teach(self, group: str, version: str, kind: str) -> str:
        """Make a kind of another operator's known, and return once it is served."""
        plural = f"{kind.lower()}s"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        served = {
            "name": version,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
        }
        names = {"kind": kind, "plural": plural, "singular": kind.lower()}
        body: Object = {
            "metadata": {
                "name": f"{plural}.{group}",
                # Of a group under k8s.io, the API server wants to know.
                "annotations": {"api-approved.kubernetes.io": "unapproved, a test's"},
            },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": names,
                "versions": [served],
            },
        }
        self.admin.create(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body
        )
        path = f"/apis/{group}/{version}/{plural}"
        self.wait_until(path, lambda: self.admin.answers(path))
        return f"{plural}.{group}"

    def outlast_operators(self) -> None:
        """Return once an operator would have acted on what was there at the start."""
        self.wait(max(0.0, self._begun + 62 - time.monotonic()))

    # --- what a node does ---

    def _run_node(self) -> None:
        alive = 0.0
        while not self._stop.wait(0.15):
            try:
                if time.monotonic() - alive > 5:
                    self.admin.patch(f"{NODE_LEASES}/{NODE}", {"spec": _renewed()})
                    alive = time.monotonic()
                self._follow_mount()
                self._follow_pods()
            except (ApiError, urllib3.exceptions.HTTPError):
                continue  # something is gone for a moment, or the API server is

    def _follow_mount(self) -> None:
        secret = self.admin.get(f"{CORE}/secrets/{RELEASE}-tls")
        version = secret["metadata"]["resourceVersion"]
        data = secret.get("data") or {}
        if version == self._mounted or not data.get("tls.crt"):
            return
        self._mounted = version
        crt, key = (base64.b64decode(data[name]) for name in ("tls.crt", "tls.key"))
        self.mount(crt, key)

    def _follow_pods(self) -> None:
        found = self.admin.get(f"{CORE}/pods")["items"]
        for pod in found:
            component = pod["metadata"]["labels"].get("app.kubernetes.io/component")
            if component not in ("webhook", "companion"):
                continue
            if pod["metadata"].get("deletionTimestamp"):
                path = f"{CORE}/pods/{pod['metadata']['name']}"
                self.admin.delete(path, gracePeriodSeconds="0")
                continue
            if not pod["spec"].get("nodeName"):
                self._bind(pod["metadata"]["name"])
            status = self.sick.get(component, lambda c=component: self._truth(c))()
            if not status.items() <= _known(pod).items():
                name = pod["metadata"]["name"]
                whole: Object = {"containerStatuses": None} | status
                self.admin.patch(f"{CORE}/pods/{name}/status", {"status": whole})

    def _bind(self, pod: str) -> None:
        """What the scheduler does: endpoints are those of pods with a node."""
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        body: Object = {"metadata": {"name": pod}, "target": target}
        self.admin.create(f"{CORE}/pods/{pod}/binding", body)

    def _truth(self, component: str) -> Object:
        ready = self._serves() if component == "webhook" else self._leads()
        address = self.address if component == "webhook" else "10.1.0.1"
        return {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [READY | {"status": "True" if ready else "False"}],
        }

    def _serves(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self._health}/readyz"
            return urllib3.request("GET", url, retries=False, timeout=1).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _leads(self) -> bool:
        running = self._companion
        return running is not None and running[1].is_ready()

    # --- the rest ---

    def _prepare(self) -> None:
        self.admin.create("/api/v1/nodes", {"metadata": {"name": NODE}})
        self.admin.patch(
            f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": [READY]}}
        )
        self.admin.create(NODE_LEASES, {"metadata": {"name": NODE}, "spec": _renewed()})
        for name in (HOME, TRACKER):
            self.plane.namespace(name)
        for name in TEAMS:
            self.namespace(name)
        self.admin.create(
            f"/api/v1/namespaces/{TRACKER}/services",
            {
                "metadata": {"name": "server"},
                "spec": {"selector": {"app": "mlflow"}, "ports": [{"port": 5000}]},
            },
        )
        pod: Object = {
            "metadata": {"name": "server", "labels": {"app": "mlflow"}},
            "spec": {"containers": [{"name": "server", "image": "mlflow"}]},
        }
        pods = f"/api/v1/namespaces/{TRACKER}/pods"
        self.admin.create(pods, pod)
        status = {"podIP": "10.1.0.9", "podIPs": [{"ip": "10.1.0.9"}]}
        ready = {"phase": "Running", "conditions": [READY], **status}
        self.admin.patch(f"{pods}/server/status", {"status": ready})
        self.source("uri", {"TRACKING_URI": URI})
        self.key("a-key")
        self.ray = self.plane.namespace("ray-teams")
        self.teach("ray.io", "v1", "RayCluster")
        self.admin.create(
            f"/apis/ray.io/v1/namespaces/{self.ray}/rayclusters",
            {
                "apiVersion": "ray.io/v1",
                "kind": "RayCluster",
                "metadata": {"name": "idle"},
            },
        )
        self._begun = time.monotonic()

    def key(self, value: str) -> None:
        """Write the source Secret, whole."""
        data = {"TRACKING_API_KEY": base64.b64encode(value.encode()).decode()}
        body: Object = {"metadata": {"name": "keys"}, "data": data}
        path = f"{CORE}/secrets"
        try:
            self.admin.create(path, body)
        except ApiError:
            self.admin.patch(f"{path}/keys", body)

    def _clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead  # noqa: TID251 - a process's edge

    def _look_up(self, name: str, now: datetime) -> DnsAnswer:
        found = self.records.get(name, DnsOutcome.NXDOMAIN)
        minute = timedelta(seconds=60)
        if isinstance(found, DnsOutcome):
            return DnsAnswer(now, found, (), minute)
        answer = tuple(map(ip_address, found))
        return DnsAnswer(now, DnsOutcome.NOERROR, answer, minute)


def _trusting(config: Object, pair: Generation) -> Object:
    """A client's configuration that trusts one more root."""
    known = base64.b64decode(config.get("caBundle") or "")
    bundle = base64.b64encode(known + pair.root.pem).decode()
    return config | {"caBundle": bundle}


def _renewed() -> Object:
    """A Lease of a node that is alive."""
    now = datetime.now(UTC)  # noqa: TID251 - the lab's edge
    return {
        "holderIdentity": NODE,
        "leaseDurationSeconds": 40,
        "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def _known(pod: Object) -> Object:
    """What a pod's status has, as far as it is compared."""
    status = pod.get("status") or {}
    keys = ("type", "status", "reason", "message")
    conditions = [
        {key: one[key] for key in keys if key in one}
        for one in status.get("conditions") or ()
    ]
    containers = [
        {key: one[key] for key in ("name", "image", "imageID", "ready", "restartCount")}
        | {"state": one.get("state") or {}}
        for one in status.get("containerStatuses") or ()
    ]
    return status | {"conditions": conditions, "containerStatuses": containers}
