"""Takes a mirror away from a namespace that was switched off, but never from a pod.

A container that restarts without its Secret does not come back, so a mirror outlives
every pod that refers to it. Whether one does is asked of the API server right before.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from webhook.cluster.errors import ClusterError, Conflict, Forbidden, NotFound
from webhook.cluster.informer import Informer
from webhook.cluster.interface import ListOptions, ObjectKey, Preconditions
from webhook.cluster.resources import POD, SECRET
from webhook.companion.means import Means
from webhook.companion.seen import MirrorSeen, refers_to_mirror
from webhook.injection.names import MIRROR_SECRET
from webhook.mirror.decide import Action, MirrorDecision
from webhook.mirror.reasons import MirrorReason

_GRACE: Final = timedelta(seconds=10)
"""From switched off to removed: for so long an API server may still admit pods by the
old label, and a label that flaps costs nothing."""
_AGAIN: Final = timedelta(seconds=15)
"""Between two looks at whether the last pod is gone."""


class Removal:
    """Remembers which mirrors are to go, and since when."""

    def __init__(self, means: Means, mirrors: Informer[MirrorSeen]) -> None:
        """Takes what it acts with, and the followed mirrors."""
        self._means = means
        self._mirrors = mirrors
        self._due: dict[str, datetime] = {}
        self._reasons: dict[str, MirrorReason] = {}

    def step(
        self,
        verdicts: Mapping[str, MirrorDecision],
        mirrors: Mapping[str, MirrorSeen],
        *,
        now: datetime,
    ) -> float | None:
        """Removes what is due; returns the seconds until the next is, if any."""
        leaving = [n for n, v in verdicts.items() if v.step is Action.REMOVE]
        self._due = {name: self._due.get(name, now + _GRACE) for name in leaving}
        self._reasons = {n: r for n, r in self._reasons.items() if n in self._due}
        for name in leaving:
            if self._due[name] > now or not self._means.may_act():
                continue
            kept = self._remove(name, mirrors[name])
            if kept is None:
                del self._due[name]
                self._reasons.pop(name, None)
            else:
                self._due[name] = now + _AGAIN
                self._reasons[name] = kept
        return min(
            ((due - now).total_seconds() for due in self._due.values()), default=None
        )

    def reason(self, namespace: str, verdict: MirrorReason) -> MirrorReason:
        """What to report about a mirror that is to go."""
        return self._reasons.get(namespace, verdict)

    def _remove(self, namespace: str, mirror: MirrorSeen) -> MirrorReason | None:
        """Deletes this very object unless a pod needs it; returns why it stays."""
        try:
            if self._is_needed(namespace):
                return MirrorReason.KEPT_FOR_PODS
        except Forbidden:
            return MirrorReason.PODS_UNREADABLE
        return remove(self._means, self._mirrors, namespace, mirror)

    def _is_needed(self, namespace: str) -> bool:
        listing = self._means.resources.list(
            ListOptions(POD, namespace=namespace), refers_to_mirror
        )
        return any(needed for _, needed in listing.items.values())


def remove(
    means: Means,
    mirrors: Informer[MirrorSeen],
    namespace: str,
    mirror: MirrorSeen,
) -> MirrorReason | None:
    """Deletes exactly this mirror; None when it is gone, else why it is not."""
    only = Preconditions(uid=mirror.uid, version=mirror.version)
    try:
        means.resources.delete(SECRET, MIRROR_SECRET, namespace, only=only)
    except NotFound:
        pass
    except Conflict:
        return MirrorReason.LEAVING  # it changed meanwhile: look at it again
    except Forbidden:
        return MirrorReason.FORBIDDEN
    except ClusterError:
        return MirrorReason.UNAVAILABLE
    mirrors.forget(ObjectKey(namespace, MIRROR_SECRET))
    means.log.line("info", "mirror-removed", {"namespace": namespace})
    return None
