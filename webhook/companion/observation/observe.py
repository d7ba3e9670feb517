"""Reads an observation. Nothing here raises: what cannot be read says why."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.leader_election import parse_lease
from webhook.cluster.metadata import mapping
from webhook.cluster.resources import (
    ADMISSION_POLICY,
    ADMISSION_POLICY_BINDING,
    CONFIG_MAP,
    DEPLOYMENT,
    LEASE,
    NAMESPACE,
    POD,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.companion.observation.model import (
    ConfigurationState,
    Installation,
    LeaseState,
    NamespaceLabels,
    Piece,
    PolicyState,
    ReplicaState,
    WebhookEntry,
    WorkloadState,
)
from webhook.companion.observation.published import parse_report
from webhook.companion.observation.release import (
    COMPONENT_LABEL,
    NAME_LABEL,
    ReleaseName,
)
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.injection.admission_policy.objects import altered, chosen
from webhook.injection.names import (
    CERTIFICATES_ANNOTATION,
    DOMAIN,
    INJECT_LABEL,
    PROFILE_LABEL,
    TLS_SECRET_ANNOTATION,
)

T = TypeVar("T")

_VERSION_LABEL: Final = "app.kubernetes.io/version"
_FAIL_OPEN: Final = "apiserver_admission_webhook_fail_open_count"
_SAMPLE: Final = re.compile(r'\{.*?\bname="(?P<name>[^"]*)".*\} (?P<value>\S+)')
_LONGEST: Final = 160
"""Characters of what Kubernetes says about a pod that is not ready."""


def observe(client: KubeClient, release: ReleaseName, at: datetime) -> Installation:
    """Return everything that can be seen of a release.

    Args:
        client: reads the cluster.
        release: which one.
        at: now.
    """
    reader = PieceReader(client)
    admission = ObjectKey("", release.name)
    return Installation(
        release=release,
        at=at,
        kubernetes=reader.ask(client.version, "get", "the API server's version"),
        webhook=reader.get(DEPLOYMENT, release.webhook, workload_state),
        webhook_replicas=reader.replicas(release.webhook, "webhook"),
        companion=reader.get(DEPLOYMENT, release.companion, workload_state),
        companion_replicas=reader.replicas(release.companion, "companion"),
        lease=reader.get(LEASE, release.companion, lease_state),
        configuration=reader.get(WEBHOOK_CONFIGURATION, admission, configuration_state),
        policy=reader.get(ADMISSION_POLICY, admission, policy_state),
        policy_binding=reader.get(
            ADMISSION_POLICY_BINDING,
            admission,
            lambda body: str(mapping(body.get("spec")).get("policyName") or ""),
        ),
        fail_open=reader.ask(
            lambda: fail_open(client.samples(_FAIL_OPEN)), "get", "/metrics"
        ),
        report=reader.get(
            CONFIG_MAP,
            release.report,
            lambda body: parse_report(body, f"configmaps {release.report}"),
        ),
        namespaces=reader.list(
            ListOptions(NAMESPACE, labels=INJECT_LABEL), namespace_labels
        ),
    )


@dataclass(frozen=True, slots=True)
class PieceReader:
    """Reads one piece at a time."""

    client: KubeClient

    def ask(self, read: Callable[[], T], verb: str, what: str) -> Piece[T]:
        """Return what `read` returns, or why it could not."""
        try:
            return read()
        except ClusterError as error:
            return Unknown.of(error, verb=verb, what=what)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Of an object that somebody else may have written; its content may be a
            # value, so only the kind of error is told.
            detail = f"cannot be read ({type(error).__name__})"
            return Unknown(reason=UnknownReason.UNREADABLE, what=what, detail=detail)

    def get(
        self, kind: ResourceType, key: ObjectKey, project: Callable[[Json], T]
    ) -> Piece[T]:
        """Return an object's projection."""
        what = f"{_named(kind)} {key}"
        return self.ask(
            lambda: project(self.client.get(kind, key.name, key.namespace)),
            "get",
            what,
        )

    def list(
        self, options: ListOptions, project: Callable[[Json], T]
    ) -> Piece[tuple[T, ...]]:
        """Return the projections of a selection, in the order of their keys."""
        where = f" in {options.namespace}" if options.namespace else ""

        def read() -> tuple[T, ...]:
            items = self.client.list(options, project).items
            return tuple(one for _, (_, one) in sorted(items.items(), key=_by_key))

        return self.ask(read, "list", f"{_named(options.kind)}{where}")

    def replicas(
        self, deployment: ObjectKey, component: str
    ) -> Piece[tuple[ReplicaState, ...]]:
        """Return the pods of one of the two Deployments."""
        labels = f"{NAME_LABEL},{COMPONENT_LABEL}={component}"
        options = ListOptions(POD, namespace=deployment.namespace, labels=labels)
        found = self.list(options, replica_state)
        if isinstance(found, Unknown):
            return found
        # Another release of the same namespace has the same labels.
        return tuple(one for one in found if one.name.startswith(f"{deployment.name}-"))


def _by_key(item: tuple[ObjectKey, object]) -> ObjectKey:
    return item[0]


def _named(kind: ResourceType) -> str:
    """Return the kind as a right names it, such as `deployments.apps`."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def workload_state(body: Json) -> WorkloadState:
    """Keep of a Deployment how many replicas it has, and of which version."""
    spec, status = mapping(body.get("spec")), mapping(body.get("status"))
    pod = mapping(mapping(spec.get("template")).get("spec"))
    desired = spec.get("replicas")
    return WorkloadState(
        name=metadata.key(body).name,
        desired=1 if desired is None else int(desired),
        ready=int(status.get("readyReplicas") or 0),
        updated=int(status.get("updatedReplicas") or 0),
        version=metadata.labels(body).get(_VERSION_LABEL, ""),
        image=_image(pod),
        refused=_refused(status),
    )


def _refused(status: Mapping[str, Any]) -> str:
    """Return why a Deployment's pods are not created; empty where they are."""
    for one in map(mapping, status.get("conditions") or ()):
        if one.get("type") == "ReplicaFailure" and one.get("status") == "True":
            return str(one.get("message") or one.get("reason") or "")[:_LONGEST]
    return ""


def replica_state(body: Json) -> ReplicaState:
    """Keep of a pod of ours whether it is ready, what it runs, and what is amiss."""
    spec, status = mapping(body.get("spec")), mapping(body.get("status"))
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
    ready = mapping(conditions.get("Ready")).get("status") == "True"
    containers = status.get("containerStatuses") or ()
    first = mapping(containers[0] if containers else None)
    _, _, digest = str(first.get("imageID") or "").rpartition("@")
    return ReplicaState(
        name=metadata.key(body).name,
        ready=ready,
        image=_image(spec),
        digest=digest,
        problem="" if ready else _problem(status, conditions, first),
    )


def _image(spec: Mapping[str, Any]) -> str:
    containers = spec.get("containers") or ()
    return str(mapping(containers[0] if containers else None).get("image") or "")


def _problem(
    status: Mapping[str, Any],
    conditions: Mapping[Any, Any],
    container: Mapping[str, Any],
) -> str:
    waiting = mapping(mapping(container.get("state")).get("waiting"))
    scheduled = mapping(conditions.get("PodScheduled"))
    for reason, message in (
        (waiting.get("reason"), waiting.get("message")),
        (scheduled.get("reason"), scheduled.get("message")),
        (status.get("reason"), status.get("message")),
    ):
        if reason:
            said = f"{reason}: {message}" if message else str(reason)
            return said[:_LONGEST]
    return str(status.get("phase") or "Pending")


def lease_state(body: Json) -> LeaseState:
    """Keep of the Lease who holds it, and since when that has been so."""
    lease = parse_lease(body)
    return LeaseState(holder=lease.holder, renewed=metadata.parse_time(lease.renewed))


def configuration_state(body: Json) -> ConfigurationState:
    """Keep of the webhook configuration whom it calls, and whom it trusts."""
    said = metadata.annotations(body)
    return ConfigurationState(
        name=metadata.key(body).name,
        issuer=said.get(CERTIFICATES_ANNOTATION, ""),
        tls_secret=said.get(TLS_SECRET_ANNOTATION, ""),
        entries=tuple(_entry(one) for one in body.get("webhooks") or ()),
    )


def _entry(entry: Json) -> WebhookEntry:
    config = mapping(entry.get("clientConfig"))
    service = mapping(config.get("service"))
    key = ObjectKey(service.get("namespace") or "", service.get("name") or "")
    return WebhookEntry(
        name=str(entry.get("name") or ""),
        ca_bundle=base64.b64decode(config.get("caBundle") or ""),
        service=str(key),
        failure_policy=str(entry.get("failurePolicy") or ""),
    )


def policy_state(body: Json) -> PolicyState:
    """Keep of the policy what it was made with, and what somebody made of it."""
    found = dict(chosen(mapping(body.get("spec"))))
    return PolicyState(
        name=metadata.key(body).name,
        version=found["version"],
        precedence=found["precedence"],
        enforced_keys=tuple(found["enforcedKeys"]),
        altered=altered(mapping(body.get("spec"))),
    )


def namespace_labels(body: Json) -> NamespaceLabels:
    """Keep of a Namespace what its labels ask for."""
    labels = metadata.labels(body)
    return NamespaceLabels(
        name=metadata.key(body).name,
        inject=labels.get(INJECT_LABEL, ""),
        profile=labels.get(PROFILE_LABEL, ""),
        terminating=bool(metadata.of(body).get("deletionTimestamp")),
    )


def fail_open(samples: tuple[str, ...]) -> int:
    """Return how many requests went past our entries, of all samples of the metric."""
    found = (_SAMPLE.search(line) for line in samples)
    return sum(
        int(float(one["value"]))
        for one in found
        if one and one["name"].endswith(f".{DOMAIN}")
    )
