"""What egress follows, and what it keeps of each object."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from webhook.cluster import metadata
from webhook.cluster.events import ObjectReference
from webhook.cluster.informer import WATCH_SECONDS, Informer
from webhook.cluster.interface import Json, KubeClient, ListOptions
from webhook.cluster.resources import (
    ENDPOINT_SLICE,
    NAMESPACE,
    NETWORK_POLICY,
    SERVICE,
)
from webhook.egress.network_policy import NetworkPolicy
from webhook.egress.rules import NAMESPACE_NAME_LABEL
from webhook.egress.services import EndpointSlice, Service, ServiceIndex
from webhook.injection.names import (
    DEFAULT_PROFILE,
    EGRESS_LABEL,
    INJECT_ENABLED,
    INJECT_LABEL,
    PROFILE_LABEL,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A labeled namespace as egress sees it.

    Attributes:
        label: The value of its egress label.
        labels: All of them: other namespaces' policies may ask for any.
    """

    profile: str
    label: str | None
    terminating: bool
    subject: ObjectReference
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A policy with a value that this version does not know: a newer API has it."""

    problem: str


@dataclass(slots=True, kw_only=True)
class Watched:
    """The followers.

    Attributes:
        policies: All NetworkPolicies.
    """

    places: Informer[Place]
    policies: Informer[NetworkPolicy | Unreadable]
    services: Informer[Service]
    slices: Informer[EndpointSlice]
    _catalog: tuple[object, ServiceIndex] | None = None

    def all(self) -> Iterator[Informer[Any]]:
        """Every follower."""
        yield self.places
        yield self.policies
        yield self.services
        yield self.slices

    def is_ready(self) -> bool:
        """Whether all was listed once: half a picture would take permissions away."""
        return all(follower.health.synced for follower in self.all())

    def catalog(self, domain: str) -> ServiceIndex:
        """The Services as they are now; the same value while nothing changed."""
        services, slices = self.services.items(), self.slices.items()
        made_of = services, slices, domain
        if self._catalog is None or self._catalog[0] != made_of:
            catalog = ServiceIndex.of(services.values(), slices.values(), domain)
            self._catalog = made_of, catalog
        return self._catalog[1]

    def by_namespace(self) -> Mapping[str, list[NetworkPolicy]]:
        """The policies that can be read."""
        found: dict[str, list[NetworkPolicy]] = {}
        for policy in self.policies.items().values():
            if isinstance(policy, NetworkPolicy):
                found.setdefault(policy.namespace, []).append(policy)
        return found

    def unreadable(self) -> Mapping[str, list[str]]:
        """Why the others cannot be, by namespace."""
        found: dict[str, list[str]] = {}
        for key, policy in sorted(self.policies.items().items()):
            if isinstance(policy, Unreadable):
                found.setdefault(key.namespace, []).append(policy.problem)
        return found


def watch(
    resources: KubeClient,
    wake: Callable[[], None],
    watch_seconds: float = WATCH_SECONDS,
) -> Watched:
    """The followers; none of them runs yet."""

    def follow(selection: ListOptions, project: Callable[[Json], T]) -> Informer[T]:
        return Informer(
            resources, selection, project, wake=wake, watch_seconds=watch_seconds
        )

    labeled = ListOptions(NAMESPACE, labels=f"{INJECT_LABEL}={INJECT_ENABLED}")
    return Watched(
        places=follow(labeled, _place),
        policies=follow(ListOptions(NETWORK_POLICY), _policy),
        services=follow(ListOptions(SERVICE), Service.parse),
        slices=follow(ListOptions(ENDPOINT_SLICE), EndpointSlice.parse),
    )


def _place(body: Json) -> Place:
    labels, name = metadata.labels(body), metadata.key(body).name
    return Place(
        profile=labels.get(PROFILE_LABEL) or DEFAULT_PROFILE,
        label=labels.get(EGRESS_LABEL),
        terminating=bool(metadata.of(body).get("deletionTimestamp")),
        subject=ObjectReference("v1", "Namespace", name, name, metadata.uid(body)),
        labels={**labels, NAMESPACE_NAME_LABEL: name},
    )


def _policy(body: Json) -> NetworkPolicy | Unreadable:
    """One that cannot be read must not end the watch."""
    try:
        return NetworkPolicy.parse(body)
    except ValueError as error:
        return Unreadable(str(error))
