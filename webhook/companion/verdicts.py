"""What the old auditor says about a pod."""

from datetime import datetime
from types import MappingProxyType

from webhook.companion.audit import AuditReason
from webhook.companion.seen import TaskPod
from webhook.injection.reasons import InjectionReason

_BY_DECISION = MappingProxyType(
    {
        InjectionReason.ALREADY_INJECTED: AuditReason.INJECTED,
        InjectionReason.ALREADY_REFERENCED: AuditReason.ALREADY_REFERENCED,
        InjectionReason.OPTED_OUT: AuditReason.OPTED_OUT,
        InjectionReason.NOT_A_TASK_POD: AuditReason.WRONG_LABELS,
        InjectionReason.NO_TASK_CONTAINER: AuditReason.NO_TASK_CONTAINER,
    }
)


def audited(pod: TaskPod, *, since: datetime | None) -> AuditReason | None:
    """What to say about a pod; None about one that is over or none of ours.

    Args:
        pod: a pod that carries one of the task labels, in a compute namespace.
        since: when the namespace was switched on, as far as known.
    """
    if pod.over:
        return None
    if pod.reason is not InjectionReason.INJECTED:
        return _BY_DECISION.get(pod.reason)
    # The API server's times have whole seconds: within the same one, the pod may have
    # been first.
    if since is not None and pod.created is not None and pod.created <= since:
        return AuditReason.CREATED_BEFORE_LABEL
    return AuditReason.MISSED
