"""Everything the companion follows, as one value that its concerns share."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from webhook.cluster.errors import Rejected
from webhook.cluster.informer import WATCH_SECONDS, Informer
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import CONFIG_MAP, NAMESPACE, POD, SECRET
from webhook.companion.seen import (
    MirrorSeen,
    NamespaceSeen,
    SourceSeen,
    TaskPod,
    config_map_seen,
    key_names,
    mirror_seen,
    namespace_seen,
    secret_seen,
    task_pod,
)
from webhook.companion.supply import Sources
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL, MIRROR_SECRET
from webhook.injection.workload import RAY_LABEL, SPARK_LABEL
from webhook.mirror.profile import SourceKind, SourceRef
from webhook.mirror.reasons import MirrorReason

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The followers.

    Attributes:
        namespaces: the labeled ones.
        mirrors: every Secret of the mirror's name.
        sources: one follower for each object that a profile reads.
        pods: task pods; empty when the auditor is switched off.
        config_maps: names of the keys of ConfigMaps that may shadow ours.
        others: what certificates and egress are decided by, where they are kept.
    """

    namespaces: Informer[NamespaceSeen]
    mirrors: Informer[MirrorSeen]
    sources: Mapping[SourceRef, Informer[SourceSeen]]
    pods: tuple[Informer[TaskPod], ...] = ()
    config_maps: tuple[Informer[frozenset[str]], ...] = ()
    others: tuple[Informer[Any], ...] = ()

    def all(self) -> Iterator[Informer[Any]]:
        """Every follower, to run them and to ask how they stand."""
        yield self.namespaces
        yield self.mirrors
        yield from self.sources.values()
        yield from self.pods
        yield from self.config_maps
        yield from self.others

    def is_ready(self) -> bool:
        """Whether mirrors can be decided about: all was listed, or is known not to be.

        A source that cannot be read must not keep the others from their namespaces.
        """
        known = self.namespaces.health.synced and self.mirrors.health.synced
        return known and all(
            follower.health.synced or follower.health.failing is not None
            for follower in self.sources.values()
        )

    def seen_sources(self) -> Sources:
        """Each source's content, or why there is none."""
        return {ref: _source(one) for ref, one in self.sources.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interests:
    """What is to be followed.

    Attributes:
        release_namespace: where the sources lie.
        sources: the objects that profiles read.
        pods: whether to follow task pods.
        config_maps: names of ConfigMaps that may shadow keys, in any namespace.
        watch_seconds: a watch's life, which bounds how long silence goes unnoticed.
    """

    release_namespace: str
    sources: tuple[SourceRef, ...]
    pods: bool = True
    config_maps: tuple[str, ...] = ()
    watch_seconds: float = WATCH_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakes:
    """Whom a change wakes: `mirrors` by what they depend on, `pods` by pods."""

    mirrors: Callable[[], None]
    pods: Callable[[], None]


_TASK_PODS: Final = (
    f"{RAY_LABEL},{RAY_LABEL} notin (redis-cleanup)",
    f"{SPARK_LABEL},{SPARK_LABEL} notin (connect-server,master,worker)",
)
"""Every value of these labels but those of pods known to run no task, so that a wrong
one is seen as well."""


def observe(resources: KubeClient, interests: Interests, wakes: Wakes) -> Observed:
    """The followers for these interests; none of them runs yet."""

    def follow(
        selection: ListOptions, project: Callable[[Json], T], wake: Callable[[], None]
    ) -> Informer[T]:
        seconds = interests.watch_seconds
        return Informer(resources, selection, project, wake=wake, watch_seconds=seconds)

    labeled = ListOptions(NAMESPACE, labels=f"{INJECT_LABEL}={INJECT_ENABLED}")
    return Observed(
        namespaces=follow(labeled, namespace_seen, wakes.mirrors),
        mirrors=follow(
            ListOptions(SECRET, name=MIRROR_SECRET), mirror_seen, wakes.mirrors
        ),
        sources={
            ref: follow(
                ListOptions(_KINDS[ref.kind], interests.release_namespace, ref.name),
                secret_seen if ref.kind is SourceKind.SECRET else config_map_seen,
                wakes.mirrors,
            )
            for ref in interests.sources
        },
        pods=tuple(
            follow(ListOptions(POD, labels=label), task_pod, wakes.pods)
            for label in _TASK_PODS
            if interests.pods
        ),
        config_maps=tuple(
            follow(ListOptions(CONFIG_MAP, name=name), key_names, wakes.pods)
            for name in interests.config_maps
        ),
    )


_KINDS: Final = {SourceKind.SECRET: SECRET, SourceKind.CONFIG_MAP: CONFIG_MAP}


def _source(follower: Informer[SourceSeen]) -> SourceSeen | MirrorReason:
    failing = follower.health.failing
    selection = follower.options
    found = follower.get(ObjectKey(selection.namespace, selection.name))
    if isinstance(failing, Rejected) or (failing is not None and found is None):
        return MirrorReason.SOURCE_UNREADABLE
    # While the API server is away, what it said last is still the newest there is.
    return MirrorReason.SOURCE_MISSING if found is None else found
