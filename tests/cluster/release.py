"""A release on the lab: the chart's rights and policies, and companions under them.

A companion here is the real command in a process of its own, with exactly the
ServiceAccount that the chart installs.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.lab.api import Api, ApiError
from tests.lab.control_plane import ControlPlane

CHART: Final = Path(__file__).parents[2] / "charts" / "tracking-injector"
NAME: Final = "tracking-injector"
COMPANION: Final = "tracking-injector-companion"
MIRROR: Final = "michelangelo-tracking"
LABEL: Final = "tracking.michelangelo-ai.org/inject"
URI: Final = "https://mlflow.example.org"
CANARY: Final = "canary-5e0c7a-value-of-a-key"
"""In every source's secret key; it may be in Secrets and nowhere else."""

_INSTALLED: Final = (
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Lease",
    "ConfigMap",
    "Secret",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
"""All of the chart but what runs pods: the lab has no node."""
_WORKLOADS: Final = ("Deployment", "MutatingWebhookConfiguration", "Service")
"""The rest, for whoever looks at an installation from outside."""


def eventually(
    what: str, holds: Callable[[], Any], *, seconds: float = 60.0, every: float = 0.01
) -> float:
    """Waits until it holds, and returns how long that took, in seconds."""
    started = time.monotonic()
    while True:
        if holds():
            return time.monotonic() - started
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


def tell(figure: str) -> None:
    """Says a measured figure to whoever runs the tests with `-s`."""
    sys.stdout.write(f"\n{figure}\n")


class Release:
    """The chart's objects in a namespace, and what an operator does there."""

    def __init__(
        self,
        plane: ControlPlane,
        namespace: str = "ml-tracking",
        fullname: str = NAME,
        *,
        workloads: bool = False,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Installs what the chart renders for one ConfigMap and one Secret.

        With `workloads` the Deployments too; `ready` stands in for their node. `values`
        are more of the chart's.
        """
        self._kinds = (*_INSTALLED, *(_WORKLOADS if workloads else ()))
        self.plane = plane
        self.namespace = namespace
        self.fullname = fullname
        self.companion = f"{fullname}-companion"
        self.admin = plane.admin
        plane.namespace(namespace)
        own = {
            "fullnameOverride": fullname,
            "tracking": {"existingConfigMap": "uri", "existingSecret": "keys"},
            # Tests edit mirrors and squat on them, to see what the companion does.
            "policies": {"rejectForeignMirror": False},
        }
        self.install({**own, **(values or {})})
        self.source("uri", {"TRACKING_URI": URI})
        self.key(CANARY)

    def install(self, values: Mapping[str, Any]) -> None:
        """Renders the chart and applies all but what runs pods."""
        path = self.plane.folder / "values.yaml"
        path.write_text(yaml.safe_dump(dict(values)), "utf-8")
        text = self.plane.helm(
            "template",
            NAME,
            CHART,
            f"--namespace={self.namespace}",
            f"--values={path}",
            f"--kube-version={self.admin.get('/version')['gitVersion']}",
        )
        objects = [
            body
            for body in yaml.safe_load_all(text)
            if body and body["kind"] in self._kinds
        ]
        self._hooks = [one for one in objects if _hook(one)]
        self._apply([one for one in objects if not _hook(one)])

    def ready(self, name: str, *, is_ready: bool = True) -> None:
        """The pods of a Deployment are ready, or not any more."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"
        wanted = self.admin.get(path)["spec"]["replicas"]
        condition = {"type": "Ready", "status": str(is_ready)}
        status = {"phase": "Running" if is_ready else "Pending"}

        def pods() -> list[dict[str, Any]]:
            items = self.admin.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"]
            named = [one["metadata"]["name"].rsplit("-", 2)[0] for one in items]
            return [one for one, of in zip(items, named, strict=True) if of == name]

        eventually("its pods are made", lambda: len(pods()) == wanted)
        for pod in pods():
            body = {"status": status | {"conditions": [condition]}}
            where = f"/api/v1/namespaces/{self.namespace}/pods"
            self.admin.patch(f"{where}/{pod['metadata']['name']}/status", body)
        number = wanted if is_ready else 0
        eventually(
            "its Deployment has heard of it",
            lambda: self.admin.get(path)["status"].get("readyReplicas", 0) == number,
        )

    def endpoint(self, address: str) -> None:
        """A replica is behind the webhook's Service; of pods without a node none is."""
        labels = {
            "kubernetes.io/service-name": self.fullname,
            "endpointslice.kubernetes.io/managed-by": "tests",
        }
        body = {
            "metadata": {"name": f"{self.fullname}-tests", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": 9, "protocol": "TCP"}],
        }
        group = "/apis/discovery.k8s.io/v1"
        path = f"{group}/namespaces/{self.namespace}/endpointslices"
        self.admin.create(path, body)

    def begin_uninstall(self) -> None:
        """Gives the right that only the pre-delete hook brings with it."""
        self._apply([one for one in self._hooks if _hook(one) == "pre-delete"])

    def source(self, name: str, data: Mapping[str, str]) -> None:
        """An operator writes a source ConfigMap."""
        self._put("configmaps", name, {"data": dict(data)})

    def key(self, value: str) -> None:
        """An operator writes the tracking key."""
        encoded = base64.b64encode(value.encode()).decode()
        self._put("secrets", "keys", {"data": {"TRACKING_API_KEY": encoded}})

    def label(self, namespace: str, value: str | None = "enabled") -> None:
        """An operator switches a namespace on, or off with None."""
        body = {"metadata": {"labels": {LABEL: value}}}
        self.admin.patch(f"/api/v1/namespaces/{namespace}", body)

    def compute(self, name: str) -> str:
        """A new labeled namespace."""
        body = {"metadata": {"name": name, "labels": {LABEL: "enabled"}}}
        self.admin.create("/api/v1/namespaces", body)
        return name

    def mirror(self, namespace: str) -> dict[str, str] | None:
        """The mirror's content in plain text, or None."""
        try:
            body = self.admin.get(f"/api/v1/namespaces/{namespace}/secrets/{MIRROR}")
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        data = body.get("data") or {}
        return {k: base64.b64decode(v).decode() for k, v in data.items()}

    def holds(self, namespace: str, key: str = CANARY) -> bool:
        """Whether the mirror there equals its sources."""
        return self.mirror(namespace) == {"TRACKING_API_KEY": key, "TRACKING_URI": URI}

    def status(self) -> dict[str, Any]:
        """The companion's report; empty before the first."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{self.fullname}-status"
        data = self.admin.get(path).get("data") or {}
        report: dict[str, Any] = json.loads(data.get("status.json", "{}"))
        return report

    def reason(self, namespace: str) -> str | None:
        """What the report says about a namespace."""
        found = self.status().get("namespaces", {}).get(namespace)
        return None if found is None else str(found["reason"])

    def leader(self) -> str:
        """Who holds the Lease."""
        path = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/{}"
        lease = self.admin.get(path.format(self.namespace, self.companion))
        return str((lease.get("spec") or {}).get("holderIdentity") or "")

    def leaks(self) -> list[str]:
        """Where the canary is although it should not be: objects, logs, metrics."""
        found = [
            f"{one.get('kind')} {one['metadata']}"
            for one in everything(self.admin)
            if tells(json.dumps(one))
        ]
        said = self.plane.folder.glob("companion.*.*")
        return found + [str(path) for path in said if tells(path.read_text("utf-8"))]

    def kubeconfig(self, server: str | None = None) -> Path:
        """The companion's own kubeconfig, at another address where one is given."""
        path = self.plane.kubeconfig_for(self.namespace, self.companion)
        if server is None:
            return path
        config = yaml.safe_load(path.read_text("utf-8"))
        config["clusters"][0]["cluster"]["server"] = server
        other = path.with_suffix(".proxied")
        other.touch(mode=0o600)
        other.write_text(yaml.safe_dump(config), "utf-8")
        return other

    def environ(self, identity: str) -> dict[str, str]:
        """A companion's environment, as the chart sets it."""
        return {
            "PATH": os.environ.get("PATH", ""),  # noqa: TID251 - a child's environment
            "MTI_RELEASE_NAMESPACE": self.namespace,
            "MTI_RELEASE": f"{self.namespace}.{NAME}",
            "MTI_PROFILES": '{"default": [{"configMap": "uri"}, {"secret": "keys"}]}',
            "MTI_LEASE_NAME": self.companion,
            "MTI_STATUS_CONFIGMAP": f"{self.fullname}-status",
            "MTI_DNS_CACHE_CONFIGMAP": f"{self.fullname}-addresses",
            "MTI_WEBHOOK_NAME": self.fullname,
            "MTI_IDENTITY": identity,
            # These tests install no webhook, so there is none to issue for.
            "MTI_CERTIFICATES": "provided",
            "MTI_HEALTH_BIND": "127.0.0.1:0",
            "MTI_SHADOWING_CONFIG_MAPS": "michelangelo-config",
        }

    def _apply(self, objects: Sequence[Mapping[str, Any]]) -> None:
        manifests = yaml.safe_dump_all(objects)
        self.plane.kubectl("apply", "--server-side", "-f", "-", stdin=manifests)

    def _put(self, kind: str, name: str, body: dict[str, Any]) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/{kind}"
        full = {"metadata": {"name": name}, **body}
        try:
            self.admin.create(path, full)
        except ApiError as error:
            if error.code != 409:
                raise
            self.admin.patch(f"{path}/{name}", full)


def tells(text: str) -> bool:
    """Whether the canary is in it, plain or as the beginning of a Secret's value."""
    encoded = base64.b64encode(CANARY.encode()).decode()
    return CANARY in text or encoded[: len(CANARY) // 3 * 4] in text


def _hook(body: Mapping[str, Any]) -> str | None:
    """The event that an object is a hook of, if any."""
    annotations: Mapping[str, str] = body["metadata"].get("annotations") or {}
    return annotations.get("helm.sh/hook")


def everything(admin: Api) -> Iterator[dict[str, Any]]:
    """Every object that can be listed, Secrets apart."""
    paths = [
        "/api/v1",
        *(
            f"/apis/{group['preferredVersion']['groupVersion']}"
            for group in admin.get("/apis")["groups"]
        ),
    ]
    for path in paths:
        for resource in admin.get(path)["resources"]:
            if "list" in resource["verbs"] and resource["name"] != "secrets":
                yield from admin.get(f"{path}/{resource['name']}")["items"]


class Running:
    """A companion process."""

    def __init__(
        self,
        release: Release,
        identity: str,
        kubeconfig: Path,
        *,
        arguments: Sequence[str] = (),
        **settings: str,
    ) -> None:
        """Starts it; its log goes to a file that outlives it."""
        self.identity = identity
        self.log = release.plane.folder / f"companion.{time.monotonic_ns()}.log"
        environ = release.environ(identity) | {
            f"MTI_{name.upper()}": value for name, value in settings.items()
        }
        command = [str(Path(sys.executable).parent / "tracking-injector"), "companion"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--kubeconfig", str(kubeconfig), *arguments],
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def lines(self) -> list[dict[str, Any]]:
        """What it logged so far."""
        text = self.log.read_text("utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def port(self) -> int:
        """Where its listener listens."""
        started = [one for one in self.lines() if one["event"] == "companion-started"]
        return int(started[0]["port"]) if started else 0

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body of its listener's answer."""
        eventually("the listener listens", self.port)
        url = f"http://127.0.0.1:{self.port()}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def memory(self, field: str = "VmRSS") -> float:
        """Resident memory in MiB; at its most with `VmHWM`."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        line = next(one for one in text.splitlines() if one.startswith(field))
        return int(line.split()[1]) / 1024

    def cpu(self) -> float:
        """CPU seconds used so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text("utf-8")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit code, and how many seconds it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10), time.monotonic() - started

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def companion(
    release: Release,
    identity: str = "one",
    *,
    kubeconfig: Path | None = None,
    **settings: str,
) -> Iterator[Running]:
    """A companion that ends with the block."""
    running = Running(release, identity, kubeconfig or release.kubeconfig(), **settings)
    try:
        # What comes next is about the companion, not about how fast Python starts.
        eventually("it has started", running.port, seconds=120)
        yield running
        if running.process.poll() is None:
            running.log.with_suffix(".metrics").write_text(running.ask("/metrics")[1])
    finally:
        if running.process.poll() is None:
            # Gracefully, so that the next one need not wait for the Lease to run out.
            running.stop()
