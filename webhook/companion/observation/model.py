"""An observation: one frozen value of everything that tells how an installation is.

Each piece is there, or an `Unknown` that says why not. No value of a key is in it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, TypeVar

import msgspec

from certs import bundle
from certs.model import Root
from webhook.companion.observation.published import PublishedReport
from webhook.companion.observation.release import ReleaseName
from webhook.companion.observation.unknown import Unknown

T = TypeVar("T")

Piece: TypeAlias = T | Unknown
"""Something that was read, or why it was not."""


class ReplicaState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One pod of a Deployment.

    Attributes:
        name: the pod's.
        ready: whether it may serve.
        image: as its container names it.
        digest: of the image that the node runs; empty before it runs.
        problem: what keeps it from being ready, as Kubernetes words it.
    """

    name: str
    ready: bool
    image: str
    digest: str
    problem: str


class WorkloadState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of the two Deployments.

    Attributes:
        name: its name.
        desired: how many replicas it should have.
        ready: how many are.
        updated: how many are of the newest version.
        version: of the product, as the chart's label says.
        image: what new replicas run.
        refused: why its pods may not even be created, as the API server said.
    """

    name: str
    desired: int
    ready: int
    updated: int
    version: str
    image: str
    refused: str = ""


class LeaseState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The companion's Lease: who leads, and when that was last renewed."""

    holder: str
    renewed: datetime | None

    def age(self, now: datetime) -> float | None:
        """Return the seconds since the renewal; None where it never was renewed."""
        return (now - self.renewed).total_seconds() if self.renewed else None


class WebhookEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One entry of the webhook configuration.

    Attributes:
        name: its name.
        ca_bundle: what API servers trust, PEM as it is stored.
        service: `namespace/name` of the Service that is called.
        failure_policy: `Ignore` as installed.
    """

    name: str
    ca_bundle: bytes
    service: str
    failure_policy: str

    @property
    def roots(self) -> tuple[Root, ...]:
        """Return the certificates in the bundle."""
        return bundle.parse(self.ca_bundle)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationState:
    """The webhook configuration.

    Attributes:
        name: its name.
        issuer: who issues the certificate, as the chart's annotation says.
        tls_secret: the Secret that the replicas mount.
        entries: in their order.
    """

    name: str
    issuer: str
    tls_secret: str
    entries: tuple[WebhookEntry, ...]


class PolicyState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The MutatingAdmissionPolicy by which the API server gives keys itself.

    Attributes:
        name: its name.
        version: of the product, as its stamp will say.
        precedence: who wins, as it was installed.
        enforced_keys: those that hold whatever anyone set.
        altered: parts that differ from this command's own; empty where the version
            does.
    """

    name: str
    version: str
    precedence: str
    enforced_keys: tuple[str, ...]
    altered: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceLabels:
    """A namespace that carries our label, whatever its value.

    Attributes:
        name: its name.
        inject: the label's value.
        profile: the value of its profile label; empty without one.
        terminating: it is being deleted.
    """

    name: str
    inject: str
    profile: str
    terminating: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Everything that was seen of one release.

    Attributes:
        release: which one.
        at: when, by the observer's clock.
        kubernetes: the API server's version.
        webhook: its Deployment.
        webhook_replicas: its pods.
        companion: its Deployment.
        companion_replicas: its pods.
        lease: who leads.
        configuration: what API servers call.
        policy: what API servers do by themselves.
        policy_binding: name of the policy that the binding of that name binds.
        fail_open: how many requests the asked API server let through without us.
        report: what the companion found.
        namespaces: those that carry our label.
    """

    release: ReleaseName
    at: datetime
    kubernetes: Piece[str]
    webhook: Piece[WorkloadState]
    webhook_replicas: Piece[tuple[ReplicaState, ...]]
    companion: Piece[WorkloadState]
    companion_replicas: Piece[tuple[ReplicaState, ...]]
    lease: Piece[LeaseState]
    configuration: Piece[ConfigurationState]
    policy: Piece[PolicyState]
    policy_binding: Piece[str]
    fail_open: Piece[int]
    report: Piece[PublishedReport]
    namespaces: Piece[tuple[NamespaceLabels, ...]]
