"""The product as the tests run it: its own process, registered by its own chart."""

import base64
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import urllib3
import yaml

from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.credentials import Authority
from tests.lab.processes import Process, wait_for
from webhook.injection.names import (
    DOMAIN,
    INJECT_ENABLED,
    INJECT_LABEL,
    INJECTED_LABEL,
)

CHART: Final = Path(__file__).parents[2] / "charts" / "tracking-injector"
CONFIGURATIONS: Final = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
)
COMPUTE: Final[Mapping[str, str]] = {INJECT_LABEL: INJECT_ENABLED}
"""What an operator labels a compute namespace with."""
PROBED: Final = "effect-of-the-configuration"
"""The labeled namespace that tells whether a configuration has effect; it stays."""

_RELEASE_NAMESPACE: Final = "tracking-injector-system"
_TEMPLATE: Final = "templates/mutatingwebhookconfiguration.yaml"
REQUESTS: Final = "apiserver_admission_webhook_request_total"
DURATIONS: Final = "apiserver_admission_webhook_admission_duration_seconds_count"
ENTRIES: Final = ("ray", "spark", "opted-in")
"""Of the configuration, by what their names begin with."""


class Injector:
    """A running webhook that any number of control planes may call."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Start it with a certificate of its own, and return once it is ready.

        Args:
            folder: An empty folder for its certificate and its log.
            settings: Of the process, as variables.
        """
        now = datetime.now(UTC)  # noqa: TID251 - the lab's edge
        self._authority = Authority(folder, now=now)
        self._authority.issue("tls", user="tracking-injector", addresses=("127.0.0.1",))
        self._port = 0
        self._process = Process.start(
            "tracking-injector",
            [
                Path(sys.executable).parent / "tracking-injector",
                *("serve", "--cert-dir", folder),
                *("--bind", "127.0.0.1:0"),
                *("--health-bind", "127.0.0.1:0"),
            ],
            log=folder / "log",
            env=dict(settings),
        )
        try:
            self._process.wait_until(self._is_ready)
        except BaseException:
            self.stop()
            raise

    def _is_ready(self) -> bool:
        """Whether it answers at the ports that it says it got."""
        said = re.search(r"Listening at.+\n", self._process.log.read_text("utf-8"))
        if said is None:
            return False
        ports = map(int, re.findall(r"127\.0\.0\.1:(\d+)", said[0]))
        self._port, health = ports
        return _answers(health)

    def stop(self) -> None:
        """Stop it; where it is registered, pods are created without it."""
        self._process.stop(seconds=3)

    def register(self, plane: ControlPlane, release: str = "tracking-injector") -> None:
        """Apply the chart's webhook configuration, and return once it has effect.

        Only the address differs from an installation: loopback instead of a Service.

        Args:
            plane: Where.
            release: The Helm release, which names the configuration.
        """
        plane.admin.create(CONFIGURATIONS, self.configuration(plane, release))
        _await_effect(plane, wanted=True)

    def configuration(self, plane: ControlPlane, release: str) -> Object:
        """The chart's webhook configuration, with this process's address."""
        rendered = plane.helm(
            *("template", release, CHART, "--show-only", _TEMPLATE),
            *("--namespace", _RELEASE_NAMESPACE),
        )
        configuration: Object = yaml.safe_load(rendered)
        bundle = base64.b64encode(self._authority.certificate.read_bytes()).decode()
        for webhook in configuration["webhooks"]:
            path = webhook["clientConfig"]["service"]["path"]
            url = f"https://127.0.0.1:{self._port}{path}"
            webhook["clientConfig"] = {"url": url, "caBundle": bundle}
        return configuration

    def unregister(self, plane: ControlPlane) -> None:
        """Delete every configuration of ours, and return once it has effect."""
        for item in plane.admin.get(CONFIGURATIONS)["items"]:
            if any("tracking." in webhook["name"] for webhook in item["webhooks"]):
                plane.admin.delete(f"{CONFIGURATIONS}/{item['metadata']['name']}")
        _await_effect(plane, wanted=False)


def calls(plane: ControlPlane, workload: str = "", *, metric: str = REQUESTS) -> float:
    """How often the API server says that it called us.

    Args:
        plane: Whose API server.
        workload: One of `ENTRIES`, for that webhook entry only; else all.
        metric: Which of the API server's own counts.
    """
    names = [workload] if workload else ENTRIES
    return sum(plane.admin.metric(metric, name=f"{name}.{DOMAIN}") for name in names)


def task_pod(**labels: str) -> Object:
    """The least pod that is a Ray head by its labels; `labels` are added."""
    return bare_pod({"ray.io/node-type": "head", **labels}, "ray-head")


def bare_pod(labels: Mapping[str, str], *containers: str, **metadata: Any) -> Object:
    """The least pod of these labels and containers."""
    return {
        "metadata": {"generateName": "probe-", "labels": dict(labels), **metadata},
        "spec": {"containers": [{"name": one, "image": "ray"} for one in containers]},
    }


def _await_effect(plane: ControlPlane, *, wanted: bool) -> None:
    """Ask with dry runs until the API server's copy of the configurations is fresh."""
    if not plane.admin.exists(f"/api/v1/namespaces/{PROBED}"):
        plane.namespace(PROBED, COMPUTE)
    pods = f"/api/v1/namespaces/{PROBED}/pods"

    def seen() -> bool:
        pod = plane.admin.create(pods, task_pod(), dryRun="All")
        return (INJECTED_LABEL in pod["metadata"]["labels"]) == wanted

    wait_for("the webhook configuration's effect", seen)


def _answers(port: int) -> bool:
    url = f"http://127.0.0.1:{port}/readyz"
    try:
        return urllib3.request("GET", url, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False
