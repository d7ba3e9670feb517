"""What egress follows, and what it keeps of each object."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from webhook.cluster import objects
from webhook.cluster.announce import Subject
from webhook.cluster.follow import WATCH_SECONDS, Follower
from webhook.cluster.kinds import (
    ENDPOINT_SLICE,
    NAMESPACE,
    NETWORK_POLICY,
    SERVICE,
)
from webhook.cluster.ports import Json, Resources, Selection
from webhook.egress.model import Policy
from webhook.egress.services import Catalog, EndpointSlice, Service
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
    """A labelled namespace as egress sees it.

    Attributes:
        label: The value of its egress label.
    """

    profile: str
    label: str | None
    terminating: bool
    subject: Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The followers.

    Attributes:
        policies: All NetworkPolicies; `None` for one that cannot be read.
    """

    places: Follower[Place]
    policies: Follower[Policy | None]
    services: Follower[Service]
    slices: Follower[EndpointSlice]

    def all(self) -> Iterator[Follower[Any]]:
        """Every follower."""
        yield self.places
        yield self.policies
        yield self.services
        yield self.slices

    def is_ready(self) -> bool:
        """Whether all was listed once: half a picture would take permissions away."""
        return all(follower.standing.synced for follower in self.all())

    def catalog(self, domain: str) -> Catalog:
        """The Services as they are now."""
        services = self.services.snapshot().values()
        return Catalog.of(services, self.slices.snapshot().values(), domain)

    def by_namespace(self) -> Mapping[str, list[Policy]]:
        """The policies that can be read."""
        found: dict[str, list[Policy]] = {}
        for policy in self.policies.snapshot().values():
            if policy is not None:
                found.setdefault(policy.namespace, []).append(policy)
        return found


def watch(
    resources: Resources,
    wake: Callable[[], None],
    watch_seconds: float = WATCH_SECONDS,
) -> Watched:
    """The followers; none of them runs yet."""

    def follow(selection: Selection, project: Callable[[Json], T]) -> Follower[T]:
        return Follower(
            resources, selection, project, wake=wake, watch_seconds=watch_seconds
        )

    labelled = Selection(NAMESPACE, labels=f"{INJECT_LABEL}={INJECT_ENABLED}")
    return Watched(
        places=follow(labelled, _place),
        policies=follow(Selection(NETWORK_POLICY), _policy),
        services=follow(Selection(SERVICE), Service.parse),
        slices=follow(Selection(ENDPOINT_SLICE), EndpointSlice.parse),
    )


def _place(body: Json) -> Place:
    labels, name = objects.labels(body), objects.key(body).name
    return Place(
        profile=labels.get(PROFILE_LABEL) or DEFAULT_PROFILE,
        label=labels.get(EGRESS_LABEL),
        terminating=bool(objects.metadata(body).get("deletionTimestamp")),
        subject=Subject("v1", "Namespace", name, name, objects.uid(body)),
    )


def _policy(body: Json) -> Policy | None:
    """A newer API may have what we cannot read; one such must not end the watch."""
    try:
        return Policy.parse(body)
    except ValueError:
        return None
