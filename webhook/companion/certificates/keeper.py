"""The concern as the companion's loop takes it: steps, a report, lines for changes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from webhook.cluster.informer import Informer
from webhook.cluster.interface import KubeClient, ListOptions
from webhook.cluster.metadata import resource_version
from webhook.cluster.resources import SECRET, WEBHOOK_CONFIGURATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.policy import CertificatePolicy
    from webhook.companion.certificates.concern import Certificates
    from webhook.companion.certificates.words import Outcome, Place
    from webhook.companion.means import Log

_AT_LATEST: Final = 600.0
"""Seconds between two looks although nothing changed: expiry is on the wall clock, and
a timer set for weeks ahead would not count while a machine sleeps."""
_PENDING: Final = 5.0
"""Seconds between two looks while replicas have yet to show the new certificate, or
something is in the way: neither announces its end."""
_SLACK: Final = 0.5
"""Seconds after a wait's end, so that one more look is enough."""


class CertificateKeeper:
    """Takes its steps, and keeps what the last one found for metrics and status."""

    name = "certificates"

    def __init__(
        self, certificates: Certificates, policy: CertificatePolicy, log: Log
    ) -> None:
        """Takes the concern itself, its policy, and where changes are told."""
        self._certificates = certificates
        self._policy = policy
        self._log = log
        self._told: frozenset[str] = frozenset()
        self.outcome: Outcome | None = None
        self.writes: Counter[str] = Counter()

    def step(self, now: datetime) -> float | None:
        """One turn; the wait until the next is bounded by the wall clock."""
        outcome = self._certificates.step()
        self.outcome = outcome
        for cause in outcome.done:
            self.writes[cause.value] += 1
            fields = {"cause": cause.value, "phase": outcome.phase.value}
            self._log.line("info", "certificates-changed", fields)
        self._complain(outcome)
        return _pause(outcome, now)

    def is_in_order(self) -> bool:
        """Whether the last step found everything in order."""
        return self.outcome is not None and self.outcome.in_order

    def problems(self) -> tuple[str, ...]:
        """One sentence for each thing that is in the way."""
        if self.outcome is None:
            return ("the certificates have not been looked at yet",)
        found = tuple(one.detail for one in self.outcome.complaints)
        if found or self.outcome.settled:
            return found
        return (f"the rotation is under way ({self.outcome.phase.value})",)

    def rotating_since(self) -> datetime | None:
        """When the rotation under way began; one that began long ago is stuck."""
        return self.outcome.state.started(self._policy) if self.outcome else None

    def section(self) -> dict[str, Any]:
        """For the status report: times and words, no digest and no value."""
        outcome = self.outcome
        if outcome is None:
            return {"line": "not looked at yet"}
        state = outcome.state
        told: dict[str, Any] = {"phase": outcome.phase.value}
        line = outcome.phase.value
        if state.current is not None:
            told["notAfter"] = _stamp(state.current.not_after)
            line += f", good until {state.current.not_after:%Y-%m-%d}"
        if (started := self.rotating_since()) is not None:
            told["rotatingSince"] = _stamp(started)
        if outcome.complaints:
            told["problems"] = [one.problem.value for one in outcome.complaints]
            line += "; " + "; ".join(one.detail for one in outcome.complaints)
        return told | {"line": line}

    def _complain(self, outcome: Outcome) -> None:
        """Each trouble once, not at every look."""
        details = frozenset(one.detail for one in outcome.complaints)
        for one in outcome.complaints:
            if one.detail not in self._told:
                fields = {"reason": one.problem.value, "problem": one.detail}
                self._log.line("warning", "certificates-hindered", fields)
        self._told = details


def followers(
    resources: KubeClient, place: Place, wake: Callable[[], None], watch_seconds: float
) -> tuple[Informer[str], ...]:
    """Watches that wake the concern; they keep versions, never content."""
    selections = (
        ListOptions(WEBHOOK_CONFIGURATION, name=place.configuration),
        ListOptions(SECRET, place.namespace, place.pair_secret),
        ListOptions(SECRET, place.namespace, place.state_secret),
    )
    return tuple(
        Informer(
            resources, one, resource_version, wake=wake, watch_seconds=watch_seconds
        )
        for one in selections
    )


def _pause(outcome: Outcome, now: datetime) -> float:
    if outcome.complaints or outcome.again is None:
        return _PENDING
    wait = (outcome.again - now).total_seconds() + _SLACK
    return min(max(wait, _SLACK), _AT_LATEST)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
