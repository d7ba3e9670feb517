"""One turn of the concern: look, plan, write, and again until nothing is due."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from certs.codec import NewerFormatError, encode_pair, encode_state
from certs.issue import issue
from certs.plan import RotationPlan, RotationStep, Stage, WriteBundle, WritePair
from certs.recover import recover
from certs.rotation import plan
from certs.state import ReplicaCertificate, State
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Conflict
from webhook.cluster.resources import SECRET, WEBHOOK_CONFIGURATION
from webhook.companion.certificates.handshake import Address
from webhook.companion.certificates.look import Look, Looker
from webhook.companion.certificates.words import (
    Clocks,
    Complaint,
    Outcome,
    Place,
    Problem,
)

if TYPE_CHECKING:
    from datetime import datetime

    from certs.model import Generation
    from certs.plan import Cause
    from certs.policy import CertificatePolicy
    from webhook.cluster.interface import Json, KubeClient

_LOOKS: Final = 8
"""Looks in one step; a first installation takes five."""

_UNDER_WAY: Final = timedelta(seconds=5)
"""How old the API server's time may be when ours is read: it is in whole seconds, and
an answer takes its time."""

Prober = Callable[[tuple[Address, ...], bytes], tuple[ReplicaCertificate, ...]]
"""Asks replicas for their certificate, given the bundle that API servers have."""


@dataclass(slots=True)
class Certificates:
    """Issues, stages, switches and retires certificates through the cluster's ports."""

    resources: KubeClient
    place: Place
    policy: CertificatePolicy
    clocks: Clocks
    probe: Prober
    issue: Callable[[CertificatePolicy, datetime], Generation] = issue
    _looker: Looker = field(init=False)

    def __post_init__(self) -> None:
        """Start without any memory."""
        self._looker = Looker(self.resources, self.place, self.clocks)

    def step(self) -> Outcome:
        """Write what is due, until a look finds nothing due or a write is refused.

        Returns:
            What was done. A lost race is no complaint: the next look sees the winner.

        Raises:
            ClusterError: The state could not be read, so nothing could be decided.
        """
        done: list[Cause] = []
        outcome, moved = self._turn(done)
        for _ in range(_LOOKS - 1):
            if not moved:
                break
            try:
                outcome, moved = self._turn(done)
            except ClusterError as error:
                # What was written until now is told all the same.
                failed = Complaint(Problem.API, str(error))
                outcome = replace(outcome, complaints=(failed,), settled=False)
                break
        return replace(outcome, done=tuple(done))

    def _turn(self, done: list[Cause]) -> tuple[Outcome, bool]:
        """One look and its writes, and whether another look will see something new."""
        try:
            look = self._looker.look()
        except NewerFormatError as error:
            newer = Complaint(Problem.STATE_NEWER, str(error))
            state = State()
            return Outcome(phase=state.phase, state=state, complaints=(newer,)), False
        doubts = self._doubts(look)
        decided = recover(look.state, look.seen) if doubts else self._plan(look)
        moved, refused = self._write(decided, look, done)
        outcome = Outcome(
            phase=decided.phase,
            state=look.state,
            complaints=(*look.complaints, *doubts, *refused),
            settled=decided.settled,
            again=decided.again,
        )
        return outcome, moved and not refused

    def _plan(self, look: Look) -> RotationPlan:
        decided = plan(look.state, look.seen, self.policy, look.now)
        if not decided.attest or decided.steps:
            # What is due already must not wait for a replica that does not answer.
            return decided
        replicas = self._looker.replicas()
        if replicas is None:
            return decided
        trust = look.seen.trust
        bundle = trust.bundles[0] if trust and trust.bundles else b""
        seen = replace(look.seen, served=self.probe(replicas, bundle))
        return plan(look.state, seen, self.policy, look.now)

    def _doubts(self, look: Look) -> tuple[Complaint, ...]:
        """Ours against the API server's, which is what judges certificates.

        A look that took very long cannot tell: it counts as wrong, and the next one
        tells.
        """
        if look.server_time is None:
            return ()
        ahead = look.now - look.server_time
        bound = 2 * self.policy.skew
        if -bound <= ahead <= bound + _UNDER_WAY:
            return ()
        detail = (
            f"this machine's clock says {look.now:%Y-%m-%d %H:%M:%S}, the API server's "
            f"{look.server_time:%Y-%m-%d %H:%M:%S} (UTC); until they agree, nothing is "
            "issued, switched or dropped"
        )
        return (Complaint(Problem.CLOCK, detail),)

    def _write(
        self, decided: RotationPlan, look: Look, done: list[Cause]
    ) -> tuple[bool, list[Complaint]]:
        """Try every step: one that is refused must not keep back another.

        Returns:
            Whether another look will see something new, and what was refused.
        """
        moved = False
        refused = []
        for step in decided.steps:
            try:
                if self._apply(step, look):
                    done.append(step.cause)
                    moved = True
            except Conflict:
                moved = True
            except ClusterError as error:
                refused.append(Complaint(Problem.API, str(error)))
        return moved, refused

    def _apply(self, step: RotationStep, look: Look) -> bool:
        """One write; False when its object is not there to be written."""
        if isinstance(step, WriteBundle):
            return self._apply_bundle(step.pem, look.configuration)
        if isinstance(step, WritePair):
            return self._apply_data(look.pair_secret, encode_pair(step.generation))
        state = step.state
        if isinstance(step, Stage):
            if look.state_secret is None:
                return False
            state = replace(state, next=self.issue(self.policy, look.now))
        return self._apply_data(look.state_secret, encode_state(state))

    def _apply_data(self, secret: Json | None, data: dict[str, str]) -> bool:
        if secret is None:
            return False
        self.resources.apply(SECRET, {"metadata": _as_read(secret), "data": data})
        return True

    def _apply_bundle(self, pem: bytes, configuration: Json | None) -> bool:
        if configuration is None:
            return False
        text = base64.b64encode(pem).decode()
        entries = [
            {"name": entry["name"], "clientConfig": {"caBundle": text}}
            for entry in configuration["webhooks"]
        ]
        body = {"metadata": _as_read(configuration), "webhooks": entries}
        self.resources.apply(WEBHOOK_CONFIGURATION, body)
        return True


def _as_read(body: Json) -> dict[str, Any]:
    """Address and precondition: the write holds only for the object as it was read."""
    address = metadata.key(body)
    meta = {"name": address.name, "resourceVersion": metadata.resource_version(body)}
    return meta | ({"namespace": address.namespace} if address.namespace else {})
