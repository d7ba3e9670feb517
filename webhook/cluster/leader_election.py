"""One leader among the replicas, by a Lease.

A replica acts only while `Leadership.held`, which runs out by its own clock well before
another replica may take over. Two leaders at once (a stopped process that wakes up) do
no harm all the same: every write of ours is idempotent. Nobody trusts another machine's
clock: a Lease counts as abandoned when it was not renewed for its whole duration *as
observed here*.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from webhook.cluster import metadata
from webhook.cluster.errors import AlreadyExists, ClusterError, Conflict, NotFound
from webhook.cluster.interface import Json, KubeClient, ObjectKey
from webhook.cluster.resources import LEASE

DURATION: Final = 15
"""Seconds until another may take over; what client-go's components use."""
_RENEW: Final = 2.0
"""Seconds between renewals, and between a follower's looks."""
_FENCE: Final = 10.0
"""Seconds after the last renewal until a leader stops: 5 s before another may start."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says: who holds it, for how long, and when that was written."""

    holder: str
    seconds: int
    renewed: str
    transitions: int
    acquired: str
    version: str


def parse_lease(body: Json) -> LeaseRecord:
    """Reads a Lease; one that nobody ever held has an empty holder."""
    spec: dict[str, Any] = body.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        seconds=int(spec.get("leaseDurationSeconds") or DURATION),
        renewed=spec.get("renewTime") or "",
        transitions=int(spec.get("leaseTransitions") or 0),
        acquired=spec.get("acquireTime") or "",
        version=metadata.resource_version(body),
    )


def may_acquire(found: LeaseRecord, *, identity: str, unchanged: float) -> bool:
    """Whether the Lease is ours to write.

    Args:
        found: what it says now.
        identity: who asks.
        unchanged: seconds for which the asker has seen it say exactly this.
    """
    return found.holder in ("", identity) or unchanged >= found.seconds


class LeaderElector:
    """Tries to hold one Lease; `run` in a thread, or `step` by hand."""

    def __init__(
        self,
        resources: KubeClient,
        lease: ObjectKey,
        identity: str,
        *,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares; nothing is asked of the server yet.

        Args:
            resources: the port.
            lease: where the Lease lies.
            identity: who we are, different for each replica.
            clock: UTC now, written into the Lease for people to read.
            wake: called when leadership is won or lost; must not block.
            monotonic: seconds that never go back.
        """
        self._resources = resources
        self._lease = lease
        self._identity = identity
        self._clock = clock
        self._wake = wake
        self._monotonic = monotonic
        self._until = 0.0
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0
        self.failing: ClusterError | None = None

    @property
    def is_leader(self) -> bool:
        """Whether we may act now."""
        return self._monotonic() < self._until

    @property
    def holder(self) -> str:
        """Who held it when we last looked; empty when nobody did."""
        return self._seen.holder if self._seen else ""

    def run(self, stop: threading.Event) -> None:
        """Takes, renews and retakes until `stop`; letting go is `release`."""
        while not stop.wait(self.step()):
            pass

    def step(self) -> float:
        """One attempt to take or renew; returns the seconds until the next."""
        before = self.is_leader
        try:
            self._attempt()
        except (Conflict, AlreadyExists):
            # Somebody else wrote first: look again, at the usual pace.
            self._until = 0.0
        except ClusterError as error:
            # What was held stays held until the fence: the server may be restarting.
            self.failing = error
        else:
            self.failing = None
        if self.is_leader is not before:
            self._wake()
        return _RENEW

    def release(self) -> None:
        """Lets go at once, so that another need not wait; never raises."""
        if not self.is_leader or self._seen is None:
            return
        self._until = 0.0
        try:
            self._write(self._seen, holder="", seconds=1)
        except ClusterError as error:
            self.failing = error

    def take_over(self, seconds: int) -> None:
        """Takes the Lease from whoever holds it and keeps it for `seconds` unrenewed.

        Raises:
            ClusterError: it could not be read or written.
        """
        found = parse_lease(self._get())
        self._write(found, holder=self._identity, seconds=seconds)

    def _get(self) -> Json:
        return self._resources.get(LEASE, self._lease.name, self._lease.namespace)

    def _attempt(self) -> None:
        asked = self._monotonic()
        try:
            found = parse_lease(self._get())
        except NotFound:
            self._create()
            self._until = asked + _FENCE
            return
        if found != self._seen:
            self._seen, self._seen_at = found, asked
        unchanged = asked - self._seen_at
        if may_acquire(found, identity=self._identity, unchanged=unchanged):
            self._write(found, holder=self._identity, seconds=DURATION)
            # Counted from before the request: the server wrote it later than that.
            self._until = asked + _FENCE
        else:
            self._until = 0.0

    def _create(self) -> None:
        now = _micros(self._clock())
        body = self._body(holder=self._identity, seconds=DURATION, transitions=0)
        body["spec"] |= {"acquireTime": now, "renewTime": now}
        self._note(self._resources.create(LEASE, body))

    def _write(self, found: LeaseRecord, *, holder: str, seconds: int) -> None:
        now = _micros(self._clock())
        handed_over = holder != found.holder and bool(holder)
        body = self._body(
            holder=holder,
            seconds=seconds,
            transitions=found.transitions + handed_over,
        )
        body["metadata"]["resourceVersion"] = found.version
        body["spec"] |= {
            "acquireTime": now if handed_over or not found.acquired else found.acquired,
            "renewTime": now,
        }
        self._note(self._resources.apply(LEASE, body))

    def _note(self, body: Json) -> None:
        self._seen, self._seen_at = parse_lease(body), self._monotonic()

    def _body(self, *, holder: str, seconds: int, transitions: int) -> Json:
        return {
            "metadata": {"name": self._lease.name, "namespace": self._lease.namespace},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": seconds,
                "leaseTransitions": transitions,
            },
        }


def _micros(now: datetime) -> str:
    """Kubernetes' MicroTime, which insists on six digits."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
