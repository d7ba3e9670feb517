"""Reads what doctor's checks before an install look at."""

from functools import partial
from typing import Any, Final

from webhook.cli.doctor_objects import is_called_for_pods, is_own_right, refusal
from webhook.cli.doctor_rights import denied_rights
from webhook.cluster import metadata
from webhook.cluster.errors import NotFound, Rejected
from webhook.cluster.interface import Json, KubeClient, ListOptions
from webhook.cluster.resources import (
    NAMESPACE,
    NODE,
    OWN_ACCESS_REVIEW,
    POD,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.companion.observation.model import Piece
from webhook.companion.observation.observe import PieceReader
from webhook.companion.observation.release import find_releases
from webhook.doctor.check import mapped
from webhook.doctor.pods import IMAGE, KINDS, task_pod
from webhook.doctor.preflight import PreflightFacts
from webhook.doctor.rights import Right
from webhook.injection.names import DOMAIN

_REGISTRATION: Final = "admissionregistration.k8s.io"
_RBAC: Final = "rbac.authorization.k8s.io"
_POLICIES: Final = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
}
_VALIDATING: Final = ResourceType(
    _REGISTRATION,
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
)
_OPERATORS: Final = frozenset({"ray.io", "sparkoperator.k8s.io"})
_MESHES: Final = ("istio.io/dataplane-mode", "istio-injection", "linkerd.io/inject")
_AT_HOME: Final = (
    ("", ("services", "serviceaccounts", "configmaps", "secrets")),
    ("apps", ("deployments",)),
    ("batch", ("jobs",)),
    ("coordination.k8s.io", ("leases",)),
    ("policy", ("poddisruptionbudgets",)),
    (_RBAC, ("roles", "rolebindings")),
)
_CLUSTERWIDE: Final = (
    (_RBAC, ("clusterroles", "clusterrolebindings")),
    (
        _REGISTRATION,
        (
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
        ),
    ),
)
"""What the chart makes; a test holds both to what it renders."""


def read_preflight(client: KubeClient, home: str, release: str) -> PreflightFacts:
    """Return what there is to know of a cluster before an install."""
    reader = PieceReader(client)
    return PreflightFacts(
        home=home,
        release=release,
        kubernetes=reader.ask(client.version, "get", "/version"),
        policies=reader.ask(
            lambda: _served(client), "list", f"policies.{_REGISTRATION}"
        ),
        lacking=reader.ask(
            lambda: denied_rights(client, install_rights(home)),
            "create",
            OWN_ACCESS_REVIEW.plural,
        ),
        releases=mapped(lambda found: tuple(map(str, found)), find_releases(client)),
        hooks=_closed_hooks(reader),
        refused=reader.ask(lambda: _refusal(client, home), "create", f"pods in {home}"),
        nodes=mapped(
            lambda nodes: nodes[0] if nodes else {},
            reader.list(ListOptions(NODE), metadata.labels),
        ),
        mesh=reader.ask(lambda: _mesh(client, home), "get", f"namespaces {home}"),
        operators=mapped(
            lambda groups: frozenset(groups.keys() & _OPERATORS),
            reader.ask(client.groups, "get", "/apis"),
        ),
    )


def install_rights(home: str) -> tuple[Right, ...]:
    """Return what whoever installs has to be permitted."""
    return tuple(
        Right(verb="create", resource=resource, group=group, namespace=where)
        for kinds, where in ((_CLUSTERWIDE, ""), (_AT_HOME, home))
        for group, resources in kinds
        for resource in resources
    )


def _served(client: KubeClient) -> frozenset[str]:
    found = set()
    for kind, plural in _POLICIES.items():
        options = ResourceType(_REGISTRATION, "v1", kind, plural, namespaced=False)
        try:
            client.list(ListOptions(options), metadata.uid)
        except NotFound:
            continue
        found.add(kind)
    return frozenset(found)


def _closed_hooks(reader: PieceReader) -> Piece[tuple[str, ...]]:
    """Return webhooks of others that every pod of ours would depend on."""
    return mapped(
        lambda *found: tuple(name for names in found for name in names if name),
        *(
            reader.list(ListOptions(kind), partial(_closed, kind))
            for kind in (WEBHOOK_CONFIGURATION, _VALIDATING)
        ),
    )


def _closed(kind: ResourceType, body: Json) -> str:
    entries: list[Any] = body.get("webhooks") or []
    blocking = any(
        one.get("failurePolicy") != "Ignore"
        and not str(one.get("name")).endswith(f".{DOMAIN}")
        and not one.get("objectSelector")
        and is_called_for_pods(one)
        for one in entries
    )
    return f"{kind.name} {metadata.key(body).name}" if blocking else ""


def _refusal(client: KubeClient, home: str) -> str:
    """Return why a hardened pod is refused there; empty where it is taken."""
    pod = task_pod(next(iter(KINDS)), home, IMAGE)
    del pod["metadata"]["labels"]
    try:
        client.create(POD, pod, dry_run=True)
    except NotFound:
        return ""  # Helm makes the namespace
    except Rejected as error:
        if is_own_right(error):
            raise
        return refusal(error)
    return ""


def _mesh(client: KubeClient, home: str) -> str:
    try:
        labels = metadata.labels(client.get(NAMESPACE, home))
    except NotFound:
        return ""
    off = ("disabled", "none")
    return next(
        (
            f"{key}={labels[key]}"
            for key in _MESHES
            if labels.get(key, "none") not in off
        ),
        "",
    )
