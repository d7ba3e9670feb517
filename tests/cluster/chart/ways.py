"""The ways in which people put the chart into a cluster and take it out again.

Each is what its tool does to the API server: Kustomize, `kubectl apply` of a plain
render, Argo CD after its own source, and Helm, which is what Flux calls.
"""

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from tests.chart.rendering import CHART, RELEASE
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import wait_for

APPLICATION: Final = "team-ml-tracking"
"""What Argo CD calls it: not what Helm would, as is usual there."""

_HOOK: Final = "helm.sh/hook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is put where.

    Attributes:
        plane: The cluster.
        namespace: The release's.
        files: Values files, the later ones winning.
    """

    plane: ControlPlane
    namespace: str
    files: tuple[Path, ...]

    @property
    def version(self) -> str:
        """Of Kubernetes, which no render finds out by itself."""
        return str(self.plane.admin.get("/version")["gitVersion"])

    def template(self, *flags: str) -> str:
        """What `helm template` prints."""
        values = [word for file in self.files for word in ("--values", file)]
        where = ("--namespace", self.namespace, "--kube-version", self.version)
        return self.plane.helm("template", RELEASE, CHART, *where, *values, *flags)


class Way(Protocol):
    """One way; what it made is gone again after `remove`."""

    def apply(self, chosen: Chosen) -> None:
        """Put it there, or bring what is there up to date."""

    def remove(self, chosen: Chosen) -> None:
        """Take it away, as this way does."""


class Plain:
    """`helm template … | kubectl apply -f -`: hooks and tests are objects like any."""

    def apply(self, chosen: Chosen) -> None:
        """Client-side, as everybody types it."""
        chosen.plane.kubectl("apply", "-f", "-", stdin=chosen.template())

    def remove(self, chosen: Chosen) -> None:
        """By the same render."""
        _delete(chosen.plane, chosen.template())


@dataclass(frozen=True, slots=True)
class Kustomize:
    """`kustomize build --enable-helm . | kubectl apply --server-side -f -`.

    Attributes:
        fields: More of `helmCharts`.
    """

    fields: Object

    def apply(self, chosen: Chosen) -> None:
        """As the how-to has it."""
        built = self._build(chosen)
        chosen.plane.kubectl("apply", "--server-side", "-f", "-", stdin=built)

    def remove(self, chosen: Chosen) -> None:
        """By the same build."""
        _delete(chosen.plane, self._build(chosen))

    def _build(self, chosen: Chosen) -> str:
        folder = chosen.plane.folder / "kustomization"
        folder.mkdir(exist_ok=True)
        # Beside it, as in a repository: Kustomize takes any other path for one below.
        for file in chosen.files:
            shutil.copy(file, folder)
        first, *others = (file.name for file in chosen.files)
        chart: Object = {
            "name": CHART.name,
            "releaseName": RELEASE,
            "namespace": chosen.namespace,
            "valuesFile": first,
            "additionalValuesFiles": others,
            "kubeVersion": chosen.version,
        }
        wanted: Object = {
            "helmGlobals": {"chartHome": str(CHART.parent)},
            "helmCharts": [chart | self.fields],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted), "utf-8")
        toolbox = chosen.plane.toolbox
        done = subprocess.run(
            [
                *(toolbox.program("kustomize"), "build", "--enable-helm"),
                *("--helm-command", toolbox.program("helm")),
                *("--load-restrictor", "LoadRestrictionsNone", folder),
            ],
            env=chosen.plane.environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(frozen=True, slots=True)
class ArgoCD:
    """A sync, and the deletion of an Application, after `controller/` of Argo CD 3.6.

    It renders by `helm template`, told what the cluster serves, marks each object as
    its own, runs hooks of deletion when the Application is deleted (from 3.3 on) and
    ignores those of tests.

    Attributes:
        runs_pre_delete: Whether it is 3.3 or newer.
    """

    runs_pre_delete: bool

    def apply(self, chosen: Chosen) -> None:
        """Everything that is no hook, server-side."""
        ours = [one for one in _marked(chosen) if _HOOK not in _annotations(one)]
        _apply(chosen.plane, ours)

    def remove(self, chosen: Chosen) -> None:
        """Run the hooks that come before; then take away what was applied, and them."""
        objects = _marked(chosen)
        hooks = [one for one in objects if _annotations(one).get(_HOOK) == "pre-delete"]
        if self.runs_pre_delete:
            waves = {int(_annotations(one)["helm.sh/hook-weight"]) for one in hooks}
            for wave in sorted(waves):
                weight = {"helm.sh/hook-weight": str(wave)}.items()
                _apply(
                    chosen.plane,
                    [h for h in hooks if weight <= _annotations(h).items()],
                )
            self._await_job(chosen)
        _delete(
            chosen.plane,
            yaml.safe_dump_all(
                one for one in reversed(objects) if _HOOK not in _annotations(one)
            ),
            "--cascade=foreground",
        )
        if self.runs_pre_delete:
            _delete(chosen.plane, yaml.safe_dump_all(hooks))

    def _await_job(self, chosen: Chosen) -> None:
        path = f"/apis/batch/v1/namespaces/{chosen.namespace}/jobs/{RELEASE}-uninstall"
        admin = chosen.plane.admin
        wait_for(
            "the hook",
            lambda: admin.get(path).get("status", {}).get("succeeded") == 1,
            seconds=60,
        )


class Flux:
    """Flux's helm-controller calls Helm's own library; so does `helm`."""

    def apply(self, chosen: Chosen) -> None:
        """Install, or upgrade."""
        values = [word for file in chosen.files for word in ("--values", file)]
        where = ("--namespace", chosen.namespace)
        chosen.plane.helm("upgrade", "--install", RELEASE, CHART, *where, *values)

    def remove(self, chosen: Chosen) -> None:
        """Uninstall, hooks included."""
        where = ("--namespace", chosen.namespace, "--timeout", "90s")
        chosen.plane.helm("uninstall", RELEASE, *where, "--wait")


WAYS: Final[dict[str, Way]] = {
    "plain": Plain(),
    "kustomize": Kustomize({"skipHooks": True}),
    "kustomize-with-hooks": Kustomize({}),
    "argo-cd": ArgoCD(runs_pre_delete=True),
    "argo-cd-before-3.3": ArgoCD(runs_pre_delete=False),
    "flux": Flux(),
}


def _marked(chosen: Chosen) -> list[Object]:
    """The render, each object with Argo CD's label and its annotation."""
    group = "admissionregistration.k8s.io/v1"
    served = chosen.plane.admin.get(f"/apis/{group}")["resources"]
    flags = (f"--api-versions={group}/{one['kind']}" for one in served)
    documents = yaml.load_all(chosen.template(*flags), Loader=yaml.CSafeLoader)
    objects: list[Object] = [one for one in documents if one]
    for one in objects:
        metadata = one["metadata"]
        group = one["apiVersion"].rpartition("/")[0]
        place = f"{metadata.get('namespace', '')}/{metadata['name']}"
        metadata["labels"]["app.kubernetes.io/instance"] = APPLICATION
        annotations = metadata.setdefault("annotations", {})
        annotations["argocd.argoproj.io/tracking-id"] = (
            f"{APPLICATION}:{group}/{one['kind']}:{place}"
        )
    return objects


def _annotations(one: Object) -> dict[str, Any]:
    found: dict[str, Any] = one["metadata"].get("annotations", {})
    return found


def _apply(plane: ControlPlane, objects: Iterable[Object]) -> None:
    flags = ("--server-side", "--force-conflicts", "--field-manager=argocd-controller")
    plane.kubectl("apply", *flags, "-f", "-", stdin=yaml.safe_dump_all(objects))


def _delete(plane: ControlPlane, text: str, *flags: str) -> None:
    command: Sequence[str] = ("delete", "--ignore-not-found", *flags, "-f", "-")
    plane.kubectl(*command, stdin=text)
