"""Checks of one compute namespace: label, mirror, admission, pods, ways out."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Final

from webhook.companion.observation.reasons import InstallationReason
from webhook.doctor.causes import NO_REPORT, STATUS, UNLABELED, Judge
from webhook.doctor.check import Check, Outcome, Symptom, of_reason, seen, there
from webhook.doctor.facts import NamespaceFacts
from webhook.injection.names import (
    DOMAIN,
    EGRESS_LABEL,
    INJECT_DISABLED,
    INJECT_ENABLED,
    INJECT_LABEL,
    INJECTED_LABEL,
    PROFILE_LABEL,
    RELEASE_LABEL,
)
from webhook.mirror.reasons import MirrorReason

_LABEL: Final = f"kubectl label namespace {{namespace}} {INJECT_LABEL}=enabled"
_SIMILAR: Final = 0.85
"""How alike two names are of which one is probably the other, mistyped."""


def looks_mistyped(labels: Mapping[str, str]) -> str | None:
    """Return a label's key that was probably meant to be ours, and is not."""
    if INJECT_LABEL in labels:
        return None
    for key in labels:
        if key in _OURS:
            continue
        domain, _, name = key.rpartition("/")
        pair = (domain, DOMAIN) if name == "inject" else (key, INJECT_LABEL)
        if SequenceMatcher(None, *pair).ratio() > _SIMILAR:
            return key
    return None


_OURS: Final = (PROFILE_LABEL, EGRESS_LABEL, INJECTED_LABEL, RELEASE_LABEL)


def _absent(facts: NamespaceFacts) -> Iterator[Symptom]:
    if there(facts.labels) is None:
        yield Symptom(f"namespace {facts.name}", "there is none")


def _mistyped(facts: NamespaceFacts) -> Iterator[Symptom]:
    if key := looks_mistyped(seen(facts.labels)):
        yield Symptom(f"label {key}", f"it should be {INJECT_LABEL}", {"key": key})


def _value(facts: NamespaceFacts) -> Iterator[Symptom]:
    value = seen(facts.labels).get(INJECT_LABEL)
    if value is not None and value not in (INJECT_ENABLED, INJECT_DISABLED):
        yield Symptom(f"label {INJECT_LABEL}", f"its value is {value!r}")


def _unlabeled(facts: NamespaceFacts) -> Iterator[Symptom]:
    value = seen(facts.labels).get(INJECT_LABEL)
    if facts.asked and value in (None, INJECT_DISABLED):
        said = "it has no label" if value is None else "its label says disabled"
        yield Symptom(f"namespace {facts.name}", said)


def _leaving(facts: NamespaceFacts) -> Iterator[Symptom]:
    if facts.terminating:
        yield Symptom(f"namespace {facts.name}")


def _mirror(reason: MirrorReason) -> Judge:
    def judge(facts: NamespaceFacts) -> Iterator[Symptom]:
        seen(facts.cluster.report)
        if facts.told is not None and facts.told.reason == reason:
            yield Symptom(f"namespace {facts.name}", facts.told.detail)

    return judge


_BY_PROFILE: Final = (
    MirrorReason.SOURCE_MISSING,
    MirrorReason.SOURCE_UNREADABLE,
    MirrorReason.TOO_LARGE,
    MirrorReason.NO_KEYS,
    MirrorReason.PROJECTION_FAILED,
    MirrorReason.ENFORCED_KEY_MISSING,
)
"""What a namespace's mirror has from its profile; checked with the sources."""


def _profileless(facts: NamespaceFacts) -> Iterator[Symptom]:
    """A namespace that had keys before keeps them, and its reason is `Stale`."""
    report = seen(facts.cluster.report)
    told = facts.told
    if told is None or "profiles" in report.truncated:
        return
    if told.profile and told.profile not in report.profiles:
        yield Symptom(f"namespace {facts.name}", f"there is no profile {told.profile}")


def _stale(facts: NamespaceFacts) -> Iterator[Symptom]:
    seen(facts.cluster.report)
    told = facts.told
    if told is not None and told.reason in (MirrorReason.STALE, *_BY_PROFILE):
        yield Symptom(f"namespace {facts.name}", told.detail or told.reason)


def _unreported(facts: NamespaceFacts) -> Iterator[Symptom]:
    report = seen(facts.cluster.report)
    enabled = seen(facts.labels).get(INJECT_LABEL) == INJECT_ENABLED
    if enabled and facts.told is None and "namespaces" not in report.truncated:
        yield Symptom(f"namespace {facts.name}", "the report has no line for it")


def _unselected(facts: NamespaceFacts) -> Iterator[Symptom]:
    labels = dict(seen(facts.labels))
    if labels.get(INJECT_LABEL) != INJECT_ENABLED:
        return
    for entry in seen(facts.cluster.entries):
        if not entry.namespaces.matches(labels):
            yield Symptom(entry.name, "its namespaceSelector leaves it out")


def _of_mirror(
    reason: MirrorReason, title: str, remedy: str, **more: Any
) -> Check[Any]:
    return of_reason(
        reason,
        title=title,
        remedy=remedy,
        judge=_mirror(reason),
        after=(*NO_REPORT, *more.pop("after", ("NamespaceMissing", "Terminating"))),
        **more,
    )


LABEL: Final[tuple[Check[NamespaceFacts], ...]] = (
    Check(
        code="NamespaceMissing",
        title="the namespace exists",
        sentence="There is no such namespace.",
        remedy="kubectl get namespaces -l " + INJECT_LABEL,
        judge=_absent,
    ),
    of_reason(
        MirrorReason.TERMINATING,
        title="the namespace stays",
        remedy="kubectl get namespace {namespace} -o yaml  # its conditions",
        judge=_leaving,
        after=("NamespaceMissing",),
    ),
    Check(
        code="LabelMistyped",
        title="the label's key is ours",
        sentence="The namespace has a label that looks like ours and is not, so "
        "nothing is injected.",
        remedy=f"{_LABEL} {{key}}-",
        judge=_mistyped,
        after=("NamespaceMissing",),
    ),
    of_reason(
        InstallationReason.LABEL_UNKNOWN,
        title="the label's value is known",
        remedy=f"{_LABEL} --overwrite",
        judge=_value,
        after=("NamespaceMissing",),
    ),
    Check(
        code="NotLabeled",
        title="the namespace is labeled",
        sentence="The namespace is not labeled for injection, so nothing is injected.",
        remedy=f"{_LABEL} --overwrite",
        judge=_unlabeled,
        after=("NamespaceMissing", "LabelMistyped", "LabelUnknown"),
    ),
    _of_mirror(
        MirrorReason.NOT_ALLOWED,
        "the release allows the namespace",
        "helm upgrade {release} CHART -n {home} --reset-then-reuse-values "
        "--set-json 'namespaces.allowed=[..., \"{namespace}\"]'",
    ),
    _of_mirror(
        MirrorReason.EXCLUDED_NAMESPACE,
        "the namespace is not excluded",
        f"kubectl label namespace {{namespace}} {INJECT_LABEL}-",
    ),
    Check(
        code="NotSelected",
        title="the webhook is called for the namespace",
        sentence="The webhook configuration's namespaceSelector leaves this labeled "
        "namespace out.",
        remedy="kubectl get mutatingwebhookconfiguration {release} -o yaml",
        judge=_unselected,
        after=(*UNLABELED, "ConfigurationMissing", "ConfigurationDrifted"),
    ),
)
MIRROR: Final[tuple[Check[NamespaceFacts], ...]] = (
    of_reason(
        MirrorReason.UNKNOWN_PROFILE,
        title="its profile exists",
        remedy=f"kubectl label namespace {{namespace}} {PROFILE_LABEL}-",
        judge=_profileless,
        after=(*NO_REPORT, "NamespaceMissing", "Terminating"),
    ),
    _of_mirror(
        MirrorReason.FOREIGN_SECRET,
        "the Secret of the mirror's name is ours",
        "kubectl delete secret -n {namespace} michelangelo-tracking",
    ),
    _of_mirror(
        MirrorReason.QUOTA_EXCEEDED,
        "its quota has room for the mirror",
        "kubectl describe resourcequota -n {namespace}",
    ),
    _of_mirror(
        MirrorReason.FORBIDDEN,
        "the companion may write the mirror",
        "kubectl auth can-i patch secrets/michelangelo-tracking -n {namespace} "
        "--as system:serviceaccount:{home}:{companion}",
    ),
    _of_mirror(
        MirrorReason.REFUSED,
        "nobody refuses the mirror",
        "kubectl get validatingadmissionpolicies,validatingwebhookconfigurations",
    ),
    _of_mirror(
        MirrorReason.CONTESTED,
        "the mirror stays as written",
        "kubectl get secret -n {namespace} michelangelo-tracking "
        "--show-managed-fields -o yaml",
    ),
    of_reason(
        MirrorReason.STALE,
        title="its mirror equals the sources",
        remedy=STATUS,
        judge=_stale,
        after=(
            *NO_REPORT,
            "NamespaceMissing",
            "UnknownProfile",
            *_BY_PROFILE,
        ),
    ),
    *(
        _of_mirror(reason, title, STATUS)
        for reason, title in (
            (MirrorReason.UNAVAILABLE, "the API server takes the mirror"),
            (MirrorReason.INTERNAL_ERROR, "no error of ours is in the way"),
        )
    ),
    _of_mirror(
        MirrorReason.NO_SOURCES,
        "its profile has sources",
        "helm upgrade {release} CHART -n {home} --reset-then-reuse-values "
        "--set tracking.existingSecret=NAME",
        outcome=Outcome.WARNING,
    ),
    *(
        _of_mirror(reason, title, STATUS, outcome=Outcome.WARNING)
        for reason, title in (
            (MirrorReason.PENDING, "its mirror is written"),
            (MirrorReason.KEPT_FOR_PODS, "no pod keeps an old mirror"),
            (MirrorReason.PODS_UNREADABLE, "the mirror can be taken away"),
        )
    ),
    Check(
        code="NotReported",
        title="the companion knows the namespace",
        sentence="The namespace is labeled, and the companion's report does not have "
        "it: it was labeled a moment ago, or the companion does not see it.",
        remedy="kubectl logs -n {home} deployment/{companion}",
        judge=_unreported,
        after=(*NO_REPORT, *UNLABELED),
    ),
)
