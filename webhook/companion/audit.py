"""Finds task pods that run without the keys, with older keys, or with shadowed ones.

The key is the namespace. It reports and never acts: no training job is restarted for a
key. Names of keys are told, values are not even read.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Self

from webhook.cluster.errors import ClusterError
from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import CONFIG_MAP
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Caches
from webhook.companion.controller import Context, Notice, Result
from webhook.companion.pod_owners import PodOwners
from webhook.companion.projections import (
    ComputeNamespace,
    MirrorState,
    TaskPod,
    pod_reference,
)
from webhook.injection.environment import (
    KnownSources,
    VariableSource,
    environment,
)
from webhook.injection.names import MIRROR_SECRET
from webhook.injection.reasons import InjectionReason
from webhook.injection.stamp import InjectedBy
from webhook.mirror.decide import NamespaceFilter
from webhook.mirror.reasons import MirrorReason
from webhook.reason import Reason

_PACE: Final = 0.25
"""Seconds between two audits of a namespace: ten thousand pods cost some 20 ms, and a
burst of new ones must not make them cost a core."""
_TOLD: Final = 100
"""Pods of a namespace that are told by Events, the newest first, and their owners. The
status counts all of them."""


class AuditReason(Reason):
    """Why a task pod of a compute namespace has the keys, or has not."""

    INJECTED = "Injected", "The task containers were given the tracking keys."
    ALREADY_REFERENCED = (
        "AlreadyReferenced",
        "The pod refers to the tracking Secret by itself.",
    )
    OPTED_OUT = "OptedOut", "The pod's label switches injection off."
    CREATED_BEFORE_LABEL = (
        "CreatedBeforeLabel",
        "The pod is older than the namespace's label; a new one gets the keys.",
    )
    MISSED = (
        "Missed",
        "The pod runs without the tracking keys: when it was created, no webhook "
        "answered the API server, and no policy of its own gave them.",
    )
    WRONG_LABELS = (
        "WrongLabels",
        "The pod runs without the tracking keys: its label ray.io/node-type, "
        "spark-role or tracking.michelangelo-ai.org/inject has a value that no task "
        "pod has.",
    )
    NO_TASK_CONTAINER = (
        "NoTaskContainer",
        "The pod runs without the tracking keys: its labels mark a task pod, but no "
        "container is recognizable as Ray's or Spark's, or has a name that its "
        "annotation tracking.michelangelo-ai.org/containers gives.",
    )
    REFERENCE_MISSING = (
        "ReferenceMissing",
        "The pod runs without the tracking keys: it bears the webhook's label, but a "
        "task container of it does not refer to the tracking Secret.",
    )
    FOREIGN_MIRROR = (
        "ForeignMirror",
        "The pod runs with what a Secret of the mirror's name holds that this release "
        "did not make; these are not the tracking keys.",
    )
    TOKEN_MISSING = (
        "TokenMissing",
        "The pod runs without its service account's token, which its tracking client "
        "shows to the server (MLFLOW_TRACKING_AUTH): automountServiceAccountToken is "
        "false, and no volume brings one to where the client looks.",
    )

    @property
    def is_missed(self) -> bool:
        """Return whether somebody meant the pod to have the keys, and it has not."""
        return self in _MISSED

    @property
    def has_keys(self) -> bool:
        """Return whether the pod has the keys, whatever anybody meant."""
        return self in _WITH_KEYS


_WITH_KEYS = frozenset({AuditReason.INJECTED, AuditReason.ALREADY_REFERENCED})
_MISSED = frozenset(
    {
        AuditReason.MISSED,
        AuditReason.WRONG_LABELS,
        AuditReason.NO_TASK_CONTAINER,
        AuditReason.REFERENCE_MISSING,
        AuditReason.FOREIGN_MIRROR,
        AuditReason.TOKEN_MISSING,
    }
)


_BY_DECISION = MappingProxyType(
    {
        InjectionReason.ALREADY_INJECTED: AuditReason.INJECTED,
        InjectionReason.ALREADY_REFERENCED: AuditReason.ALREADY_REFERENCED,
        InjectionReason.OPTED_OUT: AuditReason.OPTED_OUT,
        InjectionReason.NOT_A_TASK_POD: AuditReason.WRONG_LABELS,
        InjectionReason.NO_TASK_CONTAINER: AuditReason.NO_TASK_CONTAINER,
    }
)

_OLDER = (VariableSource.CONFIG_MAP, VariableSource.CONFIG_MAP_KEY)
_REFERRING = (InjectionReason.ALREADY_INJECTED, InjectionReason.ALREADY_REFERENCED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditContext:
    """What a pod is compared with: its namespace's label and mirror.

    Attributes:
        since: when the namespace was switched on, as far as known.
        foreign: the Secret of the mirror's name there is not ours.
        wants_token: with its keys, a task shows its pod's token to the server.
    """

    since: datetime | None
    foreign: bool = False
    wants_token: bool = False

    @classmethod
    def of(cls, namespace: ComputeNamespace, mirror: MirrorState | None) -> Self:
        """Return what is known of a namespace: no mirror is older than its label."""
        owned = mirror is not None and mirror.existing.owned
        known = [namespace.enabled_at]
        if mirror is not None and owned:
            known.append(mirror.created)
        return cls(
            since=min((time for time in known if time), default=None),
            foreign=mirror is not None and not owned,
            wants_token=mirror is not None and mirror.wants_token,
        )


def audit_pod(pod: TaskPod, context: AuditContext) -> AuditReason | None:
    """Return what to say about a pod; None about one that is over or none of ours.

    Args:
        pod: a pod that carries one of the labels, in a compute namespace.
        context: its namespace.
    """
    if pod.over:
        return None
    if pod.reason in _REFERRING:
        return _of_referring(pod, context)
    if pod.reason is not InjectionReason.INJECTED:
        return _BY_DECISION.get(pod.reason)
    if pod.stamped:
        return AuditReason.REFERENCE_MISSING
    # The API server's times have whole seconds: within the same one, the pod may have
    # been first.
    since = context.since
    if since is not None and pod.created is not None and pod.created <= since:
        return AuditReason.CREATED_BEFORE_LABEL
    return AuditReason.MISSED


def _of_referring(pod: TaskPod, context: AuditContext) -> AuditReason:
    if context.foreign:
        return AuditReason.FOREIGN_MIRROR
    if context.wants_token and not pod.has_token:
        return AuditReason.TOKEN_MISSING
    return _BY_DECISION[pod.reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult(Result):
    """The task pods of one namespace; the reason is the worst, or `Injected`.

    Attributes:
        counts: running pods by what is said about them.
        injected_by: those that were given the keys, by who gave them.
        outdated: how many started before the mirror last changed.
        oldest: when the first of these started.
        shadowed: variable → the ConfigMap whose older value wins.
        without_keys: names of pods that have none, each with its reason: the newest
            that were missed, then the newest of those that somebody left out.
        waiting: names of the pods that wait for the mirror, or for a key of it.
    """

    counts: Counter[AuditReason] = field(default_factory=Counter)
    injected_by: Counter[InjectedBy] = field(default_factory=Counter)
    outdated: int = 0
    oldest: datetime | None = None
    shadowed: Mapping[str, str] = field(default_factory=dict)
    without_keys: tuple[tuple[str, AuditReason], ...] = ()
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Audited:
    key: ObjectKey
    pod: TaskPod
    reason: AuditReason

    @property
    def age(self) -> tuple[datetime, ObjectKey]:
        return self.pod.created or datetime.min.replace(tzinfo=UTC), self.key

    @property
    def reference(self) -> ObjectReference:
        return pod_reference(self.key.namespace, self.key.name, self.pod)


class AuditController:
    """The reconciler; safe for several workers: one may wait for an owner."""

    name = "audit"

    def __init__(
        self,
        context: Context,
        caches: Caches,
        queue: WorkQueue,
        *,
        namespaces: NamespaceFilter,
    ) -> None:
        """Subscribe to pods, and to what they are compared with.

        Args:
            context: what all controllers share.
            caches: what is known of the cluster.
            queue: gets the namespaces.
            namespaces: which of them may have keys.
        """
        self._caches = caches
        self._queue = queue
        self._filter = namespaces
        self._owners = PodOwners(context.client, caches.pods)
        self._ready = False
        caches.namespaces.subscribe(
            lambda key: self._queue.add_paced(key.name, _PACE), self._health_changed
        )
        caches.mirrors.subscribe(self._changed, self._health_changed)
        for pods in caches.pods:
            pods.subscribe(self._changed, self._health_changed)
        for config_map in caches.config_maps:
            config_map.subscribe(self._changed)
        self._health_changed()

    def reconcile(self, key: str, now: datetime) -> AuditResult | None:
        """Audit the task pods of a namespace."""
        del now  # a pod's age is compared with the label's, not with the clock
        namespace = self._caches.namespace(key)
        if namespace is None or self._filter.exclusion(key) or not self._ready:
            return None
        mirror = self._caches.mirror(key)
        context = AuditContext.of(namespace, mirror)
        pods = {
            name: pod
            for informer in self._caches.pods
            for name, pod in informer.items(key).items()
        }
        audited = [
            _Audited(key=name, pod=pod, reason=reason)
            for name, pod in pods.items()
            if (reason := audit_pod(pod, context))
        ]
        without = [one for one in audited if not one.reason.has_keys]
        without.sort(key=lambda one: one.age, reverse=True)
        missed = [one for one in without if one.reason.is_missed]
        without.sort(key=lambda one: not one.reason.is_missed)
        outdated = sorted(_outdated(audited, mirror))
        notices, error = self._notices(missed[:_TOLD])
        return AuditResult(
            reason=min(
                (one.reason for one in missed),
                key=list(AuditReason).index,
                default=AuditReason.INJECTED,
            ),
            counts=Counter(one.reason for one in audited),
            injected_by=Counter(
                one.pod.by
                for one in audited
                if one.reason is AuditReason.INJECTED and one.pod.by
            ),
            outdated=len(outdated),
            oldest=outdated[0] if outdated else None,
            shadowed=self._shadowed(key, audited, mirror),
            without_keys=tuple((one.key.name, one.reason) for one in without[:_TOLD]),
            waiting=tuple(sorted(one.key.name for one in audited if one.pod.waiting)),
            notices=notices,
            error=error,
        )

    def failure(self, key: str, error: Exception) -> AuditResult:
        """Return that nothing is known about a namespace's pods."""
        del key  # the results are kept by it
        return AuditResult(reason=MirrorReason.INTERNAL_ERROR, error=error)

    def _notices(
        self, newest: Sequence[_Audited]
    ) -> tuple[tuple[Notice, ...], ClusterError | None]:
        """Return the Events, and what kept us from asking for an owner."""
        notices = [_notice(one.reference, one.reason) for one in newest]
        owners: dict[ObjectReference, Notice] = {}
        error: ClusterError | None = None
        try:
            for one in newest:
                for owner in self._owners.of(one.pod):
                    owners[owner] = _notice(owner, one.reason, owns=True)
        except ClusterError as caught:
            error = caught
        # They come first: there are few, and it is them that users look at.
        return (*owners.values(), *notices), error

    def _shadowed(
        self, namespace: str, audited: Sequence[_Audited], mirror: MirrorState | None
    ) -> dict[str, str]:
        """Return the variables that a ConfigMap's older value wins, and which."""
        if mirror is None:
            return {}
        known = KnownSources(
            secrets={MIRROR_SECRET: dict.fromkeys(mirror.keys, "")},
            config_maps={
                key.name: dict.fromkeys(names, "")
                for informer in self._caches.config_maps
                for key, names in informer.items(namespace).items()
            },
        )
        shadowed = {}
        for sources in sorted({s for one in audited for s in one.pod.environments}):
            variables = environment(json.loads(sources), known).variables
            for name in variables.keys() & set(mirror.keys):
                if variables[name].kind in _OLDER:
                    shadowed[name] = f"{CONFIG_MAP.name}/{variables[name].object_name}"
        return dict(sorted(shadowed.items()))

    def _changed(self, key: ObjectKey) -> None:
        if self._caches.namespace(key.namespace) is not None:
            self._queue.add_paced(key.namespace, _PACE)

    def _health_changed(self) -> None:
        """Queue every namespace once all that is compared was listed.

        Each of these tells its health here. A source does not, and none is needed.
        """
        caches = self._caches
        known = caches.namespaces.health.synced and caches.mirrors.health.synced
        pods = all(informer.health.synced for informer in caches.pods)
        if self._ready or not (known and pods):
            return
        self._ready = True
        for key in self._caches.namespaces.items():
            self._queue.add(key.name)


def _notice(
    about: ObjectReference, reason: AuditReason, *, owns: bool = False
) -> Notice:
    message = reason.sentence
    if owns:
        message = message.replace("The pod runs", "A pod of it runs")
    return Notice(about=about, reason=reason, message=message)


def _outdated(
    audited: Iterable[_Audited], mirror: MirrorState | None
) -> Iterator[datetime]:
    """Yield when each pod started that runs with keys from before the last change."""
    changed = mirror.changed if mirror else None
    for one in audited:
        started = one.pod.started
        if changed and started and one.pod.stamped and started < changed:
            yield started
