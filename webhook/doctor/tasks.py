"""Checks of a compute namespace's task pods: admission, what runs, ways out."""

from collections.abc import Iterator
from typing import Final

from webhook.companion.audit import AuditReason
from webhook.companion.observation.reasons import InstallationReason
from webhook.doctor.causes import NO_REPORT, NO_WEBHOOK, STATUS, UNLABELED, Judge
from webhook.doctor.check import Check, Outcome, Symptom, of_reason, seen
from webhook.doctor.facts import AttemptResult, NamespaceFacts
from webhook.egress.reasons import EgressReason

_EXPLAIN: Final = "kubectl tracking explain {subject} -n {namespace}"


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


def _lost(facts: NamespaceFacts) -> Iterator[Symptom]:
    for one in seen(facts.lost):
        subject, _, fields = one.partition(": ")
        yield Symptom(subject, fields)


ADMISSION: Final[tuple[Check[NamespaceFacts], ...]] = (
    Check(
        code="PodSecurityRefuses",
        title="task pods pass Pod Security",
        sentence="Pod Security refuses even a pod that satisfies `restricted`: the "
        "namespace's level or version is none that is known, or a policy is stricter.",
        remedy="kubectl get namespace {namespace} --show-labels",
        judge=_attempted(AttemptResult.POD_SECURITY),
        after=UNLABELED,
    ),
    Check(
        code="QuotaRefuses",
        title="the quota has room for a task pod",
        sentence="The namespace's ResourceQuota refuses a pod that asks for almost "
        "nothing.",
        remedy="kubectl describe resourcequota -n {namespace}",
        judge=_attempted(AttemptResult.QUOTA),
        after=UNLABELED,
    ),
    Check(
        code="AdmissionRefuses",
        title="task pods are admitted",
        sentence="The API server refuses task pods, because of a policy or webhook of "
        "somebody else's.",
        remedy="kubectl get validatingadmissionpolicies,"
        "validatingwebhookconfigurations,mutatingwebhookconfigurations",
        judge=_attempted(AttemptResult.REFUSED, AttemptResult.TERMINATING),
        after=(*UNLABELED, "Terminating"),
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
        after=(*NO_WEBHOOK, *UNLABELED, "NotSelected"),
    ),
    of_reason(
        InstallationReason.KEY_SHADOWED,
        title="tracking keys win",
        remedy=STATUS,
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
    (AuditReason.TOKEN_MISSING, "pods have the token they show", Outcome.FAILURE),
    (AuditReason.OPTED_OUT, "no pod opted out", Outcome.WARNING),
    (AuditReason.CREATED_BEFORE_LABEL, "no pod is older", Outcome.WARNING),
)
PODS: Final[tuple[Check[NamespaceFacts], ...]] = (
    of_reason(
        InstallationReason.PODS_WAITING,
        title="no pod waits for the keys",
        remedy="kubectl describe {subject} -n {namespace}",
        judge=_waiting,
        after=(*NO_REPORT, "ForeignSecret", "QuotaExceeded", "Forbidden", "Refused"),
    ),
    *(
        of_reason(
            reason,
            title=title,
            remedy=_EXPLAIN,
            judge=_audited(reason),
            outcome=outcome,
            after=(*NO_REPORT, "ForeignSecret"),
        )
        for reason, title, outcome in _POD_TITLES
    ),
    of_reason(
        InstallationReason.PODS_OUTDATED,
        title="running pods have the newest keys",
        remedy=STATUS,
        judge=_outdated,
        outcome=Outcome.WARNING,
    ),
    Check(
        code="OperatorWebhookOff",
        title="what a SparkApplication says reaches its pods",
        sentence="spark-operator runs without its webhook, so variables, their sources "
        "and mounts that a SparkApplication asks for never reach its pods. The "
        "tracking keys do.",
        remedy="kubectl get mutatingwebhookconfigurations "
        "# then set webhook.enable in spark-operator's own chart",
        judge=_lost,
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
            after=(*NO_REPORT, *UNLABELED, "SourceMissing", "UriMalformed"),
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
            *NO_REPORT,
            *UNLABELED,
            *(reason for reason, _ in _EGRESS),
            "ForeignSecret",
        ),
    ),
)
