"""Makes the policies of ours what they should be.

What could isolate a pod by mistake goes first: a policy that is not wanted any more is
deleted before anything is written. A shadow for a policy that is new is written at
once too. Only rewrites, for addresses that change, are paced: those of a namespace go
out together, and then not for a while.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from webhook.cluster.errors import ClusterError, Conflict, NotFound
from webhook.cluster.interface import ObjectKey, Preconditions
from webhook.cluster.resources import NETWORK_POLICY
from webhook.companion.egress.seen import Watched
from webhook.companion.means import Means
from webhook.egress.network_policy import Direction, NetworkPolicy
from webhook.egress.shadow import ISOLATING_NAME, OwnPolicy, is_own

_PACE: Final = timedelta(seconds=5)
"""Between two rounds of rewrites in one namespace."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of it.

    Attributes:
        pause: Seconds until a rewrite that was put off is due.
        failure: The first of those that failed; the others were tried all the same.
    """

    pause: float | None = None
    failure: ClusterError | None = None


class Writer:
    """Writes and deletes; remembers when it rewrote what."""

    def __init__(self, means: Means, watched: Watched) -> None:
        """Takes what it acts with, and where it sees what there is."""
        self._means, self._watched = means, watched
        self._rewritten: dict[str, datetime] = {}
        self._same: dict[ObjectKey, tuple[NetworkPolicy, OwnPolicy]] = {}
        self.applied = 0
        """Policies written since the start."""
        self.deleted = 0
        """Policies deleted since the start."""

    def orphans(self) -> int:
        """Shadows that lean on nothing any more: until they go too, they isolate."""
        policies = self._by_uid()
        return sum(_leans_on_none(one, policies) for one in self.own().values())

    def own(self) -> Mapping[ObjectKey, NetworkPolicy]:
        """The policies of ours that there are."""
        return {
            key: policy
            for key, policy in self._watched.policies.items().items()
            if isinstance(policy, NetworkPolicy) and is_own(policy.labels, policy.name)
        }

    def apply(
        self, wanted: Mapping[ObjectKey, OwnPolicy], held: frozenset[str], now: datetime
    ) -> Applied:
        """Deletes what is not wanted, then writes what is missing or differs.

        Args:
            wanted: Everything that should exist.
            held: Namespaces in which only orphans are taken away.
            now: The time.
        """
        there, policies, failed = self.own(), self._by_uid(), _Failures()
        for key in sorted(there.keys() - wanted.keys()):
            if key.namespace not in held or _leans_on_none(there[key], policies):
                self._attempt(partial(self._delete, key, there[key].uid), failed)
        late: set[str] = set()
        due = {n for n, at in self._rewritten.items() if now - at < _PACE}
        for key, own in wanted.items():
            existing = there.get(key)
            if existing is None:
                self._attempt(partial(self._write, own, None), failed)
            elif self._is_same(key, existing, own):
                continue
            elif key.namespace in due:
                late.add(key.namespace)
            else:
                self._rewritten[key.namespace] = now
                self._attempt(partial(self._write, own, existing), failed)
        self._same = {key: pair for key, pair in self._same.items() if key in wanted}
        pauses = ((self._rewritten[n] + _PACE - now).total_seconds() for n in late)
        return Applied(min(pauses, default=None), failed.first)

    def _by_uid(self) -> Mapping[str, NetworkPolicy]:
        there = self._watched.policies.items().values()
        return {
            policy.uid: policy for policy in there if isinstance(policy, NetworkPolicy)
        }

    def _is_same(self, key: ObjectKey, existing: NetworkPolicy, own: OwnPolicy) -> bool:
        """Compared once for each pair of values: there may be twenty thousand."""
        before = self._same.get(key)
        if before is not None and before[0] is existing and before[1] is own:
            return True
        same = _is_same(existing, own)
        if same:
            self._same[key] = existing, own
        return same

    def _attempt(self, act: Callable[[], None], failed: "_Failures") -> None:
        """One namespace that refuses must not keep the others waiting."""
        if not self._means.may_act():
            return
        try:
            act()
        except ClusterError as error:
            failed.first = failed.first or error

    def _delete(self, key: ObjectKey, uid: str) -> None:
        only = Preconditions(uid=uid)
        try:
            self._means.resources.delete(
                NETWORK_POLICY, key.name, key.namespace, only=only
            )
        except (NotFound, Conflict):
            return  # it went by itself, or another one has its name: the watch tells
        self._watched.policies.forget(key)
        self.deleted += 1
        self._tell("egress-policy-deleted", key)

    def _write(self, own: OwnPolicy, existing: NetworkPolicy | None) -> None:
        # An object of this name that is not ours must stay as it is.
        body = self._means.resources.apply(
            NETWORK_POLICY, own.manifest(), force=existing is not None
        )
        self._watched.policies.update(body)
        self.applied += 1
        self._tell("egress-policy-applied", ObjectKey(own.namespace, own.name))

    def _tell(self, event: str, key: ObjectKey) -> None:
        fields = {"namespace": key.namespace, "name": key.name}
        self._means.log.line("info", event, fields)


@dataclass(slots=True)
class _Failures:
    """Keeps the first."""

    first: ClusterError | None = None


def _leans_on_none(own: NetworkPolicy, policies: Mapping[str, NetworkPolicy]) -> bool:
    """Whether a shadow isolates pods that none of its owners isolates any more.

    They are gone, or select less than when it was made. The one that closes a namespace
    leans on nothing and is no shadow.
    """
    owners = (policies.get(uid) for uid in own.owners)
    return own.name != ISOLATING_NAME and not any(
        Direction.EGRESS in owner.directions and own.selector.implies(owner.selector)
        for owner in owners
        if owner is not None
    )


def _is_same(existing: NetworkPolicy, own: OwnPolicy) -> bool:
    return (
        existing.selector == own.selector
        and existing.directions == {Direction.EGRESS}
        and existing.egress == own.rules
        and set(existing.owners) == {uid for _, uid in own.owners}
    )
