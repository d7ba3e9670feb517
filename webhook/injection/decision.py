"""What one pod gets, and why: the product in one function."""

from typing import Any

import msgspec

from webhook.injection.certificate_mount import certificate_operations
from webhook.injection.names import INJECT_DISABLED, INJECT_LABEL
from webhook.injection.patch import (
    Operation,
    env_from_operations,
    env_operations,
    mirror_index,
)
from webhook.injection.policy import InjectionPolicy
from webhook.injection.reasons import InjectionReason
from webhook.injection.review import Review
from webhook.injection.stamp import (
    InjectedBy,
    annotation,
    injected_by,
    names_container,
    stamp_operations,
)
from webhook.injection.validate import is_pod
from webhook.injection.workload import (
    MIRROR_POD_ANNOTATION,
    Workload,
    recognize,
    task_containers,
)

NEVER_INJECTED = "kube-system"
"""The cluster's own pods; the release's namespace is excluded as well."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for one pod.

    Attributes:
        reason: Why, from the closed vocabulary.
        workload: The kind of task pod; `None` for every other pod.
        containers: Names of the task containers, in the pod's order.
        patch: RFC 6902 operations on the pod; empty when it stays as it is.
        by: Who gave the keys; `None` for a pod that none of ours gave any.
    """

    reason: InjectionReason
    workload: Workload | None = None
    containers: tuple[str, ...] = ()
    patch: tuple[Operation, ...] = ()
    by: InjectedBy | None = None


def decide(review: Review, policy: InjectionPolicy) -> Decision:
    """Decide about the pod of a review.

    Trusts nothing that the API server's selectors should have settled before: a
    request that they would not have let through gets a reason and no patch.

    Args:
        review: What the API server asks.
        policy: The operator's choices.

    Returns:
        The decision; applying its patch and deciding again yields no patch.
    """
    if not is_pod_creation(review):
        return Decision(reason=InjectionReason.NOT_A_POD_CREATION)
    if not (review.is_typed or is_pod(review.pod)):
        return Decision(reason=InjectionReason.MALFORMED_POD)
    if review.namespace in (NEVER_INJECTED, policy.release_namespace):
        return Decision(reason=InjectionReason.EXCLUDED_NAMESPACE)
    return decide_pod(review.pod, policy)


def is_pod_creation(review: Review) -> bool:
    """Whether a review is about a pod that is about to exist."""
    return (review.operation, review.kind, review.subresource) == ("CREATE", "Pod", "")


def decide_pod(pod: dict[str, Any], policy: InjectionPolicy) -> Decision:
    """Decide about a pod that is being created in a compute namespace.

    Args:
        pod: A pod for which `is_pod` holds.
        policy: The operator's choices.

    Returns:
        As `decide`.
    """
    metadata = pod["metadata"]
    if MIRROR_POD_ANNOTATION in (metadata.get("annotations") or {}):
        return Decision(reason=InjectionReason.MIRROR_POD)
    workload = recognize(pod)
    if workload is None:
        return Decision(reason=InjectionReason.NOT_A_TASK_POD)
    if (metadata.get("labels") or {}).get(INJECT_LABEL) == INJECT_DISABLED:
        return Decision(reason=InjectionReason.OPTED_OUT, workload=workload)
    indices = task_containers(pod, workload)
    if not indices:
        return Decision(reason=InjectionReason.NO_TASK_CONTAINER, workload=workload)
    return _inject(pod, workload, indices, policy)


def _inject(
    pod: dict[str, Any],
    workload: Workload,
    indices: tuple[int, ...],
    policy: InjectionPolicy,
) -> Decision:
    metadata, containers = pod["metadata"], pod["spec"]["containers"]
    stamp = annotation(metadata)
    by = injected_by(stamp)
    operations: list[Operation] = []
    names: list[str] = []
    ours: list[str] = []
    for index in indices:
        container = containers[index]
        name, path = container["name"], f"/spec/containers/{index}"
        names.append(name)
        sources = container.get("envFrom")
        present = mirror_index(sources)
        # A reference that no pass of ours put there is the user's: it stays where it
        # is and serves.
        if present is None or names_container(stamp, name):
            ours.append(name)
            operations += env_from_operations(
                f"{path}/envFrom", sources, present, policy
            )
        operations += env_operations(f"{path}/env", container.get("env"), policy)
    if policy.tracking_ca:
        operations += certificate_operations(pod["spec"], indices)
    if ours or operations:
        operations += stamp_operations(metadata, ours, policy, by)
    if operations:
        reason = InjectionReason.INJECTED
    else:
        reason = (
            InjectionReason.ALREADY_INJECTED
            if ours
            else InjectionReason.ALREADY_REFERENCED
        )
    return Decision(
        reason=reason,
        workload=workload,
        containers=tuple(names),
        patch=tuple(operations),
        by=by if ours or operations else None,
    )
