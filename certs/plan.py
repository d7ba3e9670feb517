"""What a rotation wants written, and why: the values `rotation.plan` returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from certs.model import Generation
    from certs.state import RotationPhase, State

__all__ = [
    "Cause",
    "KeepState",
    "RotationPlan",
    "RotationStep",
    "Stage",
    "WriteBundle",
    "WritePair",
]


class Cause(StrEnum):
    """Why a step is due: metric label and log field."""

    BOOTSTRAP = "Bootstrap"
    RECOVERED = "Recovered"
    RENEWAL = "Renewal"
    REQUESTED = "Requested"
    RENAMED = "Renamed"
    DEFECT = "Defect"
    TRUST_SEEN = "TrustSeen"
    SWITCH = "Switch"
    EMERGENCY = "Emergency"
    SWITCH_SEEN = "SwitchSeen"
    RETIRED = "Retired"
    UNTRUSTED = "Untrusted"
    PRUNED = "Pruned"
    PAIR_DRIFT = "PairDrift"


@dataclass(frozen=True, slots=True)
class Stage:
    """Issue a generation and write it as the state's `next`.

    Attributes:
        state: The state to put it into.
        cause: Why.
    """

    state: State
    cause: Cause


@dataclass(frozen=True, slots=True)
class KeepState:
    """Write this state."""

    state: State
    cause: Cause


@dataclass(frozen=True, slots=True)
class WriteBundle:
    """Write this bundle (PEM) into every entry of the webhook configuration."""

    pem: bytes
    cause: Cause


@dataclass(frozen=True, slots=True)
class WritePair:
    """Write this generation into the serving Secret."""

    generation: Generation
    cause: Cause


RotationStep = Stage | KeepState | WriteBundle | WritePair


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPlan:
    """What to write now, and when to look again.

    Attributes:
        phase: Where the rotation stands before the steps.
        steps: At most one write for each object; they do not depend on each other.
            The bundle comes first: that is what an outage would wait for.
        settled: All is as it should be: one generation, served and trusted alone.
        attest: The decision needs handshakes with the replicas: observe them and plan
            again. Steps returned beside it are due anyway.
        again: When a dwell or a certificate's margin ends, UTC; None when the next
            change can only come from outside.
    """

    phase: RotationPhase
    steps: tuple[RotationStep, ...]
    settled: bool = False
    attest: bool = False
    again: datetime | None = None
