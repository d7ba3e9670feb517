"""Leader election among the replicas, by a Lease.

A replica acts only while `is_leader`, which runs out by its own clock well before
another replica may take over. Two leaders at once (a stopped process that wakes up) do
no harm all the same: every write of ours is idempotent. Nobody trusts another machine's
clock: a Lease counts as abandoned when it was not renewed for its whole duration *as
observed here*.

A renewal is one request: a write whose precondition is the version written last.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from webhook.cluster import metadata
from webhook.cluster.errors import AlreadyExists, ClusterError, Conflict, NotFound
from webhook.cluster.interface import Json, KubeClient, ObjectKey
from webhook.cluster.resources import LEASE, ResourceType

DURATION_SECONDS: Final = 15
"""Seconds until another may take over; what client-go's components use."""
_RENEW_SECONDS: Final = 2.0
"""Seconds between renewals, and between a follower's looks."""
FENCE_SECONDS: Final = 10.0
"""Seconds after the last renewal until a leader stops: 5 s before another may start.
Whoever takes over by force waits as long before it acts."""
_MOST: Final = 2**31 - 1
"""No number in a Lease is larger: an API server would not take the next transition."""
_RELEASE_SECONDS: Final = 2.0
"""Seconds that `release` waits for a renewal under way: a process has to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """A Lease's content: who holds it, for how long, and when that was written."""

    holder: str
    seconds: int
    renewed: str
    transitions: int
    acquired: str
    version: str


def parse_lease(body: Json) -> LeaseRecord:
    """Read a Lease; one that nobody ever held has an empty holder.

    Whatever cannot be read counts as absent: no Lease may end the thread that reads it.
    """
    found = body.get("spec")
    spec: dict[str, Any] = found if isinstance(found, dict) else {}
    holder, renewed, acquired = (
        value if isinstance(value := spec.get(name), str) else ""
        for name in ("holderIdentity", "renewTime", "acquireTime")
    )
    seconds, transitions = (
        value if type(value := spec.get(name)) is int and 0 < value < _MOST else 0
        for name in ("leaseDurationSeconds", "leaseTransitions")
    )
    return LeaseRecord(
        holder=holder,
        seconds=seconds or DURATION_SECONDS,
        renewed=renewed,
        transitions=transitions,
        acquired=acquired,
        version=metadata.resource_version(body),
    )


def may_acquire(found: LeaseRecord, *, identity: str, unchanged: float) -> bool:
    """Return whether the Lease is ours to write.

    Args:
        found: what it says now.
        identity: who asks.
        unchanged: seconds for which the asker has seen it say exactly this.
    """
    return found.holder in ("", identity) or unchanged >= found.seconds


class LeaderElector:
    """Candidate for one Lease, which may be released from another thread."""

    def __init__(
        self,
        client: KubeClient,
        lease: ObjectKey,
        identity: str,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is asked of the server yet.

        Args:
            client: reads and writes the Lease.
            lease: where the Lease lies.
            identity: who we are, different for each replica.
            clock: UTC now, written into the Lease for people to read.
            monotonic: seconds that never go back.
        """
        self._client = client
        self._lease = lease
        self._identity = identity
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._released = False
        self._until = 0.0
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0
        self.failing: ClusterError | None = None
        self.terms = 0
        """How often it has begun to lead."""

    @property
    def is_leader(self) -> bool:
        """Return whether this replica may act now."""
        return not self._released and self._monotonic() < self._until

    @property
    def holder(self) -> str:
        """Return who held it when last seen; empty when nobody did."""
        return self._seen.holder if self._seen else ""

    def step(self) -> float:
        """Try once to take or renew; return the seconds until the next attempt."""
        with self._lock:
            if not self._released:
                self._try()
            if self._released:
                # `release` came meanwhile, and may not have waited for this step.
                self._let_go()
        return _RENEW_SECONDS

    def release(self) -> None:
        """Let go at once and for good, so that another need not wait; never raise.

        A renewal under way is waited for, but not for long: `step` undoes a late one.
        """
        self._released = True
        if self._lock.acquire(timeout=_RELEASE_SECONDS):
            try:
                self._let_go()
            finally:
                self._lock.release()

    def take_over(self, seconds: int) -> None:
        """Take the Lease from whoever holds it and keep it for `seconds` unrenewed.

        The leader so far may go on for `FENCE_SECONDS`.

        Raises:
            ClusterError: it could not be read or written.
        """
        found = parse_lease(self._get())
        self._write(found, holder=self._identity, seconds=seconds)

    def _get(self) -> Json:
        return self._client.get(LEASE, self._lease.name, self._lease.namespace)

    def _try(self) -> None:
        try:
            self._attempt()
        except (Conflict, AlreadyExists):
            # Somebody else wrote first: look again, at the usual pace.
            self._until, self.failing = 0.0, None
        except ClusterError as error:
            # What was held stays held until the fence: the server may be restarting.
            self.failing = error
        else:
            self.failing = None

    def _attempt(self) -> None:
        asked = self._monotonic()
        if self.is_leader and self._seen is not None:
            # What we wrote last is what is there, unless somebody else wrote since.
            with suppress(Conflict, NotFound):
                return self._acquire(self._seen, asked)
        try:
            found = parse_lease(self._get())
        except NotFound:
            return self._acquire(None, asked)
        if found != self._seen:
            self._seen, self._seen_at = found, asked
        unchanged = asked - self._seen_at
        if may_acquire(found, identity=self._identity, unchanged=unchanged):
            return self._acquire(found, asked)
        self._until = 0.0
        return None

    def _acquire(self, found: LeaseRecord | None, asked: float) -> None:
        self._write(found, holder=self._identity, seconds=DURATION_SECONDS)
        # Before anybody may act: who acts looks at it first.
        self.terms += not self.is_leader
        # Counted from before the request: the server wrote it later than that.
        self._until = asked + FENCE_SECONDS

    def _let_go(self) -> None:
        if self._seen is None or self._seen.holder != self._identity:
            return
        try:
            self._write(self._seen, holder="", seconds=1)
        except ClusterError as error:
            self.failing = error

    def _write(self, found: LeaseRecord | None, *, holder: str, seconds: int) -> None:
        """Write the Lease if it still is as found; create it where there was none."""
        now = _micros(self._clock())
        meta = {"name": self._lease.name, "namespace": self._lease.namespace}
        write: Callable[[ResourceType, Json], Json] = self._client.create
        acquired, transitions = now, 0
        if found is not None:
            meta["resourceVersion"] = found.version
            handed_over = holder not in ("", found.holder)
            write = self._client.apply
            transitions = found.transitions + handed_over
            acquired = now if handed_over or not found.acquired else found.acquired
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "leaseTransitions": transitions,
            "acquireTime": acquired,
            "renewTime": now,
        }
        body = write(LEASE, {"metadata": meta, "spec": spec})
        self._seen, self._seen_at = parse_lease(body), self._monotonic()


def _micros(now: datetime) -> str:
    """Format a time as Kubernetes' MicroTime, which insists on six digits."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
