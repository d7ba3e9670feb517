"""What is wrong by the companion's own report. Pure."""

from collections import Counter
from collections.abc import Iterator

from webhook.companion.audit import AuditReason
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.observation.published import (
    PublishedNamespace,
    PublishedProfile,
    PublishedReport,
    PublishedWatches,
)
from webhook.companion.observation.reasons import InstallationReason
from webhook.companion.observation.trouble import (
    Trouble,
    error,
    known,
    pods,
    told,
    warning,
)
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.companion.watches import WatchReason
from webhook.egress.reasons import EgressReason
from webhook.mirror.certificates import TrackingCaReason
from webhook.mirror.reasons import KeyReason, MirrorReason


def of_report(
    report: PublishedReport | Unknown, only: frozenset[str]
) -> Iterator[Trouble]:
    """Yield what is wrong: the profiles first, then namespace by namespace.

    Args:
        report: as it was read.
        only: the namespaces to look at; empty means all.
    """
    if isinstance(report, Unknown):
        refused = report.reason is UnknownReason.RIGHT_MISSING
        reason = InstallationReason.NOT_READABLE
        if not refused:
            reason = InstallationReason.REPORT_MISSING
        yield error(reason, "report", report.sentence)
        return
    yield from _certificates(report)
    yield from _watches(report.watches)
    for name, profile in report.profiles.items():
        yield from _profile(name, profile)
    for name, one in report.namespaces.items():
        if not only or name in only:
            yield from _namespace(name, one)
    yield from _beyond(report, only)
    if report.audit != "complete":
        say = warning if report.audit == "off" else error
        yield say(InstallationReason.PODS_NOT_AUDITED, "audit", report.audit)


def _beyond(report: PublishedReport, only: frozenset[str]) -> Iterator[Trouble]:
    """Yield what is known of namespaces that are not in the report."""
    cut = report.truncated.get("namespaces", 0)
    for name in sorted(only - report.namespaces.keys()):
        reason = InstallationReason.NAMESPACE_UNKNOWN
        if cut:
            reason = InstallationReason.REPORT_TRUNCATED
        yield error(reason, name, namespace=name)
    if cut and not only:
        detail = f"{cut} of {report.total} are left out"
        yield warning(InstallationReason.REPORT_TRUNCATED, "report", detail)
        yield from _untold(report)


def _untold(report: PublishedReport) -> Iterator[Trouble]:
    """Yield the reasons of namespaces that there was no room for."""
    there = report.namespaces.values()
    mirrors = Counter(one.reason for one in there)
    egress = Counter(one.egress.reason for one in there if one.egress)
    vocabularies: tuple[
        tuple[type[MirrorReason] | type[EgressReason], dict[str, int], Counter[str]],
        ...,
    ] = (
        (MirrorReason, report.reasons.mirror, mirrors),
        (EgressReason, report.reasons.egress, egress),
    )
    for kind, counts, shown in vocabularies:
        for word in counts:
            reason, more = known(kind, word), counts[word] - shown[word]
            if more > 0 and (reason is None or not reason.is_in_order):
                yield told(reason, word, f"{more} namespaces more")


def _certificates(report: PublishedReport) -> Iterator[Trouble]:
    found = report.certificates
    if not found.problems:
        return
    for word in found.problems:
        reason = known(RotationReason, word)
        yield told(reason, word, "certificates", found.line)


def _watches(watches: PublishedWatches) -> Iterator[Trouble]:
    for one in watches.failing:
        reason = known(WatchReason, one.reason)
        yield told(reason, one.reason, one.watch, one.detail)
    for odd in watches.objects:
        yield error(WatchReason.PROJECTION_FAILED, f"{odd.watch}, {odd.object}")
    if more := watches.unreadable - len(watches.objects):
        yield error(WatchReason.PROJECTION_FAILED, f"{more} objects more")


def _profile(name: str, profile: PublishedProfile) -> Iterator[Trouble]:
    about = f"profile {name}"
    if problem := profile.problem:
        reason = known(MirrorReason, problem.reason)
        yield told(reason, problem.reason, about, problem.detail)
    for one in profile.findings:
        where = f"{one.source}, key {one.key}" if one.source else f"key {one.key}"
        yield told(known(KeyReason, one.reason), one.reason, about, where)


def _namespace(name: str, one: PublishedNamespace) -> Iterator[Trouble]:
    reason = known(MirrorReason, one.reason)
    if reason is None or not reason.is_in_order:
        yield told(reason, one.reason, name, one.detail, namespace=name)
    if one.tracking_ca:
        ca = known(TrackingCaReason, one.tracking_ca)
        if ca is None or not ca.is_in_order:
            yield told(ca, one.tracking_ca, name, namespace=name)
    yield from _egress(name, one)
    for word, count in (one.pods or {}).items():
        said = known(AuditReason, word)
        # Also one that was left out on purpose: whoever asks has to be told.
        if said is None or not said.has_keys:
            names = [found.subject for found in one.missed_pods if found.reason == word]
            yield pods(said, word, name, count, names)
    if one.waiting:
        waiting = InstallationReason.PODS_WAITING
        yield pods(waiting, waiting, name, one.waiting, one.waiting_pods)
    if one.outdated and one.outdated.pods:
        outdated = InstallationReason.PODS_OUTDATED
        yield pods(outdated, outdated, name, one.outdated.pods, ())
    for key, source in one.shadowed.items():
        detail = f"{key} by {source}"
        yield warning(InstallationReason.KEY_SHADOWED, name, detail, namespace=name)


def _egress(name: str, one: PublishedNamespace) -> Iterator[Trouble]:
    if one.egress is None:
        return
    about, reason = f"{name}, egress", known(EgressReason, one.egress.reason)
    for finding in one.egress.findings:
        yield told(
            known(EgressReason, finding.reason),
            finding.reason,
            about,
            finding.subject,
            namespace=name,
        )
    fine = reason is not None and reason.is_in_order
    if not fine and one.egress.reason not in {f.reason for f in one.egress.findings}:
        yield told(reason, one.egress.reason, about, namespace=name)
