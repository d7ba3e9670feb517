"""Who stands behind a task pod: its RayCluster, RayJob and RayCronJob, its Deployment.

A user looks at what they made themselves, so that is told as well. Little is asked for
it: a Spark executor's driver is watched anyway, and every other object is asked once
who made it.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from webhook.cluster.errors import Forbidden, NotFound
from webhook.cluster.events import ObjectReference
from webhook.cluster.informer import Informer
from webhook.cluster.interface import KubeClient, ObjectKey
from webhook.cluster.resources import (
    JOB,
    POD,
    RAY_CLUSTER,
    RAY_JOB,
    REPLICA_SET,
    STATEFUL_SET,
    ResourceType,
)
from webhook.companion.projections import TaskPod, controller_of

_REMEMBERED: Final = 10_000
"""Objects whose maker is remembered: each is asked about once."""
_HIGHEST: Final = 5
"""Owners at most above each other: anybody may write a circle of them."""
MADE: Final = MappingProxyType(
    {
        (kind.api_version, kind.name): kind
        for kind in (POD, RAY_CLUSTER, RAY_JOB, JOB, REPLICA_SET, STATEFUL_SET)
    }
)
"""Kinds that something else makes; an owner of any other kind is its user's own."""


class PodOwners:
    """Walks up from a pod; safe from every thread."""

    def __init__(self, client: KubeClient, pods: Sequence[Informer[TaskPod]]) -> None:
        """Take the client and the watched pods."""
        self._client = client
        self._pods = pods
        self._asked = lru_cache(_REMEMBERED)(self._ask)

    def of(self, pod: TaskPod) -> Iterator[ObjectReference]:
        """Yield all that the pod was made for, the nearest first; no pod among it.

        Raises:
            ClusterError: the API server did not answer; without the right to ask, the
                walk just ends earlier.
        """
        owner = pod.owner
        for _ in range(_HIGHEST):
            if owner is None:
                return
            kind = MADE.get((owner.api_version, owner.kind))
            if kind is not POD:
                yield owner
            owner = self._maker(kind, owner) if kind else None

    def _maker(
        self, kind: ResourceType, owner: ObjectReference
    ) -> ObjectReference | None:
        if kind is POD:
            for informer in self._pods:
                found = informer.get(ObjectKey(owner.namespace, owner.name))
                if found is not None and found.uid == owner.uid:
                    return found.owner
        return self._asked(kind, owner)

    def _ask(
        self, kind: ResourceType, owner: ObjectReference
    ) -> ObjectReference | None:
        try:
            body = self._client.get(kind, owner.name, owner.namespace)
        except (NotFound, Forbidden):
            return None  # the right is optional
        return controller_of(body)
