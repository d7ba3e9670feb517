"""The result of reconciling the certificates, and the conditions in their way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from certs.codec import NewerFormatError
from certs.plan import Cause
from certs.state import RotationPhase, State
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Forbidden, Rejected
from webhook.cluster.events import ObjectReference
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.controller import Notice, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is in the way.

    Attributes:
        reason: the word for it.
        detail: one sentence that names the object.
        about: the object.
        error: the request that failed, which is retried with backoff.
    """

    reason: RotationReason
    detail: str
    about: ObjectReference
    error: Exception | None = None

    @property
    def notice(self) -> Notice:
        """Return the Event, with the same message each time: it is written once."""
        message = self.detail
        if self.reason is RotationReason.CLOCK_DIFFERS:
            message = self.reason.sentence  # the detail names the times
        return Notice(about=self.about, reason=self.reason.value, message=message)


def condition_of(error: Exception, about: ObjectReference) -> Condition:
    """Return the condition that an error means."""
    if isinstance(error, NewerFormatError):  # no request failed: it is not retried
        reason = RotationReason.STATE_NEWER
        return Condition(reason=reason, detail=str(error), about=about)
    if not isinstance(error, ClusterError):
        # The text of an error of our own might quote a value.
        reason, detail = RotationReason.INTERNAL_ERROR, type(error).__name__
    else:
        detail = str(error)
        if isinstance(error, Forbidden):
            reason = RotationReason.FORBIDDEN
        elif isinstance(error, Rejected):
            reason = RotationReason.REFUSED
        else:
            reason = RotationReason.UNAVAILABLE
    return Condition(reason=reason, detail=detail, about=about, error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateResult(Result):
    """What became of the certificates.

    Attributes:
        phase: the rotation's.
        state: as last read.
        done: the writes of this reconcile, in order.
        conditions: what is in the way.
        rotating_since: when the rotation under way began; None when none is.
        writes: all writes of this process by cause, for a counter.
    """

    reason: RotationReason
    phase: RotationPhase = RotationPhase.BOOTSTRAP
    state: State = field(default_factory=State)
    done: tuple[Cause, ...] = ()
    conditions: tuple[Condition, ...] = ()
    rotating_since: datetime | None = None
    writes: Mapping[str, int] = field(default_factory=dict)

    @property
    def in_order(self) -> bool:
        """Return whether nothing is left to do and nothing is in the way."""
        return self.reason.is_in_order

    def section(self) -> dict[str, Any]:
        """Return the section of the status: times and words, no digest and no value."""
        shown: dict[str, Any] = {"phase": self.phase.value}
        line = self.phase.value
        if self.state.current is not None:
            shown["notAfter"] = metadata.format_time(self.state.current.not_after)
            line += f", good until {self.state.current.not_after:%Y-%m-%d}"
        if self.rotating_since is not None:
            shown["rotatingSince"] = metadata.format_time(self.rotating_since)
        if self.conditions:
            shown["problems"] = [one.reason.value for one in self.conditions]
            line += f"; {self.detail}"
        return shown | {"line": line}
