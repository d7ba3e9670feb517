"""Checks of the companion: its rights, its clock, its Lease, its report."""

from collections.abc import Iterator
from typing import Final

from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.observation.installation_troubles import ASLEEP_SECONDS
from webhook.companion.observation.published import PublishedReport
from webhook.companion.observation.reasons import InstallationReason
from webhook.companion.watches import WatchReason
from webhook.doctor.check import Check, Outcome, Symptom, of_reason, seen, there
from webhook.doctor.facts import ClusterFacts

_DOWN: Final = (
    "CompanionMissing",
    "CompanionRefused",
    "CompanionUnschedulable",
    "CompanionImagePull",
    "CompanionCrashing",
    "CompanionDown",
)
_LOGS: Final = "kubectl logs -n {home} deployment/{companion}"


def _denied(facts: ClusterFacts) -> Iterator[Symptom]:
    for right in seen(facts.denied):
        yield Symptom(right)


def _clock(facts: ClusterFacts) -> Iterator[Symptom]:
    lease, now = there(facts.seen.lease), facts.time
    if lease and now and lease.renewed:
        ahead = (lease.renewed - now).total_seconds()
        if ahead > ASLEEP_SECONDS:
            said = f"its clock is {ahead:.0f} s ahead of the API server's"
            yield Symptom(lease.holder, said)
            return
    report = facts.report
    if (
        isinstance(report, PublishedReport)
        and RotationReason.CLOCK_DIFFERS in report.certificates.problems
    ):
        yield Symptom("the companion that leads", report.certificates.line)


def _asleep(facts: ClusterFacts) -> Iterator[Symptom]:
    lease, now = there(facts.seen.lease), facts.time or facts.seen.at
    subject = f"Lease {facts.seen.release.companion}"
    if lease is None:
        yield Symptom(subject, "there is none")
    elif not lease.holder or lease.renewed is None:
        yield Symptom(subject, "nobody leads")
    elif (age := (now - lease.renewed).total_seconds()) > ASLEEP_SECONDS:
        yield Symptom(subject, f"{lease.holder} renewed it {age:.0f} s ago")


def _report(facts: ClusterFacts) -> Iterator[Symptom]:
    if there(facts.report) is None:
        yield Symptom(f"ConfigMap {facts.seen.release.report}", "no report yet")


def _watches(facts: ClusterFacts) -> Iterator[Symptom]:
    for one in seen(facts.report).watches.failing:
        yield Symptom(one.watch, one.detail)


def _odd(facts: ClusterFacts) -> Iterator[Symptom]:
    for one in seen(facts.report).watches.objects:
        kind = one.watch.partition(" ")[0]
        yield Symptom(f"{kind} {one.object}", one.error)


def _unaudited(facts: ClusterFacts) -> Iterator[Symptom]:
    said = seen(facts.report).audit
    if said not in ("complete", "off"):
        yield Symptom("the audit", said)


COMPANION: Final[tuple[Check[ClusterFacts], ...]] = (
    Check(
        code="RightsMissing",
        title="the companion has its rights",
        sentence="The companion's ServiceAccount lacks a right that the chart gives "
        "it: a role or a binding was changed or removed.",
        remedy="helm upgrade {release} CHART -n {home} --reset-then-reuse-values",
        judge=_denied,
    ),
    of_reason(
        RotationReason.CLOCK_DIFFERS,
        title="the companion's clock agrees with the API server's",
        remedy="kubectl get pods -n {home} -o wide  # then set the node's clock",
        judge=_clock,
    ),
    of_reason(
        InstallationReason.COMPANION_ASLEEP,
        title="a companion leads",
        remedy="kubectl rollout restart -n {home} deployment/{companion}",
        judge=_asleep,
        after=(*_DOWN, "RightsMissing", "ClockDiffers"),
    ),
    of_reason(
        InstallationReason.REPORT_MISSING,
        title="the companion publishes its report",
        remedy=_LOGS,
        judge=_report,
        after=(*_DOWN, "RightsMissing", "CompanionAsleep"),
    ),
    of_reason(
        WatchReason.WATCH_FAILED,
        title="the companion sees what it has to see",
        remedy=_LOGS,
        judge=_watches,
        after=(*_DOWN, "RightsMissing", "CompanionAsleep"),
    ),
    of_reason(
        WatchReason.PROJECTION_FAILED,
        title="the companion can read every object",
        remedy="kubectl get {subject} -o yaml",
        judge=_odd,
        outcome=Outcome.WARNING,
    ),
    of_reason(
        InstallationReason.PODS_NOT_AUDITED,
        title="task pods are audited",
        remedy=_LOGS,
        judge=_unaudited,
        outcome=Outcome.WARNING,
        after=(*_DOWN, "RightsMissing", "WatchFailed"),
    ),
)
