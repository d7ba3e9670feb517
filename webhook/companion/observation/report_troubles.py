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
    is_fine,
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
    kinds: tuple[type[MirrorReason | EgressReason], ...] = MirrorReason, EgressReason
    counts = (report.reasons.mirror, mirrors), (report.reasons.egress, egress)
    for kind, (all_of_them, shown) in zip(kinds, counts, strict=True):
        for word, count in all_of_them.items():
            more = count - shown[word]
            if more > 0 and not is_fine(kind, word):
                yield told(kind, word, f"{more} namespaces more")


def _certificates(report: PublishedReport) -> Iterator[Trouble]:
    found = report.certificates
    for word in found.problems:
        yield told(RotationReason, word, "certificates", found.line)


def _watches(watches: PublishedWatches) -> Iterator[Trouble]:
    for one in watches.failing:
        yield told(WatchReason, one.reason, one.watch, one.detail)
    for odd in watches.objects:
        yield error(WatchReason.PROJECTION_FAILED, f"{odd.watch}, {odd.object}")
    if more := watches.unreadable - len(watches.objects):
        yield error(WatchReason.PROJECTION_FAILED, f"{more} objects more")


def _profile(name: str, profile: PublishedProfile) -> Iterator[Trouble]:
    about = f"profile {name}"
    if problem := profile.problem:
        yield told(MirrorReason, problem.reason, about, problem.detail)
    for one in profile.findings:
        where = f"{one.source}, key {one.key}" if one.source else f"key {one.key}"
        yield told(KeyReason, one.reason, about, where)


def _namespace(name: str, one: PublishedNamespace) -> Iterator[Trouble]:
    if not is_fine(MirrorReason, one.reason):
        yield told(MirrorReason, one.reason, name, one.detail, namespace=name)
    if one.tracking_ca and not is_fine(TrackingCaReason, one.tracking_ca):
        yield told(TrackingCaReason, one.tracking_ca, name, namespace=name)
    yield from _egress(name, one)
    for word, count in (one.pods or {}).items():
        said = known(AuditReason, word)
        # Also one that was left out on purpose: whoever asks has to be told.
        if said is None or not said.has_keys:
            names = [found.subject for found in one.missed_pods if found.reason == word]
            yield pods(AuditReason, word, name, count, names)
    own = InstallationReason
    if one.waiting:
        yield pods(own, own.PODS_WAITING, name, one.waiting, one.waiting_pods)
    if one.outdated and one.outdated.pods:
        yield pods(own, own.PODS_OUTDATED, name, one.outdated.pods)
    for key, source in one.shadowed.items():
        detail = f"{key} by {source}"
        yield warning(InstallationReason.KEY_SHADOWED, name, detail, namespace=name)


def _egress(name: str, one: PublishedNamespace) -> Iterator[Trouble]:
    if one.egress is None:
        return
    about, reason = f"{name}, egress", one.egress.reason
    for found in one.egress.findings:
        yield told(EgressReason, found.reason, about, found.subject, namespace=name)
    said = {finding.reason for finding in one.egress.findings}
    if reason not in said and not is_fine(EgressReason, reason):
        yield told(EgressReason, reason, about, namespace=name)
