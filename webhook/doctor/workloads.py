"""What keeps the pods of a Deployment of ours away, told apart by its remedy."""

from typing import Final

from webhook.companion.observation.model import ReplicaState, WorkloadState
from webhook.doctor.facts import WorkloadTrouble

_UNPULLED: Final = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
_CRASHING: Final = (
    "CrashLoopBackOff",
    "RunContainerError",
    "StartError",
    "CreateContainerError",
    "OOMKilled",
    "Error",
)
_UNSCHEDULABLE: Final = ("Unschedulable", "SchedulingGated")


def workload_trouble(
    workload: WorkloadState, replicas: tuple[ReplicaState, ...]
) -> WorkloadTrouble:
    """Return why replicas are not ready; nothing where enough are.

    A pod that starts beside ready ones, as in a rollout, is no trouble of its own.
    """
    ready = sum(one.ready for one in replicas)
    if ready and ready >= workload.desired:
        return WorkloadTrouble()
    by: dict[str, list[str]] = {"pulled": [], "crash": [], "node": [], "start": []}
    for one in replicas:
        if one.ready:
            continue
        word = one.problem.partition(":")[0]
        kind = "start"
        if word in _UNPULLED:
            kind = "pulled"
        elif word in _CRASHING:
            kind = "crash"
        elif word in _UNSCHEDULABLE:
            kind = "node"
        by[kind].append(f"pod/{one.name}: {one.problem}")
    nobody = workload.desired > 0 and not replicas
    starting = by["start"] if not ready else []
    if nobody and not workload.refused:
        starting = [f"Deployment {workload.name}: it has no pods"]
    return WorkloadTrouble(
        refused=workload.refused,
        unschedulable=tuple(by["node"]),
        unpulled=tuple(by["pulled"]),
        crashing=tuple(by["crash"]),
        starting=tuple(starting),
    )
