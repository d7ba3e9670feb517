"""A rotation's plan: the writes that are due, each with its cause."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from certs.model import Generation
from certs.state import RotationPhase, State


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
        state: the state to put it into.
        cause: why.
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
    """What to write now, and when to plan again.

    Attributes:
        phase: the phase before the steps.
        steps: at most one write for each object; they do not depend on each other.
            The bundle comes first: that is what an outage would wait for.
        settled: one generation is served and trusted alone, as it should be.
        attest: the decision depends on what the replicas serve: probe them and plan
            again. Steps returned beside it are due anyway.
        again: when a dwell or a certificate's margin ends, UTC; None when the next
            change can only come from outside.
    """

    phase: RotationPhase
    steps: tuple[RotationStep, ...]
    settled: bool = False
    attest: bool = False
    again: datetime | None = None
