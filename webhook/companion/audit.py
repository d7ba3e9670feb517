"""Finds task pods that run without the keys, with older keys, or with shadowed ones.

Reports and never acts: no training job is restarted for a key. Names of keys are told,
values are not even read.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from webhook.cluster.interface import ObjectKey
from webhook.companion.means import Means
from webhook.companion.observed import Observed
from webhook.companion.owners import Owners
from webhook.companion.seen import MirrorSeen, NamespaceSeen, TaskPod, pod_subject
from webhook.companion.verdicts import AuditReason, audited
from webhook.injection.names import MIRROR_SECRET
from webhook.injection.patch import Precedence
from webhook.mirror.decide import NamespaceFilter

_PACE: Final = timedelta(seconds=1)
"""Between two audits: ten thousand pods cost some 20 ms, and a burst of new ones must
not make them cost a core."""


@dataclass(slots=True)
class PodsReport:
    """The task pods of one namespace.

    Attributes:
        counts: running pods by what is said about them.
        outdated: how many started before the mirror last changed.
        oldest: when the first of these started.
        shadowed: variable → the ConfigMap whose older value wins.
    """

    counts: Counter[AuditReason] = field(default_factory=Counter)
    outdated: int = 0
    oldest: datetime | None = None
    shadowed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Missed:
    key: ObjectKey
    pod: TaskPod
    reason: AuditReason


class Auditor:
    """The concern."""

    name = "audit"

    def __init__(
        self,
        means: Means,
        observed: Observed,
        *,
        scope: NamespaceFilter,
        precedence: Precedence,
    ) -> None:
        """Prepares; the followers run already or will.

        Args:
            means: what it acts with.
            observed: what is followed.
            scope: which namespaces are compute namespaces.
            precedence: in `override`, no ConfigMap shadows a key.
        """
        self._means = means
        self._observed = observed
        self._scope = scope
        self._precedence = precedence
        self._owners = Owners(means.resources, observed.pods)
        self._due: datetime | None = None
        self.report: Mapping[str, PodsReport] = {}
        """By namespace, as of the last audit; replaced as a whole."""

    @property
    def state(self) -> str:
        """`complete`, or why it says nothing: `off` or `PodsUnreadable`."""
        if not self._observed.pods:
            return "off"
        synced = all(follower.health.synced for follower in self._observed.pods)
        return "complete" if synced else "PodsUnreadable"

    def step(self, now: datetime) -> float | None:
        """Audits every task pod, once a second at most."""
        if self._due is not None and now < self._due:
            return (self._due - now).total_seconds()
        self._due = now + _PACE
        if self.state != "complete" or not self._observed.is_ready():
            return 1.0
        namespaces = {
            key.name: seen
            for key, seen in self._observed.namespaces.items().items()
            if self._scope.exclusion(key.name) is None
        }
        report = {name: PodsReport() for name in namespaces}
        sources: dict[str, set[tuple[str, str]]] = {}
        missed: list[_Missed] = []
        for key, pod in self._pods():
            namespace = namespaces.get(key.namespace)
            if namespace is None:
                continue
            reason = self._audit(key, pod, namespace, report[key.namespace])
            if reason is not None:
                sources.setdefault(key.namespace, set()).update(pod.config_maps)
                if reason.is_missed:
                    missed.append(_Missed(key, pod, reason))
        if self._precedence is Precedence.FALLBACK:
            for name, found in sources.items():
                report[name].shadowed = self._shadowed(name, found)
        self.report = report
        for one in missed:
            self._announce(one, now)
        return None

    def _pods(self) -> Iterator[tuple[ObjectKey, TaskPod]]:
        for follower in self._observed.pods:
            yield from follower.items().items()

    def _audit(
        self, key: ObjectKey, pod: TaskPod, namespace: NamespaceSeen, report: PodsReport
    ) -> AuditReason | None:
        mirror = self._observed.mirrors.get(ObjectKey(key.namespace, MIRROR_SECRET))
        reason = audited(pod, since=_since(namespace, mirror))
        if reason is None:
            return None
        report.counts[reason] += 1
        changed = mirror.changed if mirror else None
        if pod.stamped and pod.started and changed and pod.started < changed:
            report.outdated += 1
            report.oldest = min(report.oldest or pod.started, pod.started)
        return reason

    def _announce(self, one: _Missed, now: datetime) -> None:
        """Tells the pod's readers and its owners'."""
        reason, announcer = one.reason, self._means.announcer
        subject = pod_subject(one.key.namespace, one.key.name, one.pod)
        announcer.event(subject, reason, reason.sentence, now=now)
        for owner in self._owners.of(one.pod):
            announcer.event(owner, reason, _OWNERS[reason], now=now)

    def _shadowed(
        self, namespace: str, sources: set[tuple[str, str]]
    ) -> dict[str, str]:
        mirror = self._observed.mirrors.get(ObjectKey(namespace, MIRROR_SECRET))
        ours = frozenset(mirror.keys) if mirror else frozenset()
        shadowed = {}
        for prefix, name in sorted(sources):
            for follower in self._observed.config_maps:
                theirs = follower.get(ObjectKey(namespace, name)) or ()
                for variable in ours.intersection(prefix + key for key in theirs):
                    shadowed[variable] = f"ConfigMap/{name}"
        return dict(sorted(shadowed.items()))


_OWNERS: Final = {
    reason: reason.sentence.replace("The pod runs", "A pod of it runs")
    for reason in AuditReason
}


def _since(namespace: NamespaceSeen, mirror: MirrorSeen | None) -> datetime | None:
    """When the namespace was switched on: a mirror is proof that it was by then."""
    known = [namespace.since]
    if mirror is not None and mirror.existing.owned:
        known.append(mirror.created)
    return min((time for time in known if time), default=None)
