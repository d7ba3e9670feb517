"""Checks of the central sources: there, readable, and right for a tracker."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from webhook.doctor.check import Check, Outcome, Symptom, of_reason, seen
from webhook.doctor.facts import ClusterFacts
from webhook.egress.trackers import DEFAULTS, TRACKING_KEYS, is_url_key
from webhook.mirror.reasons import KeyReason, MirrorReason

_AFTER: Final = ("CompanionAsleep", "ReportMissing", "RightsMissing", "WatchFailed")
_GET: Final = "kubectl get -n {home} {subject}"
_SET: Final = "kubectl edit -n {home} {subject}  # then see `status -o wide`"

_PROBLEMS: Final = (
    (MirrorReason.SOURCE_MISSING, "every source exists", _GET),
    (MirrorReason.SOURCE_UNREADABLE, "every source can be read", _GET),
    (MirrorReason.TOO_LARGE, "the keys fit into a Secret", _SET),
    (MirrorReason.NO_KEYS, "every profile has keys", _SET),
)
"""What keeps a whole profile from being merged."""

_KEYS: Final = (
    (KeyReason.KEY_ABSENT, "sources have the keys that are listed"),
    (KeyReason.VALUE_NOT_TEXT, "values are text"),
    (KeyReason.VALUE_TOO_LONG, "values fit into a variable"),
    (KeyReason.TRAILING_NEWLINE, "values end without a newline"),
    (KeyReason.URI_WITH_SPACE, "URIs have no white space"),
    (KeyReason.URI_WITHOUT_SCHEME, "URIs have a scheme"),
    (KeyReason.URI_MALFORMED, "URIs name a server"),
    (KeyReason.URI_OF_THE_POD, "URIs lead out of the pod"),
)
"""What makes a key useless to a task."""

_KEY_WARNINGS: Final = (
    (KeyReason.KEY_NEEDED, "the tracker's client has every key that it wants"),
    (KeyReason.ALIAS_UNKNOWN, "every alias stands for a key"),
    (KeyReason.ALIAS_CYCLE, "no alias stands for itself"),
    (KeyReason.KEY_RESERVED, "no key has a reserved name"),
    (KeyReason.KEY_NOT_A_VARIABLE, "every key can be a variable"),
    (KeyReason.URI_UNKNOWN_SCHEME, "schemes of URIs are known"),
    (KeyReason.URI_WITH_CREDENTIALS, "URIs hold no credentials"),
)
"""What leaves a key out, or is worth knowing."""


def _problem(reason: MirrorReason) -> Callable[[ClusterFacts], Iterator[Symptom]]:
    def judge(facts: ClusterFacts) -> Iterator[Symptom]:
        for name, profile in seen(facts.report).profiles.items():
            problem = profile.problem
            if problem and problem.reason == reason:
                words = {"subject": problem.detail.split(" ")[0] or "secrets"}
                yield Symptom(f"profile {name}", problem.detail, words)

    return judge


def _key(reason: KeyReason) -> Callable[[ClusterFacts], Iterator[Symptom]]:
    def judge(facts: ClusterFacts) -> Iterator[Symptom]:
        for name, profile in seen(facts.report).profiles.items():
            for one in profile.findings:
                if one.reason == reason:
                    said = f"key {one.key} of profile {name}"
                    yield Symptom(one.source or "secrets", said)

    return judge


def _enforced(facts: ClusterFacts) -> Iterator[Symptom]:
    report = seen(facts.report)
    for key in report.settings.get("enforcedKeys") or ():
        for name, profile in report.profiles.items():
            complete = len(profile.keys) == profile.keys_total
            if profile.in_order and complete and key not in profile.keys:
                yield Symptom(key, f"profile {name} has no such key")


def _trackerless(facts: ClusterFacts) -> Iterator[Symptom]:
    credentials = {key for one in DEFAULTS for key in one.credentials}
    for name, profile in seen(facts.report).profiles.items():
        known = [
            key
            for key in profile.keys
            if key in TRACKING_KEYS or is_url_key(key) or key in credentials
        ]
        if profile.keys and not known and len(profile.keys) == profile.keys_total:
            said = f"it has {', '.join(profile.keys)}"
            yield Symptom(f"profile {name}", said)


def _key_check(reason: KeyReason, title: str, **more: Any) -> Check[ClusterFacts]:
    return of_reason(
        reason, title=title, remedy=_SET, judge=_key(reason), after=_AFTER, **more
    )


SOURCES: Final[tuple[Check[ClusterFacts], ...]] = (
    *(
        of_reason(
            reason, title=title, remedy=remedy, judge=_problem(reason), after=_AFTER
        )
        for reason, title, remedy in _PROBLEMS
    ),
    *(_key_check(reason, title) for reason, title in _KEYS),
    of_reason(
        MirrorReason.ENFORCED_KEY_MISSING,
        title="enforced keys are among the keys",
        remedy="helm upgrade {release} CHART -n {home} --reset-then-reuse-values "
        "--set-json 'injection.enforcedKeys=[]'",
        judge=_enforced,
        after=(*_AFTER, "KeyAbsent", "SourceMissing"),
    ),
    *(
        _key_check(reason, title, outcome=Outcome.WARNING)
        for reason, title in _KEY_WARNINGS
    ),
    Check(
        code="NoTracker",
        title="the keys name a tracking server",
        sentence="No key of the profile tells any known tracker which server to use.",
        remedy="kubectl tracking status -o wide",
        judge=_trackerless,
        outcome=Outcome.WARNING,
        after=(*_AFTER, "KeyAbsent", "SourceMissing"),
    ),
)
