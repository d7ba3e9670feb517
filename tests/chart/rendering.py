"""Renders the chart as an operator's `helm template` does."""

import base64
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.lab.tools import TOOLS

CHART: Final = Path(__file__).parents[2] / "charts" / "tracking-injector"
BUNDLE: Final = base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()
"""As much of a `caBundle` as the chart looks at."""
RELEASE: Final = "tracking-injector"
NAMESPACE: Final = "ml-tracking"
KUBERNETES: Final = TOOLS["kube-apiserver"].version.removeprefix("v")
PRESETS: Final = tuple(sorted((CHART / "presets").glob("*.yaml")))
CI_VALUES: Final = tuple(sorted((CHART / "ci").glob("*.yaml")))

EVERY_VALUES: Final = (None, *CI_VALUES, *PRESETS)
"""The values files to try everything with; `None` is the chart as it comes."""

_MONITORING: Final = "example/prometheus-operator-crd/monitoring.coreos.com"
FOREIGN: Final = (
    ("prometheus-operator", f"{_MONITORING}_servicemonitors.yaml"),
    ("prometheus-operator", f"{_MONITORING}_prometheusrules.yaml"),
    ("cert-manager", "deploy/crds/cert-manager.io_certificates.yaml"),
)
"""Other operators, and the kinds of theirs that the chart makes objects of."""

WITHOUT_WEBHOOK: Final = CHART / "presets" / "policy-only.yaml"
"""The one of them that installs no webhook."""

Manifest = dict[str, Any]


class RefusedError(Exception):
    """Helm did not render; the message is what an operator reads."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The manifests of one render.

    Attributes:
        text: As printed, to the byte.
        manifests: Parsed, hooks and tests included.
    """

    text: str
    manifests: tuple[Manifest, ...]

    def one(self, kind: str, name: str) -> Manifest:
        """The manifest of that kind and name; there must be just one."""
        (found,) = (m for m in self.all(kind) if m["metadata"]["name"] == name)
        return found

    def all(self, kind: str) -> list[Manifest]:
        """Every manifest of a kind, in the order of the render."""
        return [m for m in self.manifests if m["kind"] == kind]

    def deployment(self, component: str) -> Manifest:
        """The Deployment of `webhook` or `companion`."""
        key = "app.kubernetes.io/component"
        (found,) = (
            one
            for one in self.all("Deployment")
            if one["metadata"]["labels"][key] == component
        )
        return found

    def pods(self) -> list[Manifest]:
        """Metadata and spec of every pod that the chart makes."""
        owners = self.all("Deployment") + self.all("Job")
        return [one["spec"]["template"] for one in owners] + self.all("Pod")

    def rules(self) -> list[Manifest]:
        """Every rule of every role."""
        roles = self.all("ClusterRole") + self.all("Role")
        return [rule for role in roles for rule in role["rules"]]

    def names(self, kind: str) -> set[str]:
        """Names of the manifests of a kind."""
        return {m["metadata"]["name"] for m in self.all(kind)}


@dataclass(frozen=True, slots=True)
class Chart:
    """The chart, with the helm that renders it."""

    helm: Path

    def render(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        files: Iterable[Path] = (),
        release: str = RELEASE,
        namespace: str = NAMESPACE,
        kubernetes: str = KUBERNETES,
        served: Iterable[str] = (),
    ) -> Rendered:
        """Render the chart.

        Args:
            values: As an operator would write them into a file.
            files: Values files that come before `values`.
            release: The release's name.
            namespace: The release's namespace.
            kubernetes: The version of the cluster.
            served: APIs that the cluster has besides those that Helm takes for granted.

        Raises:
            RefusedError: When helm does not render.
        """
        text = self.run(
            *("template", release, CHART, "--namespace", namespace),
            *("--kube-version", kubernetes),
            *(argument for api in served for argument in ("--api-versions", api)),
            *(argument for file in files for argument in ("--values", file)),
            *("--values", "-"),
            stdin=json.dumps(values or {}),
        )
        documents = yaml.load_all(text, Loader=yaml.CSafeLoader)
        return Rendered(text, tuple(one for one in documents if one))

    def run(self, *arguments: str | Path, stdin: str = "") -> str:
        """Run helm, and return what it prints.

        Raises:
            RefusedError: With its message, if it fails.
        """
        done = subprocess.run(
            [self.helm, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RefusedError(done.stderr.strip() or done.stdout.strip())
        return done.stdout
