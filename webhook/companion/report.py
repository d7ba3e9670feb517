"""The report as people and tools read it: schema 2, cut to what a ConfigMap holds.

Pure. Ages are given as times, so that an idle cluster's report never changes. No value,
digest, address or URI is in it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from webhook import __version__
from webhook.cluster import metadata
from webhook.cluster.interface import Json
from webhook.companion.audit import AuditReason, AuditResult
from webhook.companion.caches import Caches
from webhook.companion.certificate_mirror import TrackingCaResult
from webhook.companion.certificates.controller import KEY as CERTIFICATES
from webhook.companion.certificates.result import CertificateResult
from webhook.companion.egress.controller import EgressResult
from webhook.companion.egress.engine_detection import KEY as ENGINES
from webhook.companion.egress.engine_detection import EngineResult
from webhook.companion.mirror_controller import MirrorResult
from webhook.companion.profiles import ProfileStore
from webhook.companion.results import CompanionResults
from webhook.companion.watches import WatchReason, WatchResult
from webhook.egress.reasons import EgressReason, Finding
from webhook.mirror.reasons import MirrorReason

SCHEMA: Final = 2
"""Grows when a field changes its meaning or goes; a new field alone does not count."""
FIELD: Final = "status.json"
"""The field of the ConfigMap that holds the report."""
LARGEST: Final = 900_000
"""Bytes; a ConfigMap holds 1 MiB."""
_ROOM: Final = {"profiles": 200_000, "namespaces": LARGEST}
"""Bytes that the entries of each section may take of these."""
_NOT_YET: Final = MirrorResult(
    reason=MirrorReason.PENDING, inject="", profile="", keys=(), changed=None
)
"""Of a namespace whose egress was reconciled before its mirror."""
_MOST: Final = 50
"""Entries of one list within an entry; a count beside it says how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSource:
    """What the report is made of.

    Attributes:
        results: what the controllers found.
        profiles: what each profile gives.
        settings: the effective settings, as they are published.
        caches: asked whether pods can be audited.
    """

    results: CompanionResults
    profiles: ProfileStore
    settings: Json
    caches: Caches


def render(source: ReportSource) -> str:
    """Return the report as JSON of at most `LARGEST` bytes.

    Counts by reason are complete. Where the rest does not fit, troubled profiles and
    namespaces come first, in the order of their names, and `truncated` has the number
    of those left out.
    """
    results, profiles = source.results, source.profiles
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "settings": source.settings,
        "audit": _audit(source.caches),
        "reasons": _reasons(results),
        "watches": _watches(results.watches.items()),
        "engines": _engines(results.engines.get(ENGINES)),
        "certificates": _certificates(results.certificates.get(CERTIFICATES)),
        "profiles": {
            name: _profile(profiles, name) for name in sorted(profiles.names())
        },
        "namespaces": _namespaces(results),
    }
    report["total"] = len(report["namespaces"])
    text = _encode(report)
    return text if len(text) <= LARGEST else _encode(_cut(report))


def _cut(report: Json) -> Json:
    """Return as much of the report as there is room for."""
    parts = {name: report[name] for name in ("profiles", "namespaces")}
    head = report | {"profiles": {}, "namespaces": {}, "truncated": dict(_ROOM)}
    left = LARGEST - len(_encode(head))
    cut = {}
    for name, entries in parts.items():
        kept = _fit(entries, min(left, _ROOM[name]))
        left -= len(_encode(kept))
        cut[name] = len(entries) - len(kept)
        head[name] = kept
    return head | {"truncated": {name: count for name, count in cut.items() if count}}


def _fit(entries: Mapping[str, Json], room: int) -> dict[str, Json]:
    """Return as many entries as there is room for, troubled ones first."""
    kept = set()
    for name in sorted(entries, key=lambda name: (entries[name]["inOrder"], name)):
        room -= len(_encode({name: entries[name]}))
        if room < 0:
            break
        kept.add(name)
    return {name: one for name, one in entries.items() if name in kept}


def _audit(caches: Caches) -> str:
    """Return `complete`, or why pods are not audited."""
    if not caches.pods:
        return "off"
    synced = all(one.health.synced for one in caches.pods)
    return "complete" if synced else "PodsUnreadable"


def _reasons(results: CompanionResults) -> Json:
    pods: Counter[str] = Counter()
    injected_by: Counter[str] = Counter()
    for one in results.audits.items().values():
        pods.update(one.counts)
        injected_by.update(one.injected_by)
    return {
        "mirror": _counted(results.mirrors.items().values()),
        "egress": _counted(results.egress.items().values()),
        "pods": dict(sorted(pods.items())),
        "injectedBy": dict(sorted(injected_by.items())),
    }


def _counted(results: Iterable[MirrorResult] | Iterable[EgressResult]) -> Json:
    return dict(sorted(Counter(str(one.reason) for one in results).items()))


def _watches(watches: Mapping[str, WatchResult]) -> Json:
    """Return the watches that fail, and the objects that cannot be read."""
    odd = [
        {"watch": name, "object": str(key), "error": error}
        for name, one in sorted(watches.items())
        for key, error in sorted(one.unprojected.items())
    ]
    return {
        "failing": [
            {"watch": name, "reason": one.reason, "detail": one.detail}
            for name, one in sorted(watches.items())
            if one.reason is WatchReason.WATCH_FAILED
        ],
        "unreadable": len(odd),
        "objects": odd[:_MOST],
    }


def _engines(one: EngineResult | None) -> Json:
    """Return which other engines there are, and what holds for the whole cluster."""
    if one is None:
        return {}
    return {
        "reason": one.reason,
        "unseen": {engine: list(some) for engine, some in one.detected.engines.items()},
        "findings": _findings(one.findings),
    }


def _certificates(one: CertificateResult | None) -> Json:
    if one is None:
        return {}
    return {"reason": one.reason, "inOrder": one.in_order, **one.section()}


def _namespaces(results: CompanionResults) -> dict[str, Json]:
    mirrors, audits = results.mirrors.items(), results.audits.items()
    egress, copies = results.egress.items(), results.tracking_ca.items()
    return {
        name: _with_tracking_ca(
            _namespace(mirrors.get(name, _NOT_YET), audits.get(name), egress.get(name)),
            copies.get(name),
        )
        for name in sorted({*mirrors, *egress})
    }


def _with_tracking_ca(told: Json, copy: TrackingCaResult | None) -> Json:
    if copy is not None:
        told["trackingCa"] = copy.reason
        told["inOrder"] = told["inOrder"] and copy.reason.is_in_order
    return told


def _namespace(
    mirror: MirrorResult, pods: AuditResult | None, egress: EgressResult | None
) -> Json:
    told: Json = {
        "inOrder": mirror.reason.is_in_order,
        "inject": mirror.inject,
        "reason": mirror.reason,
        "profile": mirror.profile,
        "keys": len(mirror.keys),
        "changed": _stamp(mirror.changed),
    }
    if mirror.detail:
        told["detail"] = mirror.detail
    if pods is not None:
        told |= _pods(pods)
        waits = bool(pods.waiting)
        told["inOrder"] = told["inOrder"] and not told["missed"] and not waits
    if egress is not None:
        told["egress"] = {
            "mode": egress.mode,
            "reason": egress.reason,
            "policies": egress.policies,
            "findings": _findings(egress.findings),
            "findingsTotal": len(egress.findings),
        }
        told["inOrder"] = told["inOrder"] and egress.reason.is_in_order
    return told


def _findings(findings: Sequence[Finding]) -> list[Json]:
    return [{"reason": one.reason, "subject": one.subject} for one in findings[:_MOST]]


def _pods(one: AuditResult) -> Json:
    counts = {reason.value: count for reason, count in sorted(one.counts.items())}
    missed = sum(n for reason, n in one.counts.items() if reason.is_missed)
    told: Json = {"pods": counts, "missed": missed}
    if one.injected_by:
        told["injectedBy"] = dict(sorted(one.injected_by.items()))
    if one.without_keys:
        told["missedPods"] = [
            {"reason": reason, "subject": name}
            for name, reason in one.without_keys[:_MOST]
        ]
    if one.waiting:
        told |= {"waiting": len(one.waiting), "waitingPods": one.waiting[:_MOST]}
    if one.outdated:
        told["outdated"] = {"pods": one.outdated, "oldest": _stamp(one.oldest)}
    if one.shadowed:
        told["shadowed"] = dict(islice(one.shadowed.items(), _MOST))
    return told


def _profile(profiles: ProfileStore, name: str) -> Json:
    supply = profiles.content(name)
    content, problem = (supply.content, supply.problem) if supply else (None, None)
    findings = supply.findings if supply else ()
    keys = list(content.data) if content else []
    told: Json = {
        "inOrder": problem is None,
        "keys": keys[:_MOST],
        "keysTotal": len(keys),
        "sourceChanged": _stamp(profiles.changed(name)),
        "findings": [
            {"reason": one.reason, "key": one.key, "source": str(one.source or "")}
            for one in findings[:_MOST]
        ],
        "findingsTotal": len(findings),
    }
    if supply is not None and problem is not None:
        told["problem"] = {
            "reason": problem.reason,
            "detail": problem.detail,
            "since": _stamp(supply.since),
        }
    return told


def _encode(report: Json) -> str:
    return json.dumps(report, separators=(",", ":"))


def _stamp(time: datetime | None) -> str | None:
    return metadata.format_time(time) if time else None


def is_in_order(report: Json) -> bool:
    """Return whether nobody has to look into anything that the report tells.

    Of all namespaces the counts by reason are asked: they are complete also where the
    report was cut.
    """
    watches, asked = report["watches"], report.get("asked")
    if watches["failing"] or watches["unreadable"] or not report["companion"]["leader"]:
        return False
    if not all(one["inOrder"] for one in report["profiles"].values()):
        return False
    if "problems" in report["certificates"]:
        return False
    if asked is not None:
        return any(one["inOrder"] for one in report["namespaces"].values())
    reasons = report["reasons"]
    return (
        all(MirrorReason(one).is_in_order for one in reasons["mirror"])
        and all(EgressReason(one).is_in_order for one in reasons["egress"])
        and not any(AuditReason(one).is_missed for one in reasons["pods"])
    )
