"""Who stands behind a task pod: its RayCluster and RayJob, its SparkApplication.

A user looks at what they made themselves, so that is told as well. Little is asked for
it: a Spark executor's driver is watched anyway, and of a RayCluster only who made it.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from webhook.cluster.errors import Rejected
from webhook.cluster.events import ObjectReference
from webhook.cluster.informer import Informer
from webhook.cluster.interface import KubeClient, ObjectKey
from webhook.cluster.resources import POD, RAY_CLUSTER, ResourceType
from webhook.companion.projections import TaskPod, controller_of

_REMEMBERED: Final = 10_000
"""RayClusters whose maker is remembered: each is asked about once."""


class PodOwners:
    """Walks up from a pod; safe from every thread."""

    def __init__(self, client: KubeClient, pods: Sequence[Informer[TaskPod]]) -> None:
        """Take the client and the watched pods."""
        self._client = client
        self._pods = pods
        self._maker = lru_cache(_REMEMBERED)(self._ask)

    def of(self, pod: TaskPod) -> Iterator[ObjectReference]:
        """Yield all that the pod was made for, the nearest first; no pod among it.

        Raises:
            Unavailable: the API server did not answer; without the right to ask, the
                walk just ends earlier.
        """
        owner = pod.owner
        if owner is not None and _is_a(POD, owner):
            owner = self._driver_owner(owner)
        if owner is None:
            return
        yield owner
        if _is_a(RAY_CLUSTER, owner):
            maker = self._maker(owner)
            if maker is not None:
                yield maker

    def _driver_owner(self, driver: ObjectReference) -> ObjectReference | None:
        for informer in self._pods:
            found = informer.get(ObjectKey(driver.namespace, driver.name))
            if found is not None and found.uid == driver.uid:
                return found.owner
        return None

    def _ask(self, cluster: ObjectReference) -> ObjectReference | None:
        try:
            body = self._client.get(RAY_CLUSTER, cluster.name, cluster.namespace)
        except Rejected:
            return None  # it is gone, or the right is missing: it is optional
        return controller_of(body)


def _is_a(kind: ResourceType, owner: ObjectReference) -> bool:
    return (owner.api_version, owner.kind) == (kind.api_version, kind.name)
