"""The table of programs that the lab runs, and where each comes from.

To add one: a folder under `modules/` with a `go.mod` that pins it (a `tool` line
and `go mod tidy`), and one row in `TOOLS`. Nothing here builds or starts anything.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

MODULES: Final = Path(__file__).parent / "modules"
LOCKS: Final = Path(__file__).parent / "requirements"


class LabError(Exception):
    """The lab cannot do what was asked; the message says what to do about it."""


class Part(StrEnum):
    """Who runs a tool, and so which command builds it: nobody waits for the others."""

    LAB = "make lab-build"
    NODE = "make node-build"
    IN_TREE = "python -m tests.lab build --in-tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One Go program, or the files of one Go module.

    Attributes:
        name: What the lab calls it, and the file name of the binary.
        package: The Go package of its `main`; of files alone, the module.
        module: Its folder under `modules/`.
        stamps: Go variables to set at link time, as `variable={version}`; `{major}`
            and `{minor}` work too, and `{kubernetes}` is the minor of the Kubernetes
            that it speaks to. A program built from a module proxy knows none of them.
        share: Files and folders of the pinned Go module to keep beside the binary:
            CRDs, samples, charts.
        part: Who runs it; the rest of the lab does without.
        tags: Go build tags.
        builds: Whether there is a program; otherwise only `share` is wanted.
    """

    name: str
    package: str
    module: str
    stamps: tuple[str, ...] = ()
    share: tuple[str, ...] = ()
    part: Part = Part.LAB
    tags: tuple[str, ...] = ()
    builds: bool = True

    @property
    def folder(self) -> Path:
        """The folder of the wrapping Go module."""
        return MODULES / self.module

    @property
    def requirement(self) -> tuple[str, str]:
        """The Go module that the program comes from, and its version (`v1.2.3`).

        Raises:
            LabError: If `go.mod` requires no module that contains the package.
        """
        pins = self._pins()
        found = [path for path in pins if f"{self.package}/".startswith(f"{path}/")]
        if not found:
            raise LabError(f"{self.folder}/go.mod requires no module of {self.package}")
        module = max(found, key=len)
        return module, pins[module]

    @property
    def version(self) -> str:
        """The pinned version, with its leading `v`."""
        return self.requirement[1]

    @property
    def ldflags(self) -> str:
        """The linker's flags: no debugging tables, and the version stamps."""
        major, minor = _major_minor(self.version)
        # client-go v0.N speaks the API of Kubernetes 1.N.
        _, kubernetes = _major_minor(self._pins().get("k8s.io/client-go", "v0.0"))
        values = {"version": self.version, "major": major, "minor": minor}
        stamps = (s.format(**values, kubernetes=kubernetes) for s in self.stamps)
        return " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in stamps)])

    @property
    def digest(self) -> str:
        """Names the build: 16 hex digits of the pins and of this row."""
        pins = [(self.folder / name).read_bytes() for name in ("go.mod", "go.sum")]
        recipe = "\0".join(
            [self.package, self.ldflags, *self.share, *self.tags]
        ).encode()
        return hashlib.sha256(b"\0".join([*pins, recipe])).hexdigest()[:16]

    def _pins(self) -> Mapping[str, str]:
        """Every requirement of `go.mod`: module to version."""
        lines = (self.folder / "go.mod").read_text("utf-8").splitlines()
        fields = (line.split("//")[0].removeprefix("require").split() for line in lines)
        return {pair[0]: pair[1] for pair in fields if len(pair) == 2}


def _major_minor(version: str) -> tuple[str, str]:
    major, minor, *_ = version.removeprefix("v").split(".")
    return major, minor


def _kubernetes(name: str, *, release: str = "", part: Part = Part.LAB) -> Tool:
    """A Kubernetes program; `release` is empty for the default, or like `-1.33`."""
    return Tool(
        name=name + release,
        package=f"k8s.io/kubernetes/cmd/{name}",
        module=f"kubernetes{release}",
        stamps=(
            "k8s.io/component-base/version.gitVersion={version}",
            "k8s.io/component-base/version.gitMajor={major}",
            "k8s.io/component-base/version.gitMinor={minor}",
        ),
        part=part,
    )


def _kuberay(minor: str) -> Tool:
    return Tool(
        name=f"kuberay-{minor}",
        package="github.com/ray-project/kuberay/ray-operator",
        module=f"kuberay-{minor}",
        share=("config/crd/bases", "config/rbac", "config/samples"),
    )


def _crds(name: str, module: str, folder: str) -> Tool:
    return Tool(name=name, package=module, module=name, share=(folder,), builds=False)


def _openapi(release: str) -> Tool:
    """What an API server of a release takes, as the release itself says."""
    return Tool(
        name=f"openapi-{release}",
        package="k8s.io/kubernetes",
        module=f"openapi/{release}",
        share=("api/openapi-spec/swagger.json",),
        builds=False,
    )


_SERVER: Final = "kube-apiserver"

_ALL: Final = (
    Tool(name="etcd", package="go.etcd.io/etcd/server/v3", module="etcd"),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kubectl"),
    # The first release with in-tree mutation, and the oldest one.
    _kubernetes("kube-apiserver", release="-1.36", part=Part.IN_TREE),
    _kubernetes("kube-controller-manager", release="-1.36", part=Part.IN_TREE),
    _kubernetes("kube-apiserver", release="-1.33"),
    _kubernetes("kube-controller-manager", release="-1.33"),
    _kubernetes("kube-scheduler", part=Part.NODE),
    _kubernetes("kubelet", part=Part.NODE),
    _kubernetes("kube-proxy", part=Part.NODE),
    Tool(
        name="coredns",
        package="github.com/coredns/coredns",
        module="coredns",
        part=Part.NODE,
    ),
    Tool(
        name="kube-network-policies",
        package="sigs.k8s.io/kube-network-policies/cmd/kube-network-policies/standard",
        module="kube-network-policies",
        part=Part.NODE,
    ),
    Tool(
        name="helm",
        package="helm.sh/helm/v3/cmd/helm",
        module="helm",
        stamps=(
            "helm.sh/helm/v3/internal/version.version={version}",
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={kubernetes}",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor={kubernetes}",
        ),
    ),
    Tool(
        name="helm-4",
        package="helm.sh/helm/v4/cmd/helm",
        module="helm-4",
        # It finds out by itself which Kubernetes its client library speaks to.
        stamps=("helm.sh/helm/v4/internal/version.version={version}",),
    ),
    Tool(
        name="promtool",
        package="github.com/prometheus/prometheus/cmd/promtool",
        module="promtool",
        tags=("remove_all_sd",),  # it only looks at rules: no cloud's client library
    ),
    # Others that render the chart, and that hold what it makes against schemas.
    Tool(
        name="kustomize",
        package="sigs.k8s.io/kustomize/kustomize/v5",
        module="kustomize",
    ),
    Tool(
        name="kubeconform",
        package="github.com/yannh/kubeconform/cmd/kubeconform",
        module="kubeconform",
    ),
    *(_openapi(release) for release in ("1.33", "1.34", "1.35", "1.36", "1.37")),
    Tool(
        name="actionlint",
        package="github.com/rhysd/actionlint/cmd/actionlint",
        module="actionlint",
    ),
    # What the chart makes for other operators is held against their own schemas.
    _crds(
        "prometheus-operator",
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd",
    ),
    _crds("cert-manager", "github.com/cert-manager/cert-manager", "deploy/crds"),
    _kuberay("1.6"),
    Tool(
        name="spark-operator",
        package="github.com/kubeflow/spark-operator/v2/cmd/operator",
        module="spark-operator",
        share=("config/crd/bases", "examples", "charts/spark-operator-chart"),
    ),
)

TOOLS: Final[Mapping[str, Tool]] = MappingProxyType({t.name: t for t in _ALL})
"""Every program, by name, in the order in which they are built."""


NEWEST: Final = ""
WITH_IN_TREE_MUTATION: Final = "-1.36"
OLDEST: Final = "-1.33"
"""Releases of Kubernetes, as suffixes of its programs' names."""


def kubernetes(release: str) -> str:
    """Name a release for people and for parameters of tests: `kubernetes-1.33`."""
    return "kubernetes-" + ".".join(_major_minor(TOOLS[_SERVER + release].version))


def lock_digest(environment: str) -> str:
    """Names a Python environment: 16 hex digits of its lock file."""
    return hashlib.sha256((LOCKS / f"{environment}.txt").read_bytes()).hexdigest()[:16]
