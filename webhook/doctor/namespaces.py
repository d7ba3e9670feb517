"""Checks of one compute namespace: label, mirror, admission, pods, ways out."""

from collections.abc import Callable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Final

from webhook.companion.audit import AuditReason
from webhook.companion.observation.reasons import InstallationReason
from webhook.doctor.check import Check, Outcome, Symptom, of_reason, seen, there
from webhook.doctor.facts import AttemptResult, NamespaceFacts
from webhook.egress.reasons import EgressReason
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
_STATUS: Final = "kubectl tracking status -n {namespace} -o wide"
_EXPLAIN: Final = "kubectl tracking explain {subject} -n {namespace}"
_SIMILAR: Final = 0.85
"""How alike two names are of which one is probably the other, mistyped."""
_NO_REPORT: Final = (
    "CompanionDown",
    "CompanionMissing",
    "CompanionRefused",
    "CompanionUnschedulable",
    "CompanionImagePull",
    "CompanionCrashing",
    "CompanionAsleep",
    "ReportMissing",
    "RightsMissing",
    "WatchFailed",
)
_NO_WEBHOOK: Final = (
    "ConfigurationMissing",
    "ConfigurationDrifted",
    "TrustMissing",
    "TrustExpired",
    "WebhookMissing",
    "WebhookRefused",
    "WebhookUnschedulable",
    "WebhookImagePull",
    "WebhookCrashing",
    "WebhookDown",
    "ServiceAstray",
    "NoEndpoints",
    "WebhookPortBlocked",
    "ReplicaUnreachable",
    "LeafExpired",
    "LeafNameMismatch",
    "CaBundleMismatch",
)
_UNLABELED: Final = (
    "NamespaceMissing",
    "LabelMistyped",
    "NotLabeled",
    "LabelUnknown",
    "NotAllowed",
    "ExcludedNamespace",
    "Terminating",
)

Judge = Callable[[NamespaceFacts], Iterator[Symptom]]


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


def _attempted(*results: AttemptResult) -> Judge:
    def judge(facts: NamespaceFacts) -> Iterator[Symptom]:
        for one in seen(facts.attempts):
            if one.result in results:
                yield Symptom(one.kind, one.said)

    return judge


def _hidden(facts: NamespaceFacts) -> Iterator[Symptom]:
    for one in seen(facts.attempts):
        for key, source in one.hidden.items():
            yield Symptom(one.kind, f"{key} comes from {source}")
    if facts.told is not None:
        for key, source in facts.told.shadowed.items():
            yield Symptom(source, f"its older value of {key} wins")


def _audited(reason: AuditReason) -> Judge:
    def judge(facts: NamespaceFacts) -> Iterator[Symptom]:
        seen(facts.cluster.report)
        told = facts.told
        count = ((told.pods if told else None) or {}).get(reason, 0)
        if told is None or not count:
            return
        named = [one.subject for one in told.missed_pods if one.reason == reason]
        subject = f"pod/{named[0]}" if named else f"{count} pods"
        yield Symptom(subject, f"{count} in all" if count > 1 else "")

    return judge


def _waiting(facts: NamespaceFacts) -> Iterator[Symptom]:
    seen(facts.cluster.report)
    if facts.told is not None and facts.told.waiting:
        named = facts.told.waiting_pods
        subject = f"pod/{named[0]}" if named else "pods"
        yield Symptom(subject, f"{facts.told.waiting} in all")


def _outdated(facts: NamespaceFacts) -> Iterator[Symptom]:
    seen(facts.cluster.report)
    if facts.told is not None and facts.told.outdated and facts.told.outdated.pods:
        yield Symptom(f"{facts.told.outdated.pods} pods", "started before the last key")


def _egress(reason: EgressReason) -> Judge:
    def judge(facts: NamespaceFacts) -> Iterator[Symptom]:
        seen(facts.cluster.report)
        egress = facts.told.egress if facts.told else None
        if egress is None:
            return
        subjects = [one.subject for one in egress.findings if one.reason == reason]
        if subjects:
            yield from (Symptom(subject) for subject in subjects)
        elif egress.reason == reason:
            yield Symptom(f"namespace {facts.name}")

    return judge


def _closed(facts: NamespaceFacts) -> Iterator[Symptom]:
    for way in seen(facts.closed):
        to, _, why = way.partition(": ")
        yield Symptom(to, why)


def _ignored(facts: NamespaceFacts) -> Iterator[Symptom]:
    for name in seen(facts.ignored):
        yield Symptom(name, "no operator has said anything about it")


def _of_mirror(
    reason: MirrorReason, title: str, remedy: str, **more: Any
) -> Check[Any]:
    return of_reason(
        reason,
        title=title,
        remedy=remedy,
        judge=_mirror(reason),
        after=(*_NO_REPORT, *more.pop("after", ("NamespaceMissing", "Terminating"))),
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
        after=(*_UNLABELED, "ConfigurationMissing", "ConfigurationDrifted"),
    ),
)

MIRROR: Final[tuple[Check[NamespaceFacts], ...]] = (
    of_reason(
        MirrorReason.UNKNOWN_PROFILE,
        title="its profile exists",
        remedy=f"kubectl label namespace {{namespace}} {PROFILE_LABEL}-",
        judge=_profileless,
        after=(*_NO_REPORT, "NamespaceMissing", "Terminating"),
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
        remedy=_STATUS,
        judge=_stale,
        after=(
            *_NO_REPORT,
            "NamespaceMissing",
            "UnknownProfile",
            *_BY_PROFILE,
        ),
    ),
    *(
        _of_mirror(reason, title, _STATUS)
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
        _of_mirror(reason, title, _STATUS, outcome=Outcome.WARNING)
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
        after=(*_NO_REPORT, *_UNLABELED),
    ),
)

ADMISSION: Final[tuple[Check[NamespaceFacts], ...]] = (
    Check(
        code="PodSecurityRefuses",
        title="task pods pass Pod Security",
        sentence="Pod Security refuses even a pod that satisfies `restricted`: the "
        "namespace's level or version is none that is known, or a policy is stricter.",
        remedy="kubectl get namespace {namespace} --show-labels",
        judge=_attempted(AttemptResult.POD_SECURITY),
        after=_UNLABELED,
    ),
    Check(
        code="QuotaRefuses",
        title="the quota has room for a task pod",
        sentence="The namespace's ResourceQuota refuses a pod that asks for almost "
        "nothing.",
        remedy="kubectl describe resourcequota -n {namespace}",
        judge=_attempted(AttemptResult.QUOTA),
        after=_UNLABELED,
    ),
    Check(
        code="AdmissionRefuses",
        title="task pods are admitted",
        sentence="The API server refuses task pods, because of a policy or webhook of "
        "somebody else's.",
        remedy="kubectl get validatingadmissionpolicies,"
        "validatingwebhookconfigurations,mutatingwebhookconfigurations",
        judge=_attempted(AttemptResult.REFUSED, AttemptResult.TERMINATING),
        after=(*_UNLABELED, "Terminating"),
    ),
    Check(
        code="NotInjected",
        title="task pods get the keys",
        sentence="A task pod, created in a dry run, came back without the keys: API "
        "servers do not get the webhook's answer. Where all else is in order, a "
        "firewall keeps them from its port.",
        remedy="kubectl get --raw /metrics | grep -e webhook_fail_open_count "
        "-e webhook_admission_duration_seconds_count",
        judge=_attempted(AttemptResult.PLAIN),
        after=(*_NO_WEBHOOK, *_UNLABELED, "NotSelected"),
    ),
    of_reason(
        InstallationReason.KEY_SHADOWED,
        title="tracking keys win",
        remedy=_STATUS,
        judge=_hidden,
        outcome=Outcome.WARNING,
    ),
)

_POD_TITLES: Final = (
    (AuditReason.MISSED, "no pod was missed", Outcome.FAILURE),
    (AuditReason.WRONG_LABELS, "pods' labels are those of tasks", Outcome.FAILURE),
    (AuditReason.NO_TASK_CONTAINER, "task containers are recognized", Outcome.FAILURE),
    (AuditReason.REFERENCE_MISSING, "pods refer to the mirror", Outcome.FAILURE),
    (AuditReason.FOREIGN_MIRROR, "pods have the release's keys", Outcome.FAILURE),
    (AuditReason.OPTED_OUT, "no pod opted out", Outcome.WARNING),
    (AuditReason.CREATED_BEFORE_LABEL, "no pod is older", Outcome.WARNING),
)

PODS: Final[tuple[Check[NamespaceFacts], ...]] = (
    of_reason(
        InstallationReason.PODS_WAITING,
        title="no pod waits for the keys",
        remedy="kubectl describe {subject} -n {namespace}",
        judge=_waiting,
        after=(*_NO_REPORT, "ForeignSecret", "QuotaExceeded", "Forbidden", "Refused"),
    ),
    *(
        of_reason(
            reason,
            title=title,
            remedy=_EXPLAIN,
            judge=_audited(reason),
            outcome=outcome,
            after=(*_NO_REPORT, "ForeignSecret"),
        )
        for reason, title, outcome in _POD_TITLES
    ),
    of_reason(
        InstallationReason.PODS_OUTDATED,
        title="running pods have the newest keys",
        remedy=_STATUS,
        judge=_outdated,
        outcome=Outcome.WARNING,
    ),
    Check(
        code="OperatorIgnores",
        title="operators act on what is there",
        sentence="No operator has acted on it for a minute: KubeRay or spark-operator "
        "does not run, or watches other namespaces, so no task pod is made.",
        remedy="kubectl get deployments -A -l "
        "'app.kubernetes.io/name in (kuberay-operator,spark-operator)' -o yaml",
        judge=_ignored,
    ),
)

_EGRESS: Final = (
    (EgressReason.WRITE_REFUSED, "egress policies can be written"),
    (EgressReason.MALFORMED_URI, "keys name servers"),
    (EgressReason.HOST_NEEDED, "every host is known"),
    (EgressReason.UNRESOLVED, "names of servers resolve"),
    (EgressReason.RESOLUTION_STALE, "names resolve now"),
    (EgressReason.PORT_MISMATCH, "the server's pods listen there"),
    (EgressReason.TLS_NAME_MISMATCH, "certificates will be for the name"),
    (EgressReason.UNSAFE_ADDRESS, "DNS answers with a server's address"),
    (EgressReason.DESTINATION_INGRESS_BLOCKED, "the server lets task pods in"),
    (EgressReason.BASELINE_MISSING, "isolation has its baseline"),
    (EgressReason.SELECTOR_UNREADABLE, "policies can be read"),
    (EgressReason.KEYS_UNKNOWN, "destinations are known"),
)
_EGRESS_WARNINGS: Final = (
    (EgressReason.TRUNCATED, "every address is permitted"),
    (EgressReason.OTHER_EGRESS_CONTROLS, "no other engine restricts"),
)

NETWORK: Final[tuple[Check[NamespaceFacts], ...]] = (
    *(
        of_reason(
            reason,
            title=title,
            remedy="kubectl tracking egress plan -n {namespace}",
            judge=_egress(reason),
            outcome=outcome,
            after=(*_NO_REPORT, *_UNLABELED, "SourceMissing", "UriMalformed"),
        )
        for rows, outcome in (
            (_EGRESS, Outcome.FAILURE),
            (_EGRESS_WARNINGS, Outcome.WARNING),
        )
        for reason, title in rows
    ),
    Check(
        code="PolicyBlocks",
        title="policies let task pods out",
        sentence="NetworkPolicies isolate task pods, and none permits a way to the "
        "tracking server.",
        remedy="kubectl tracking egress plan -n {namespace}",
        judge=_closed,
        after=(
            *_NO_REPORT,
            *_UNLABELED,
            *(reason for reason, _ in _EGRESS),
            "ForeignSecret",
        ),
    ),
)
