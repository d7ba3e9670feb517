"""The words of this concern: where its objects are, what is wrong, what was done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from webhook.injection.names import DOMAIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from certs.plan import Cause
    from certs.state import RotationPhase, State

ROTATE_ANNOTATION: Final = f"{DOMAIN}/rotate"
"""On the state Secret: any new value asks for a rotation."""


class Problem(StrEnum):
    """Why something could not be done: metric label, log field, Event reason."""

    STATE_MISSING = "StateMissing"
    STATE_FOREIGN = "StateForeign"
    STATE_NEWER = "StateNewer"
    PAIR_MISSING = "PairMissing"
    PAIR_FOREIGN = "PairForeign"
    CONFIGURATION_MISSING = "ConfigurationMissing"
    CLOCK = "Clock"
    API = "Api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The names of the objects concerned.

    Attributes:
        namespace: Of the Service and both Secrets.
        service: The webhook's Service.
        configuration: The MutatingWebhookConfiguration.
        state_secret: Mounted nowhere.
        pair_secret: Mounted by the webhook's replicas.
    """

    namespace: str
    service: str
    configuration: str
    state_secret: str
    pair_secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Where time comes from.

    Attributes:
        wall: UTC.
        steady: Seconds that nobody sets; None for a process that does one pass only and
            so has no memory of its own.
    """

    wall: Callable[[], datetime]
    steady: Callable[[], float] | None


@dataclass(frozen=True, slots=True)
class Complaint:
    """A problem with the sentence a person reads."""

    problem: Problem
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one step found and did.

    Attributes:
        phase: Where the rotation stands.
        state: As last read.
        done: The writes made, in order.
        complaints: What could not be done.
        settled: One generation is served and trusted alone.
        again: When to look again though nothing happens, UTC.
    """

    phase: RotationPhase
    state: State
    done: tuple[Cause, ...] = ()
    complaints: tuple[Complaint, ...] = ()
    settled: bool = False
    again: datetime | None = None

    @property
    def in_order(self) -> bool:
        """Nothing left to do and nothing in the way."""
        return self.settled and not self.complaints
