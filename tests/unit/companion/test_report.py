"""The report says what stands where, and is cut to what a ConfigMap holds."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tests.fakes.cluster import FakeCluster
from webhook.cluster.interface import ObjectKey
from webhook.companion.audit import AuditReason, AuditResult
from webhook.companion.caches import Interests, build_caches
from webhook.companion.egress.controller import RULES, EgressResult
from webhook.companion.mirror_controller import MirrorResult
from webhook.companion.profiles import ProfileStore
from webhook.companion.report import LARGEST, ReportSource, render
from webhook.companion.results import CompanionResults
from webhook.companion.watches import WatchReason, WatchResult
from webhook.egress.mode import EgressMode
from webhook.egress.reasons import EgressReason, Finding
from webhook.injection.stamp import InjectedBy
from webhook.mirror.profile import parse_profiles
from webhook.mirror.reasons import MirrorReason

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def mirrored(reason: MirrorReason = MirrorReason.MIRRORED) -> MirrorResult:
    """A namespace's mirror."""
    return MirrorResult(
        reason=reason, inject="enabled", profile="default", keys=("A",), changed=NOW
    )


def permitted(
    reason: EgressReason = EgressReason.EGRESS_READY, findings: int = 0
) -> EgressResult:
    """A namespace's egress."""
    found = tuple(
        Finding(EgressReason.UNRESOLVED, f"host-{n}.example.org", "a name")
        for n in range(findings)
    )
    return EgressResult(reason=reason, mode=EgressMode.ADDITIVE, findings=found)


def source(
    results: CompanionResults | None = None, profiles: str = '{"default": []}'
) -> ReportSource:
    """What a report is made of."""
    caches = build_caches(
        FakeCluster().client(), Interests(release_namespace="release", pods=False)
    )
    return ReportSource(
        results=results or CompanionResults(),
        profiles=ProfileStore(
            parse_profiles(profiles), caches, allowed_keys=(), clock=lambda: NOW
        ),
        settings={"egress": {"mode": "additive"}},
        caches=caches,
    )


def report(results: CompanionResults | None = None) -> dict[str, Any]:
    """The report, parsed."""
    parsed: dict[str, Any] = json.loads(render(source(results)))
    return parsed


def test_an_empty_report_is_whole() -> None:
    """Every section is there from the first moment on."""
    assert report() == {
        "schema": 2,
        "version": report()["version"],
        "settings": {"egress": {"mode": "additive"}},
        "audit": "off",
        "reasons": {"mirror": {}, "egress": {}, "pods": {}, "injectedBy": {}},
        "watches": {"failing": [], "unreadable": 0, "objects": []},
        "engines": {},
        "certificates": {},
        "profiles": report()["profiles"],
        "namespaces": {},
        "total": 0,
    }


def test_a_namespace_has_mirror_egress_and_pods_in_one_place() -> None:
    """With every reason, and times instead of ages."""
    results = CompanionResults()
    results.mirrors.put("ray", mirrored())
    results.egress.put("ray", permitted(findings=1))
    counts = Counter({AuditReason.MISSED: 2, AuditReason.INJECTED: 1})
    audited = AuditResult(
        reason=AuditReason.MISSED,
        counts=counts,
        injected_by=Counter({InjectedBy.POLICY: 1}),
        outdated=1,
        oldest=NOW,
    )
    results.audits.put("ray", audited)
    found = report(results)

    assert found["namespaces"]["ray"] == {
        "inOrder": False,
        "inject": "enabled",
        "reason": "Mirrored",
        "profile": "default",
        "keys": 1,
        "changed": "2026-01-02T03:04:05Z",
        "pods": {"Injected": 1, "Missed": 2},
        "missed": 2,
        "injectedBy": {"policy": 1},
        "outdated": {"pods": 1, "oldest": "2026-01-02T03:04:05Z"},
        "egress": {
            "mode": "additive",
            "reason": "EgressReady",
            "policies": 0,
            "findings": [{"reason": "Unresolved", "subject": "host-0.example.org"}],
            "findingsTotal": 1,
        },
    }
    assert found["reasons"] == {
        "mirror": {"Mirrored": 1},
        "egress": {"EgressReady": 1},
        "pods": {"Injected": 1, "Missed": 2},
        "injectedBy": {"policy": 1},
    }


def test_it_never_outgrows_a_config_map() -> None:
    """Whatever is in order goes first; counts stay complete; it is always the same."""
    results = CompanionResults()
    for number in range(6000):
        name = f"{'n' * 50}-{number:04}"
        results.mirrors.put(name, mirrored())
        reason = EgressReason.UNRESOLVED if number >= 5990 else EgressReason.PENDING
        results.egress.put(name, permitted(reason, findings=5))
    given = source(results)
    text = render(given)
    found = json.loads(text)

    assert len(text) <= LARGEST
    assert len(text) > LARGEST * 0.9
    assert found["total"] == 6000
    assert found["truncated"] == {"namespaces": 6000 - len(found["namespaces"])}
    assert found["reasons"]["egress"] == {"Pending": 5990, "Unresolved": 10}
    troubled = [n for n, one in found["namespaces"].items() if not one["inOrder"]]
    assert len(troubled) == 10
    assert render(given) == text


def test_no_namespace_takes_the_place_of_all_others() -> None:
    """A list within an entry is cut, and says how long it is."""
    results = CompanionResults()
    results.mirrors.put("ray", mirrored())
    results.egress.put("ray", permitted(findings=9000))
    egress = report(results)["namespaces"]["ray"]["egress"]

    assert len(egress["findings"]) == 50
    assert egress["findingsTotal"] == 9000


def test_profiles_leave_room_for_namespaces() -> None:
    """However many there are."""
    results = CompanionResults()
    for number in range(6000):
        results.mirrors.put(f"n-{number:04}", mirrored())
    profiles: dict[str, list[str]] = {f"{'p' * 50}-{n:05}": [] for n in range(9000)}
    given = source(results, json.dumps(profiles | {"default": []}))
    text = render(given)
    found = json.loads(text)

    assert len(text) <= LARGEST
    assert found["truncated"]["profiles"] == 9001 - len(found["profiles"])
    assert len(found["namespaces"]) > 3000


def test_failing_watches_and_odd_objects_are_named() -> None:
    """With their kind and key, and how many there are."""
    results = CompanionResults()
    failed = WatchResult(reason=WatchReason.WATCH_FAILED, detail="no right")
    results.watches.put("services *", failed)
    odd = {ObjectKey("tenant", f"odd-{n:03}"): "ValueError" for n in range(60)}
    unread = WatchResult(reason=WatchReason.PROJECTION_FAILED, unprojected=odd)
    results.watches.put("pods *", unread)
    watches = report(results)["watches"]

    assert watches["failing"] == [
        {"watch": "services *", "reason": "WatchFailed", "detail": "no right"}
    ]
    assert watches["unreadable"] == 60
    assert len(watches["objects"]) == 50
    assert watches["objects"][0] == {
        "watch": "pods *",
        "object": "tenant/odd-000",
        "error": "ValueError",
    }


def test_egress_may_be_known_before_the_mirror() -> None:
    """Then the mirror is pending."""
    results = CompanionResults()
    results.egress.put("ray", permitted())

    assert report(results)["namespaces"]["ray"]["reason"] == "Pending"


def test_what_namespaces_have_in_common_is_no_namespace() -> None:
    """An error of ours while the rules of all were compared has no row of its own."""
    results = CompanionResults()
    results.egress.put("ray", permitted())
    results.egress.put(RULES, permitted(EgressReason.WRITE_REFUSED))
    report = json.loads(render(source(results)))

    assert list(report["namespaces"]) == ["ray"]
    assert report["total"] == 1
    assert report["reasons"]["egress"] == {"EgressReady": 1}
