"""What the product is tried with: each program's version, from the pins alone."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.lab.tools import LOCKS, NEWEST, OLDEST, TOOLS, WITH_IN_TREE_MUTATION


class Tried(NamedTuple):
    """One row: a program, the version that is pinned, and what runs with it."""

    program: str
    version: str
    what: str


_KUBERNETES: Final = {
    NEWEST: "everything, and the node: kubelet, scheduler, kube-proxy, kubectl",
    WITH_IN_TREE_MUTATION: "the first release that serves MutatingAdmissionPolicy v1",
    OLDEST: "the chart by both Helms, and the companion",
}
_PROGRAMS: Final = {
    "kuberay-1.6": ("KubeRay", "its samples, RayJobs and Michelangelo's RayClusters"),
    "spark-operator": ("spark-operator", "SparkApplications, before and after us"),
    "helm": ("Helm 3", "install, upgrade, rollback, uninstall"),
    "helm-4": ("Helm 4", "the same"),
    "etcd": ("etcd", "below every API server"),
    "kube-network-policies": ("kube-network-policies", "packets on the node"),
    "coredns": ("CoreDNS", "names on the node"),
    "prometheus-operator": ("Prometheus operator", "its schemas, for the chart"),
    "cert-manager": ("cert-manager", "its schemas, for the chart"),
}
_PACKAGES: Final = {
    "ray": ("Ray", "task", "tasks and actors on the node"),
    "pyspark": ("Spark", "spark", "`spark-submit`, drivers and executors"),
    "mlflow": ("MLflow", "task", "client and server on the node"),
    "michelangelo": (
        "Michelangelo's client",
        "michelangelo",
        "the guide's tasks, on Ray and on Spark, on the node",
    ),
}


def tried() -> Iterator[Tried]:
    """Yield every row, Kubernetes first."""
    for release, what in _KUBERNETES.items():
        version = TOOLS[f"kube-apiserver{release}"].version
        yield Tried("Kubernetes", version.removeprefix("v"), what)
    for tool, (program, what) in _PROGRAMS.items():
        yield Tried(program, TOOLS[tool].version.removeprefix("v"), what)
    for package, (program, lock, what) in _PACKAGES.items():
        yield Tried(program, _locked(package, lock), what)


def _locked(package: str, lock: str) -> str:
    """The version of a package in one of the lab's Python environments."""
    text = (LOCKS / f"{lock}.txt").read_text("utf-8")
    (version,) = re.findall(rf"^{package}==(\S+)", text, re.MULTILINE)
    return str(version)
