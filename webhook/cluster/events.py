"""Kubernetes Events: each thing once, never a flood, never in the way.

`EventRecorder.event` only queues; `run` writes in threads of its own. Namespaces take
turns, one Event each, so that ten thousand Events of one delay no other's first.

An Event's name is a hash of what it says: a restarted or a second companion says
nothing twice, and all that is needed is the right to create Events.
"""

import hashlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from webhook.cluster.errors import AlreadyExists, ClusterError, Throttled, Unavailable
from webhook.cluster.interface import Json, KubeClient, ObjectKey
from webhook.cluster.resources import EVENT, ResourceType
from webhook.cluster.workqueue import WorkQueue

_AGAIN_AFTER: Final = timedelta(hours=1)
"""API servers keep Events for an hour."""
_REMEMBERED: Final = 20_000
"""Events remembered: one for each of 10 000 pods and its owner; about 2 MB."""
_QUEUED: Final = 5_000
"""Events that wait to be written; about 5 MB."""
_QUEUED_PER_NAMESPACE: Final = 500
_TRIES: Final = 20
"""Attempts to write an Event while nobody answers: some minutes."""
_LONGEST_MESSAGE: Final = 1024
"""What the API server accepts."""
_POLL: Final = 0.5
"""Seconds between two looks of an idle writer at whether it shall stop."""


class EventType(StrEnum):
    """How Kubernetes classifies Events."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
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

    @classmethod
    def to(cls, kind: ResourceType, key: ObjectKey, uid: str = "") -> Self:
        """Return the reference to an object of a kind that the product knows."""
        return cls(
            api_version=kind.api_version,
            kind=kind.name,
            namespace=key.namespace,
            name=key.name,
            uid=uid,
        )


@dataclass(slots=True)
class _Pending:
    """An Event that waits to be written."""

    body: Json
    tries: int = 0


class RateLimits:
    """One token bucket for each key; the least recently used keys are forgotten."""

    def __init__(
        self,
        burst: int,
        per_second: float,
        *,
        monotonic: Callable[[], float],
        keys: int = 4096,
    ) -> None:
        """Fill every bucket with `burst` tokens; each gains `per_second`."""
        self._burst, self._per_second = float(burst), per_second
        self._monotonic = monotonic
        self._keys = keys
        self._buckets: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def take(self, key: object) -> float:
        """Take a token; where there is none, return the seconds until there is one."""
        now = self._monotonic()
        tokens, filled_at = self._buckets.pop(key, (self._burst, now))
        tokens += (now - filled_at) * self._per_second
        tokens = min(self._burst, tokens)
        pause = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
        self._buckets[key] = (tokens if pause else tokens - 1), now
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)
        return pause


class EventRecorder:
    """Queues Events and writes them; safe from every thread.

    The limits are those of client-go's recorder for an object, and of one person's
    attention for a namespace. An Event over them is dropped and counted; like one that
    was written, it is not taken again for an hour.

    Attributes:
        workers: how many threads are to call `run`: one that waits for a server that
            hangs in one namespace keeps no other namespace waiting.
        written: Events written.
        dropped: Events that were not, each counted once: over a limit, refused, or
            nobody answered.
    """

    workers: Final = 2

    def __init__(
        self,
        client: KubeClient,
        *,
        component: str,
        instance: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is written yet.

        Args:
            client: writes Events.
            component: the reporting component's name.
            instance: this replica's.
            monotonic: seconds that never go back.
        """
        self._client = client
        self._component = component
        self._instance = instance
        self._lock = threading.Lock()
        self._seen: OrderedDict[int, datetime] = OrderedDict()
        self._pending: dict[str, deque[_Pending]] = {}
        self._waiting = 0
        self._namespaces = WorkQueue("events", monotonic=monotonic)
        self._per_object = RateLimits(25, 1 / 300, monotonic=monotonic)
        self._per_namespace = RateLimits(100, 1.0, monotonic=monotonic)
        self._overall = RateLimits(100, 20.0, monotonic=monotonic)
        self.written = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Return how many Events wait to be written."""
        with self._lock:
            return self._waiting

    def event(
        self,
        about: ObjectReference,
        reason: str,
        message: str,
        *,
        now: datetime,
        type_: EventType = EventType.WARNING,
    ) -> None:
        """Queue an Event, unless the same was queued within the hour; never block."""
        digest = _digest(about, reason, message)
        identity = int(digest, 16)
        with self._lock:
            seen = self._seen.get(identity)
            if seen is not None and timedelta(0) <= now - seen < _AGAIN_AFTER:
                return
            self._remember(identity, now)
            if self._per_object.take(about) or not self._make_room(about.namespace):
                self.dropped += 1
                return
            body = self._body(digest, about, reason, message, now, type_)
            waiting = self._pending.setdefault(about.namespace, deque())
            waiting.append(_Pending(body))
            self._waiting += 1
            # A namespace with more than one is queued, worked on or kept back already.
            if len(waiting) == 1:
                self._namespaces.add(about.namespace)

    def run(self, stop: threading.Event) -> None:
        """Write what is queued until `stop`, no faster than the API server likes."""
        while not stop.is_set():
            with self._lock:
                pause = self._overall.take(None)
            if pause:
                stop.wait(pause)
            else:
                self.step(_POLL)

    def flush(self) -> None:
        """Write now whatever the limits of the namespaces allow."""
        while self.step():
            pass

    def step(self, timeout: float = 0.0) -> bool:
        """Write the next namespace's next Event; return whether there was one."""
        namespace = self._namespaces.get(timeout)
        if namespace is None:
            return False
        try:
            self._write_next(namespace)
        finally:
            self._namespaces.done(namespace)
        return True

    def _write_next(self, namespace: str) -> None:
        with self._lock:
            pause = self._per_namespace.take(namespace)
            next_ = self._pending[namespace][0]
        if pause:
            self._namespaces.add_after(namespace, pause)
            return
        try:
            self._client.create(EVENT, next_.body)
        except AlreadyExists:
            written, dropped = 0, 0  # another companion, or we before a restart
        except Unavailable as error:
            next_.tries += 1
            if next_.tries < _TRIES:
                wait = error.retry_after if isinstance(error, Throttled) else 0.0
                self._namespaces.retry(namespace, at_least=wait)
                return
            written, dropped = 0, 1
        except ClusterError:
            # No Event is worth stopping for; the status says the same.
            written, dropped = 0, 1
        else:
            written, dropped = 1, 0
        self._namespaces.forget(namespace)
        with self._lock:
            self.written += written
            self.dropped += dropped
            waiting = self._pending[namespace]
            waiting.popleft()
            self._waiting -= 1
            if waiting:
                self._namespaces.add(namespace)
            else:
                del self._pending[namespace]

    def _remember(self, identity: int, now: datetime) -> None:
        self._seen[identity] = now
        self._seen.move_to_end(identity)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _make_room(self, namespace: str) -> bool:
        """Return whether the namespace may queue one more, at the longest's expense."""
        waiting = self._pending.get(namespace, ())
        if len(waiting) >= _QUEUED_PER_NAMESPACE:
            return False
        if self._waiting < _QUEUED:
            return True
        longest = max(self._pending.values(), key=len)
        # The first of a queue may be under way.
        if len(longest) <= max(1, len(waiting)):
            return False
        longest.pop()
        self._waiting -= 1
        self.dropped += 1
        return True

    def _body(
        self,
        digest: str,
        about: ObjectReference,
        reason: str,
        message: str,
        now: datetime,
        type_: EventType,
    ) -> Json:
        stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        name = f"{about.name[:200].rstrip('-.')}.{digest}"
        return {
            "metadata": {"name": name, "namespace": about.namespace},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
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


def _digest(about: ObjectReference, reason: str, message: str) -> str:
    # All of it: who saw only that an object cannot be read does not know its UID.
    said = "\0".join((*astuple(about), reason, message))
    return hashlib.sha256(said.encode(errors="replace")).hexdigest()[:16]
