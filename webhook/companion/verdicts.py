"""What the auditor says about a pod: one closed vocabulary, and the rule behind it.

Pure. A value is the metric's label, the Event's reason and the command line's column.
"""

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from webhook.companion.seen import TaskPod
from webhook.injection.reasons import InjectionReason


class AuditReason(StrEnum):
    """Why a task pod of a compute namespace has the keys, or has not."""

    INJECTED = "Injected"
    ALREADY_REFERENCED = "AlreadyReferenced"
    OPTED_OUT = "OptedOut"
    CREATED_BEFORE_LABEL = "CreatedBeforeLabel"
    MISSED = "Missed"
    WRONG_LABELS = "WrongLabels"
    NO_TASK_CONTAINER = "NoTaskContainer"

    @property
    def sentence(self) -> str:
        """One sentence for an Event or a table."""
        return _SENTENCES[self]

    @property
    def is_missed(self) -> bool:
        """Whether somebody meant the pod to have the keys, and it has not."""
        return self in _MISSED


_MISSED = frozenset(
    {AuditReason.MISSED, AuditReason.WRONG_LABELS, AuditReason.NO_TASK_CONTAINER}
)

_SENTENCES = MappingProxyType(
    {
        AuditReason.INJECTED: "The task containers were given the tracking keys.",
        AuditReason.ALREADY_REFERENCED: (
            "The pod refers to the tracking Secret by itself."
        ),
        AuditReason.OPTED_OUT: "The pod's label switches injection off.",
        AuditReason.CREATED_BEFORE_LABEL: (
            "The pod is older than the namespace's label; a new one gets the keys."
        ),
        AuditReason.MISSED: (
            "The pod runs without the tracking keys: when it was created, the API "
            "server did not get an answer from the webhook."
        ),
        AuditReason.WRONG_LABELS: (
            "The pod runs without the tracking keys: its label ray.io/node-type or "
            "spark-role has a value that no task pod has."
        ),
        AuditReason.NO_TASK_CONTAINER: (
            "The pod runs without the tracking keys: its labels mark a task pod, but "
            "no container is recognizable as Ray's or Spark's."
        ),
    }
)

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
