"""Checks before an install: versions, rights, what a platform does differently."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from webhook.companion.observation.model import Piece
from webhook.doctor.check import Check, Outcome, Symptom, seen

OLDEST: Final = (1, 30)
"""The first Kubernetes with ValidatingAdmissionPolicy v1, which the chart installs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFacts:
    """What was observed of a cluster that an install is meant for.

    Attributes:
        home: the namespace that it is meant for.
        release: what it shall be called.
        kubernetes: the API server's version.
        policies: kinds of admission policies that are served in `v1`.
        lacking: rights that an install needs and whoever asks lacks.
        releases: installations that are there already.
        hooks: webhook configurations of others that are called for pods, and fail
            closed.
        refused: why the release namespace would refuse a pod of ours; empty: it takes
            them.
        nodes: labels of a node.
        mesh: the label of the release namespace by which a mesh takes its traffic.
        operators: API groups of operators that make task pods.
    """

    home: str
    release: str
    kubernetes: Piece[str]
    policies: Piece[frozenset[str]]
    lacking: Piece[tuple[str, ...]]
    releases: Piece[tuple[str, ...]]
    hooks: Piece[tuple[str, ...]]
    refused: Piece[str]
    nodes: Piece[Mapping[str, str]]
    mesh: Piece[str]
    operators: Piece[frozenset[str]]

    @property
    def words(self) -> Mapping[str, str]:
        """Return what placeholders of remedies stand for."""
        return {"home": self.home, "release": self.release}


def version_of(text: str) -> tuple[int, int]:
    """Return major and minor of `v1.36.3` and its like; zeros of anything else."""
    parts = text.removeprefix("v").split(".")
    digits = ["".join(c for c in part if c.isdecimal()) for part in (*parts, "", "")]
    return int(digits[0] or 0), int(digits[1] or 0)


def _old(facts: PreflightFacts) -> Iterator[Symptom]:
    text = seen(facts.kubernetes)
    if version_of(text) < OLDEST:
        yield Symptom(f"Kubernetes {text}", f"at least {OLDEST[0]}.{OLDEST[1]}")


def _no_policies(facts: PreflightFacts) -> Iterator[Symptom]:
    kind = "ValidatingAdmissionPolicy"
    if kind not in seen(facts.policies):
        yield Symptom(kind, "admissionregistration.k8s.io/v1 does not serve it")


def _no_mutation(facts: PreflightFacts) -> Iterator[Symptom]:
    kind = "MutatingAdmissionPolicy"
    if kind not in seen(facts.policies):
        yield Symptom(kind, f"Kubernetes {seen(facts.kubernetes)} does not serve it")


def _lacking(facts: PreflightFacts) -> Iterator[Symptom]:
    yield from map(Symptom, seen(facts.lacking))


def _installed(facts: PreflightFacts) -> Iterator[Symptom]:
    for name in seen(facts.releases):
        if name != f"{facts.home}/{facts.release}":
            yield Symptom(f"release {name}", "it is there already")


def _hooks(facts: PreflightFacts) -> Iterator[Symptom]:
    for name in seen(facts.hooks):
        yield Symptom(name, "while it does not answer, no pod is created")


def _refused(facts: PreflightFacts) -> Iterator[Symptom]:
    if said := seen(facts.refused):
        yield Symptom(f"namespace {facts.home}", said)


def _aks(facts: PreflightFacts) -> Iterator[Symptom]:
    if any(key.startswith("kubernetes.azure.com/") for key in seen(facts.nodes)):
        yield Symptom("AKS", "its enforcer rewrites webhook configurations")


def _gke(facts: PreflightFacts) -> Iterator[Symptom]:
    if "cloud.google.com/gke-nodepool" in seen(facts.nodes):
        yield Symptom("GKE", "a private control plane reaches ports 443 and 10250 only")


def _openshift(facts: PreflightFacts) -> Iterator[Symptom]:
    if any(key.startswith("node.openshift.io/") for key in seen(facts.nodes)):
        yield Symptom("OpenShift", "it assigns user ids itself")


def _mesh(facts: PreflightFacts) -> Iterator[Symptom]:
    if label := seen(facts.mesh):
        yield Symptom(f"namespace {facts.home}", f"its label {label}")


def _no_operators(facts: PreflightFacts) -> Iterator[Symptom]:
    if not seen(facts.operators):
        yield Symptom("KubeRay, spark-operator", "neither is installed")


_INSTALL: Final = "helm install {release} CHART -n {home} --create-namespace"

PREFLIGHT: Final[Mapping[str, tuple[Check[PreflightFacts], ...]]] = {
    "cluster": (
        Check(
            code="KubernetesTooOld",
            title="Kubernetes is new enough",
            sentence="The chart installs ValidatingAdmissionPolicies, which this "
            "version of Kubernetes does not have.",
            remedy="kubectl version",
            judge=_old,
        ),
        Check(
            code="PoliciesNotServed",
            title="ValidatingAdmissionPolicy is served",
            sentence="The API server does not serve ValidatingAdmissionPolicy, which "
            "holds the companion to what it is for.",
            remedy=f"{_INSTALL} --set policies.holdCompanion=false",
            judge=_no_policies,
            after=("KubernetesTooOld",),
        ),
        Check(
            code="MutationNotServed",
            title="MutatingAdmissionPolicy is served",
            sentence="The API server cannot inject by itself, so task pods depend on "
            "the webhook alone; keep two replicas.",
            remedy=_INSTALL,
            judge=_no_mutation,
            outcome=Outcome.WARNING,
        ),
        Check(
            code="InstallRightsMissing",
            title="you may install the chart",
            sentence="Helm will be refused: whoever installs lacks a right.",
            remedy="kubectl auth can-i --list",
            judge=_lacking,
        ),
        Check(
            code="AlreadyInstalled",
            title="no other release is here",
            sentence="A cluster takes one release: two would inject the same pods.",
            remedy="helm list -A",
            judge=_installed,
        ),
        Check(
            code="ClosedWebhooks",
            title="no webhook of others can block pods",
            sentence="A webhook of somebody else's is called for every pod, ours "
            "among them, and fails closed.",
            remedy="kubectl get mutatingwebhookconfigurations,"
            "validatingwebhookconfigurations",
            judge=_hooks,
            outcome=Outcome.WARNING,
        ),
        Check(
            code="HomeRefuses",
            title="the release namespace takes our pods",
            sentence="The release namespace refuses a pod that satisfies `restricted`: "
            "Pod Security, a quota, or a policy.",
            remedy="kubectl describe namespace {home}",
            judge=_refused,
        ),
    ),
    "platform": (
        Check(
            code="AksEnforcer",
            title="no enforcer rewrites webhook configurations",
            sentence="AKS adds selectors to webhook configurations, and fights whoever "
            "writes them without.",
            remedy=f"{_INSTALL} --values CHART/presets/aks.yaml",
            judge=_aks,
            outcome=Outcome.WARNING,
        ),
        Check(
            code="GkeFirewall",
            title="the control plane reaches the webhook's port",
            sentence="On a private cluster of GKE, the control plane's firewall rule "
            "does not have the webhook's port.",
            remedy=f"{_INSTALL} --values CHART/presets/gke-private.yaml",
            judge=_gke,
            outcome=Outcome.WARNING,
        ),
        Check(
            code="OpenShiftIds",
            title="user ids are ours to choose",
            sentence="OpenShift assigns user ids, and refuses a fixed one.",
            remedy=f"{_INSTALL} --values CHART/presets/openshift.yaml",
            judge=_openshift,
            outcome=Outcome.WARNING,
        ),
        Check(
            code="MeshCaptures",
            title="no mesh takes the release's traffic",
            sentence="A mesh takes the traffic of every pod of the release namespace; "
            "API servers do not speak its mutual TLS.",
            remedy="kubectl label namespace {home} istio.io/dataplane-mode- "
            "istio-injection-",
            judge=_mesh,
            outcome=Outcome.WARNING,
        ),
        Check(
            code="NoOperators",
            title="an operator that makes task pods is here",
            sentence="Neither KubeRay nor spark-operator is installed: only pods of "
            "spark-submit will get the keys.",
            remedy="kubectl api-resources --api-group=ray.io",
            judge=_no_operators,
            outcome=Outcome.WARNING,
        ),
    ),
}
"""Before anything is installed."""
