"""Tells people by Kubernetes Events: each thing once, and never a flood.

An Event's name is made of what it says, so that a restarted or a second companion says
nothing twice; all that is needed is the right to create Events.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from webhook.cluster.errors import AlreadyExists, ClusterError
from webhook.cluster.interface import Json, KubeClient
from webhook.cluster.resources import EVENT

_REMEMBERED: Final = 20_000
"""Events remembered as told: one for each of 10 000 pods and its owner; about 2 MB."""
_BURST: Final = 100
"""Events at once: a cluster whose webhook was down tells that much in its first second.
The gauge counts the rest."""
_PER_SECOND: Final = 1.0
_LONGEST_MESSAGE: Final = 1024
"""What the API server accepts."""


class EventType(StrEnum):
    """How Kubernetes classifies Events."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object that an Event is about.

    Attributes:
        api_version: such as `ray.io/v1`.
        kind: such as `RayCluster`.
        namespace: where the Event goes as well; for a Namespace its own name, so that
            its users see it.
        name: the object's name.
        uid: the object's UID.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


class EventRecorder:
    """Writes Events; a failure to do so is counted and never raised."""

    def __init__(
        self,
        resources: KubeClient,
        *,
        component: str,
        instance: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the port, the reporting component's name and this replica's."""
        self._resources = resources
        self._component = component
        self._instance = instance
        self._monotonic = monotonic
        self._told: OrderedDict[str, datetime] = OrderedDict()
        self._tokens = float(_BURST)
        self._filled_at = monotonic()
        self.dropped = 0
        """Events not written: over the rate, or refused by the API server."""

    def event(
        self,
        subject: ObjectReference,
        reason: str,
        message: str,
        *,
        now: datetime,
        type_: EventType = EventType.WARNING,
        again_after: timedelta = timedelta(hours=1),
    ) -> bool:
        """Tells it, unless it was told lately or there is too much to tell.

        An hour, the default of `again_after`, is how long API servers keep Events.

        Returns:
            Whether it is told now: written, or already there.
        """
        name = _name(subject, reason, message)
        told = self._told.get(name)
        if told is not None and now - told < again_after:
            return True
        if not self._admit():
            self.dropped += 1
            return False
        body = self._body(name, subject, reason, message, now, type_)
        try:
            self._resources.create(EVENT, body)
        except AlreadyExists:
            pass  # another companion, or we before a restart
        except ClusterError:
            # No Event is worth stopping for; the status says the same.
            self.dropped += 1
            return False
        self._told[name] = now
        self._told.move_to_end(name)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return True

    def _admit(self) -> bool:
        now = self._monotonic()
        gained = (now - self._filled_at) * _PER_SECOND
        self._tokens, self._filled_at = min(_BURST, self._tokens + gained), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _body(
        self,
        name: str,
        subject: ObjectReference,
        reason: str,
        message: str,
        now: datetime,
        type_: EventType,
    ) -> Json:
        stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "metadata": {"name": name, "namespace": subject.namespace},
            "involvedObject": {
                "apiVersion": subject.api_version,
                "kind": subject.kind,
                "namespace": subject.namespace,
                "name": subject.name,
                "uid": subject.uid,
            },
            "reason": reason,
            "message": message[:_LONGEST_MESSAGE],
            "type": type_.value,
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }


def _name(subject: ObjectReference, reason: str, message: str) -> str:
    said = "\0".join((subject.uid, subject.name, reason, message)).encode()
    digest = hashlib.sha256(said).hexdigest()[:16]
    return f"{subject.name[:200]}.{digest}"
