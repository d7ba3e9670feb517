"""Writes that failed: why, and when each is tried again."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from webhook.cluster.backoff import Backoff
from webhook.cluster.errors import (
    ClusterError,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Rejected,
    Terminating,
)
from webhook.companion.means import Log
from webhook.mirror.reasons import MirrorReason


class ContestedError(ClusterError):
    """The API server took a mirror and stored something else: others change it."""


@dataclass(slots=True)
class _Trouble:
    reason: MirrorReason
    until: datetime
    backoff: Backoff = field(default_factory=Backoff)


class Troubles:
    """Remembers the namespaces whose last write failed; the others are due always."""

    def __init__(self, log: Log) -> None:
        """Takes the log: each namespace's trouble is told once, not at every retry."""
        self._log = log
        self._troubles: dict[str, _Trouble] = {}

    def is_due(self, namespace: str, now: datetime) -> bool:
        """Whether a write there may be tried now."""
        trouble = self._troubles.get(namespace)
        return trouble is None or trouble.until <= now

    def reason(self, namespace: str) -> MirrorReason | None:
        """Why the last write there failed; None when it did not."""
        trouble = self._troubles.get(namespace)
        return None if trouble is None else trouble.reason

    def note(self, namespace: str, error: ClusterError, now: datetime) -> None:
        """A write failed: it is tried again, each time later."""
        reason = meaning(error)
        trouble = self._troubles.get(namespace)
        if trouble is None or trouble.reason is not reason:
            trouble = self._troubles[namespace] = _Trouble(reason, now)
            self._log.line(
                "warning",
                "mirror-failed",
                {"namespace": namespace, "reason": reason, "problem": str(error)},
            )
        trouble.until = now + timedelta(seconds=trouble.backoff.next())

    def keep_only(self, namespaces: Collection[str]) -> None:
        """Everywhere else nothing is to be written any more."""
        self._troubles = {n: t for n, t in self._troubles.items() if n in namespaces}

    def pause(self, now: datetime) -> float | None:
        """Seconds until the next may be tried; None when there is no trouble."""
        waits = [(one.until - now).total_seconds() for one in self._troubles.values()]
        return max(0.0, min(waits)) if waits else None


_MEANINGS: Final = (
    (ContestedError, MirrorReason.CONTESTED),
    (Terminating | NotFound, MirrorReason.TERMINATING),
    (QuotaExceeded, MirrorReason.QUOTA_EXCEEDED),
    (Forbidden, MirrorReason.FORBIDDEN),
    (Rejected, MirrorReason.REFUSED),
)
"""The first that an error is an instance of says what it means."""


def meaning(error: ClusterError) -> MirrorReason:
    """What a failed write says about the namespace."""
    if isinstance(error, Invalid) and "type" in error.fields:
        # A Secret of another type is there, and the followers had not told yet.
        return MirrorReason.FOREIGN_SECRET
    found = (reason for kinds, reason in _MEANINGS if isinstance(error, kinds))
    return next(found, MirrorReason.UNAVAILABLE)
