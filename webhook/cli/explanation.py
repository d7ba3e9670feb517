"""A pod explained: as it is, or as it would be injected.

The reason of a pod that exists is the auditor's own, by the same function.
"""

from dataclasses import dataclass, replace
from typing import Any

import jsonpatch

from webhook.cli.pods import PodInManifest
from webhook.companion.audit import AuditContext, AuditReason, audit_pod
from webhook.companion.projections import is_candidate, task_pod
from webhook.injection.decision import Decision, decide, is_pod_creation
from webhook.injection.environment import Environment, KnownSources, environment
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL
from webhook.injection.policy import InjectionPolicy
from webhook.injection.reasons import InjectionReason
from webhook.injection.workload import recognize, task_containers
from webhook.reason import Reason


class ExplainReason(Reason):
    """What is said of a pod where nothing of its cluster is known."""

    NOT_INJECTED = (
        "NotInjected",
        "The pod runs without the tracking keys; why, its cluster knows: `kubectl "
        "tracking explain pod/NAME`.",
    )
    NAMESPACE_NOT_LABELED = (
        "NamespaceNotLabeled",
        "The pod runs without the tracking keys: its namespace is not labeled for "
        "injection.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A pod as it is, or as it would be injected.

    Attributes:
        subject: The pod as it came.
        decision: What the webhook would say about it now.
        reason: Why the pod has the keys or not; of one that does not exist yet, the
            decision's.
        containers: Name and environment of each container, in the pod's order.
        tasks: Names of the containers that run the task.
        unread: What could not be read in the cluster, and which right is missing.
    """

    subject: PodInManifest
    decision: Decision
    reason: Reason
    containers: tuple[tuple[str, Environment], ...]
    tasks: tuple[str, ...]
    unread: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Why, for people; a pod that does not exist yet would get it."""
        if self.subject.exists or self.reason is not InjectionReason.INJECTED:
            return self.reason.sentence
        namespace = self.subject.review.namespace
        return (
            "The task containers would be given the tracking keys, if namespace "
            f"{namespace} has the label {INJECT_LABEL}={INJECT_ENABLED}."
        )


def simulated(
    subject: PodInManifest, policy: InjectionPolicy, sources: KnownSources
) -> Explanation:
    """Inject a pod and compute the environment that its containers would have.

    Args:
        subject: The pod.
        policy: The operator's choices.
        sources: What is known of the objects that it refers to.

    Returns:
        The explanation; without containers when it is not about a pod's creation.
    """
    decision = decide(subject.review, policy)
    containers = []
    if is_pod_creation(subject.review):
        pod = jsonpatch.apply_patch(subject.pod, list(decision.patch))
        containers = pod["spec"]["containers"]
    return Explanation(
        subject=subject,
        decision=decision,
        reason=decision.reason,
        containers=tuple((c["name"], environment(c, sources)) for c in containers),
        tasks=tuple(decision.containers),
    )


def standing(
    subject: PodInManifest,
    sources: KnownSources,
    context: AuditContext | ExplainReason | None = None,
    *,
    unread: tuple[str, ...] = (),
) -> Explanation:
    """Explain a pod as it is: nothing is injected, and its reason is the auditor's.

    Args:
        subject: The pod, which exists.
        sources: What is known of the objects that it refers to.
        context: Its namespace, as the auditor knows it; a reason where it does not
            look there, None where nobody knows.
        unread: What of the cluster could not be read.
    """
    decision = decide(subject.review, InjectionPolicy())
    containers = subject.pod["spec"]["containers"]
    workload = recognize(subject.pod)
    tasks = task_containers(subject.pod, workload) if workload else ()
    return Explanation(
        subject=subject,
        decision=decision,
        reason=_reason(subject.pod, context) or decision.reason,
        containers=tuple((c["name"], environment(c, sources)) for c in containers),
        tasks=tuple(containers[index]["name"] for index in tasks),
        unread=unread,
    )


def _reason(
    body: dict[str, Any], context: AuditContext | ExplainReason | None
) -> Reason | None:
    """Return what the auditor says; None about a pod that it does not follow."""
    if not is_candidate(body):
        return InjectionReason.NOT_A_TASK_POD
    # Of a pod that has ended it is still worth knowing why.
    pod = replace(task_pod(body), over=False)
    if isinstance(context, AuditContext):
        return audit_pod(pod, context)
    found = audit_pod(pod, AuditContext(since=None))
    if found is not AuditReason.MISSED:
        return found
    return context or ExplainReason.NOT_INJECTED
