"""Applies the policies planned for a namespace.

What could isolate a pod by mistake goes first: a policy that is not planned any more is
deleted before anything is written. A shadow for a new policy is written at once too.
Only rewrites, for addresses that change, are paced: those of a namespace go out
together, and then not for a while.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from webhook.cluster.errors import ClusterError, Conflict, NotFound, Unavailable
from webhook.cluster.informer import Informer
from webhook.cluster.interface import ObjectKey, Preconditions
from webhook.cluster.resources import NETWORK_POLICY
from webhook.companion.controller import Context
from webhook.companion.pauses import Pauses
from webhook.companion.projections import UnreadablePolicy
from webhook.egress.network_policy import Direction, NetworkPolicy
from webhook.egress.own_policy import ISOLATING_NAME, OwnPolicy, is_own
from webhook.injection.names import RELEASE_LABEL
from webhook.mirror.secret import is_of_release

_PACE: Final = timedelta(seconds=5)
"""Between two rounds of rewrites in one namespace."""


class NotLeadingError(ClusterError):
    """This replica stopped leading before everything was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a namespace's plan.

    Attributes:
        paced: seconds until a rewrite that was put off is due.
        error: the first write that failed; unless nobody answered, the others were
            tried all the same.
        orphans: shadows left that no policy justifies: until they go, they isolate.
    """

    paced: float | None = None
    error: ClusterError | None = None
    orphans: int = 0


class Applier:
    """Writes and deletes, one namespace at a time; namespaces may be concurrent."""

    def __init__(
        self, context: Context, policies: Informer[NetworkPolicy | UnreadablePolicy]
    ) -> None:
        """Take what all controllers share, and all policies that there are."""
        self._context, self._policies = context, policies
        self._lock = threading.Lock()
        self._pauses = Pauses()
        self._thread = threading.local()
        self.applied = 0
        """Policies written since the start."""
        self.deleted = 0
        """Policies deleted since the start."""

    @property
    def is_writing(self) -> bool:
        """Return whether this very thread is inside a write of ours."""
        return getattr(self._thread, "writing", False)

    def forget(self, namespace: str) -> None:
        """Drop what is remembered of a namespace."""
        self._pauses.forget(namespace)

    def apply(
        self,
        namespace: str,
        desired: Iterable[OwnPolicy],
        now: datetime,
        *,
        hold: bool = False,
    ) -> Applied:
        """Delete what is not desired, then write what is missing or differs.

        Args:
            namespace: whose policies these are.
            desired: everything of ours that should exist there.
            now: the time.
            hold: delete orphans only.
        """
        wanted = {own.name: own for own in desired}
        there = self._own(namespace)
        excess = sorted(there.keys() - wanted.keys())
        if hold:
            orphans = self._orphans(namespace)
            excess = [name for name in excess if name in orphans]
        acts = [partial(self._delete, there[name]) for name in excess]
        acts += [
            partial(self._write, own, None)
            for name, own in wanted.items()
            if name not in there
        ]
        rewrites = [
            partial(self._write, own, there[name])
            for name, own in wanted.items()
            if name in there and not self._is_same(there[name], own)
        ]
        paced = self._pauses.left(namespace, now) if rewrites else timedelta(0)
        error = self._attempt(acts if paced else [*acts, *rewrites])
        if error is None and rewrites and not paced:
            self._pauses.begin(namespace, now, _PACE)
        return Applied(
            paced=paced.total_seconds() or None,
            error=error,
            orphans=len(self._orphans(namespace)),
        )

    def _own(self, namespace: str) -> Mapping[str, NetworkPolicy]:
        return {
            key.name: policy
            for key, policy in self._policies.items(namespace).items()
            if isinstance(policy, NetworkPolicy)
            and is_own(policy.labels, policy.name)
            and is_of_release(policy.labels, self._context.release)
        }

    def _orphans(self, namespace: str) -> frozenset[str]:
        by_uid = {one.uid: one for one in self._policies.items(namespace).values()}
        return frozenset(
            name
            for name, own in self._own(namespace).items()
            if _has_no_owner(own, by_uid)
        )

    def _attempt(self, acts: Iterable[Callable[[], None]]) -> ClusterError | None:
        """Try each; a server that is away is asked once, so that it costs one wait."""
        first: ClusterError | None = None
        for act in acts:
            if not self._context.is_leader():
                return first or NotLeadingError("another replica leads now")
            self._thread.writing = True
            try:
                act()
            except ClusterError as error:
                first = first or error
                if isinstance(error, Unavailable):
                    break
            finally:
                self._thread.writing = False
        return first

    def _delete(self, own: NetworkPolicy) -> None:
        key, only = ObjectKey(own.namespace, own.name), Preconditions(uid=own.uid)
        try:
            self._context.client.delete(
                NETWORK_POLICY, key.name, key.namespace, only=only
            )
        except (NotFound, Conflict):
            return  # it went by itself, or another one has its name: the watch tells
        self._policies.forget(key)
        with self._lock:
            self.deleted += 1
        self._log("egress-policy-deleted", key)

    def _write(self, own: OwnPolicy, existing: NetworkPolicy | None) -> None:
        # An object of this name that is not ours must stay as it is.
        key, release = ObjectKey(own.namespace, own.name), self._context.release
        there = self._policies.get(key)
        if isinstance(there, NetworkPolicy) and not is_of_release(
            there.labels, release
        ):
            raise Conflict(f"apply networkpolicies {own.name}: another release's")
        body = self._context.client.apply(
            NETWORK_POLICY, own.manifest(release), force=existing is not None
        )
        self._policies.update(body)
        with self._lock:
            self.applied += 1
        self._log("egress-policy-applied", key)

    def _is_same(self, existing: NetworkPolicy, own: OwnPolicy) -> bool:
        return (
            existing.labels.get(RELEASE_LABEL) == self._context.release
            and existing.selector == own.selector
            and existing.directions == {Direction.EGRESS}
            and existing.egress == own.rules
            and set(existing.owners) == {uid for _, uid in own.owners}
        )

    def _log(self, event: str, key: ObjectKey) -> None:
        fields = {"namespace": key.namespace, "name": key.name}
        self._context.log.line("info", event, fields)


def _has_no_owner(
    own: NetworkPolicy, policies: Mapping[str, NetworkPolicy | UnreadablePolicy]
) -> bool:
    """Return whether a shadow isolates pods that none of its owners isolates any more.

    They are gone, or select less than when it was made; one that cannot be read may
    isolate what it did. The one that closes a namespace has no owner and is no shadow.
    """
    owners = (policies.get(uid) for uid in own.owners)
    return own.name != ISOLATING_NAME and not any(
        isinstance(owner, UnreadablePolicy)
        or (
            Direction.EGRESS in owner.directions
            and own.selector.implies(owner.selector)
        )
        for owner in owners
        if owner is not None
    )
