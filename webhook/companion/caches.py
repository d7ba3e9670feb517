"""Every informer of the companion, one for each kind and selection.

Controllers read here and ask the API server nothing. Each subscribes to the informers
whose changes concern it and maps a changed object to the keys of its own work queue.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from webhook.cluster.errors import Rejected
from webhook.cluster.events import ObjectReference
from webhook.cluster.informer import WATCH_SECONDS, Informer
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import (
    CONFIG_MAP,
    ENDPOINT_SLICE,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD,
    SECRET,
    SERVICE,
)
from webhook.companion import projections
from webhook.companion.projections import (
    NOT_A_TASK,
    ComputeNamespace,
    MirrorState,
    SourceContent,
    TaskPod,
    UnreadablePolicy,
)
from webhook.egress.addresses import Address
from webhook.egress.network_policy import NetworkPolicy
from webhook.egress.services import EndpointSlice, Service, node_addresses
from webhook.injection.names import (
    INJECT_ENABLED,
    INJECT_LABEL,
    MANAGED_BY,
    MIRROR_SECRET,
)
from webhook.mirror.profile import SourceKind, SourceRef
from webhook.mirror.reasons import MirrorReason

T = TypeVar("T")

_TASK_PODS: Final = tuple(
    f"{label},{label} notin ({','.join(values)})"
    for label, values in NOT_A_TASK.items()
)
"""A pod with several of the labels is in several of the selections."""
_SOURCES: Final = {
    SourceKind.SECRET: (SECRET, projections.secret_source),
    SourceKind.CONFIG_MAP: (CONFIG_MAP, projections.config_map_source),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interests:
    """What is to be watched.

    Attributes:
        release_namespace: where the sources lie.
        sources: the objects that profiles read.
        pods: whether to watch task pods.
        config_maps: names of ConfigMaps that may shadow keys, in any namespace.
        egress: whether to watch what egress is planned from.
        release: whose mirrors are ours.
        watch_seconds: a watch's life, which bounds how long silence goes unnoticed.
    """

    release_namespace: str
    sources: tuple[SourceRef, ...] = ()
    pods: bool = True
    config_maps: tuple[str, ...] = ()
    egress: bool = True
    release: str = MANAGED_BY
    watch_seconds: float = WATCH_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressCaches:
    """What egress is planned from.

    Attributes:
        policies: all NetworkPolicies.
        services: all Services.
        slices: all EndpointSlices.
        nodes: the addresses of all nodes; the right to see them is optional.
    """

    policies: Informer[NetworkPolicy | UnreadablePolicy]
    services: Informer[Service]
    slices: Informer[EndpointSlice]
    nodes: Informer[tuple[Address, ...]]

    def all(self) -> Iterator[Informer[Any]]:
        """Return every informer."""
        yield from (self.policies, self.services, self.slices, self.nodes)

    def is_synced(self) -> bool:
        """Return whether all was listed: half a picture would permit less."""
        required = (self.policies, self.services, self.slices)
        nodes = self.nodes.health
        return all(one.health.synced for one in required) and (
            nodes.synced or nodes.failing is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """The informers.

    Attributes:
        namespaces: the labeled ones.
        mirrors: every Secret of the mirror's name.
        sources: one for each object that a profile reads.
        pods: task pods, by each of their labels; empty where the auditor is off.
        config_maps: names of the keys of ConfigMaps that may shadow ours.
        egress: what egress is planned from; None where egress is off.
        others: what else is watched to be told of changes, such as certificates.
    """

    namespaces: Informer[ComputeNamespace]
    mirrors: Informer[MirrorState]
    sources: Mapping[SourceRef, Informer[SourceContent]]
    pods: tuple[Informer[TaskPod], ...] = ()
    config_maps: tuple[Informer[frozenset[str]], ...] = ()
    egress: EgressCaches | None = None
    others: list[Informer[Any]] = field(default_factory=list)

    def all(self) -> Iterator[Informer[Any]]:
        """Return every informer, to run them and to ask for their health."""
        yield self.namespaces
        yield self.mirrors
        yield from self.sources.values()
        yield from self.pods
        yield from self.config_maps
        if self.egress is not None:
            yield from self.egress.all()
        yield from self.others

    def is_synced(self) -> bool:
        """Return whether mirrors can be decided about.

        A source that cannot be read must not keep the others from their namespaces.
        """
        known = self.namespaces.health.synced and self.mirrors.health.synced
        return known and all(
            one.health.synced or one.health.failing is not None
            for one in self.sources.values()
        )

    def namespace(self, name: str) -> ComputeNamespace | None:
        """Return a labeled namespace."""
        return self.namespaces.get(ObjectKey("", name))

    def reference(self, namespace: str) -> ObjectReference:
        """Return what an Event about a namespace refers to, labeled or not."""
        known = self.namespace(namespace)
        key = ObjectKey(namespace, namespace)
        return known.reference if known else ObjectReference.to(NAMESPACE, key)

    def mirror(self, namespace: str) -> MirrorState | None:
        """Return the Secret of the mirror's name in a namespace."""
        return self.mirrors.get(ObjectKey(namespace, MIRROR_SECRET))

    def source(self, ref: SourceRef) -> SourceContent | MirrorReason:
        """Return a source's content, or why there is none."""
        informer = self.sources.get(ref)
        if informer is None:
            return MirrorReason.SOURCE_MISSING
        health, options = informer.health, informer.options
        found = informer.get(ObjectKey(options.namespace, options.name))
        refused = isinstance(health.failing, Rejected)
        if refused or health.unprojected or (health.failing and found is None):
            return MirrorReason.SOURCE_UNREADABLE
        # While the API server is away, what it said last is still the newest there is.
        return MirrorReason.SOURCE_MISSING if found is None else found


def build_caches(client: KubeClient, interests: Interests) -> Caches:
    """Build the informers for these interests; none of them runs yet."""

    def inform(options: ListOptions, project: Callable[[Json], T]) -> Informer[T]:
        seconds = interests.watch_seconds
        return Informer(client, options, project, watch_seconds=seconds)

    labeled = ListOptions(NAMESPACE, labels=f"{INJECT_LABEL}={INJECT_ENABLED}")
    home = interests.release_namespace
    return Caches(
        namespaces=inform(labeled, projections.compute_namespace),
        mirrors=inform(
            ListOptions(SECRET, name=MIRROR_SECRET),
            partial(projections.mirror_state, release=interests.release),
        ),
        sources={
            ref: inform(ListOptions(kind, namespace=home, name=ref.name), project)
            for ref in interests.sources
            for kind, project in (_SOURCES[ref.kind],)
        },
        pods=tuple(
            inform(ListOptions(POD, labels=label), projections.task_pod)
            for label in _TASK_PODS
            if interests.pods
        ),
        config_maps=tuple(
            inform(ListOptions(CONFIG_MAP, name=name), projections.config_map_keys)
            for name in interests.config_maps
        ),
        egress=EgressCaches(
            policies=inform(ListOptions(NETWORK_POLICY), projections.network_policy),
            services=inform(ListOptions(SERVICE), Service.parse),
            slices=inform(ListOptions(ENDPOINT_SLICE), EndpointSlice.parse),
            nodes=inform(ListOptions(NODE), node_addresses),
        )
        if interests.egress
        else None,
    )
