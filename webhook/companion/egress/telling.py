"""Tells what is found about egress: to people by Events, to tools by the status.

A finding that holds for every namespace of a profile, such as a name that does not
resolve, is told once, at the ConfigMap that remembers addresses; one that is a
namespace's own is told there.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import ObjectKey
from webhook.companion.egress.judge import EgressReport
from webhook.companion.egress.seen import Watched
from webhook.companion.means import Means
from webhook.egress.engines.detect import DetectedEngines
from webhook.egress.reasons import EgressReason, Finding

_AGAIN: Final = timedelta(hours=1)
"""How long API servers keep Events."""


class Telling:
    """Announces findings; remembers what was told."""

    def __init__(self, means: Means, watched: Watched, home: ObjectKey) -> None:
        """Takes what it tells with, who is told, and the ConfigMap of addresses."""
        self._means, self._watched = means, watched
        self._home = ObjectReference("v1", "ConfigMap", home.namespace, home.name, "")
        self._told: dict[tuple[str, EgressReason, str], datetime] = {}

    def tell(self, report: Mapping[str, EgressReport], now: datetime) -> None:
        """Announces each finding that is new, or that Events have forgotten."""
        if not self._means.may_act():
            return
        seen = set()
        announce = self._means.announcer.event
        for subject, finding in self._findings(report):
            about = (subject.namespace, finding.reason, finding.subject)
            seen.add(about)
            told = self._told.get(about)
            if told is not None and now - told < _AGAIN:
                continue
            announce(subject, finding.reason, _sentence(finding), now=now)
            self._told[about] = now
        # What comes back within the hour is not news.
        self._told = {
            about: at
            for about, at in self._told.items()
            if about in seen or now - at < _AGAIN
        }

    def _findings(
        self, report: Mapping[str, EgressReport]
    ) -> Iterator[tuple[ObjectReference, Finding]]:
        everywhere = {f for one in report.values() for f in one.shared}
        yield from ((self._home, f) for f in sorted(everywhere) if _is_news(f))
        places = self._watched.places.items()
        for name, one in report.items():
            place = places.get(ObjectKey("", name))
            for finding in one.findings if place else ():
                if place and finding not in one.shared and _is_news(finding):
                    yield place.subject, finding


def section(
    report: Mapping[str, EgressReport], others: DetectedEngines
) -> dict[str, Any]:
    """For the status: reasons, subjects and counts; no address, no time of a lookup."""
    found = [
        {"reason": one.reason, "subject": one.subject} for one in _of_cluster(others)
    ]
    return {
        "engines": {
            engine: {"unseen": list(unseen)}
            for engine, unseen in others.engines.items()
        },
        "findings": found,
        "namespaces": {
            name: {
                "mode": one.mode,
                "reason": one.reason,
                "policies": one.policies,
                "findings": [
                    {"reason": f.reason, "subject": f.subject} for f in one.findings
                ],
            }
            for name, one in sorted(report.items())
        },
    }


def _of_cluster(others: DetectedEngines) -> Iterator[Finding]:
    if others.enforced is False:
        message = "no network plugin that enforces NetworkPolicy shows itself"
        yield Finding(EgressReason.ENFORCEMENT_UNKNOWN, "cluster", message)


def _is_news(finding: Finding) -> bool:
    """That no server is needed is nothing to warn of."""
    return finding.reason is not EgressReason.NO_NETWORK_NEEDED


def _sentence(finding: Finding) -> str:
    return finding.message[:1].upper() + finding.message[1:] + "."
