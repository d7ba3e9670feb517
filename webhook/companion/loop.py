"""The one loop: whoever leads lets each concern take its step, again and again.

A concern observes what its followers know, decides what should be, and applies the
difference; it is woken by changes and by the time it asked for. Each has a thread of
its own, so that a slow one never holds another up, and no failure ends a thread.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from webhook.cluster.backoff import Backoff
from webhook.cluster.errors import ClusterError, Throttled
from webhook.companion.means import Log

_STANDBY: Final = 1.0
"""Seconds between two looks of a follower at whether it leads; winning wakes it too."""
_GATHER: Final = 0.01
"""Seconds in which changes that come together are taken together."""


class Concern(Protocol):
    """One thing that the companion keeps in order."""

    @property
    def name(self) -> str:
        """For logs and metrics."""

    def step(self, now: datetime) -> float | None:
        """Observes, decides, applies; idempotent, and safe to be killed anywhere.

        Args:
            now: the time, UTC.

        Returns:
            Seconds until it wants another step at the latest; 0 when it has more to do
            at once, None when only a change can give it something to do.

        Raises:
            ClusterError: this step failed as a whole; it is taken again after a pause.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every runner shares.

    Attributes:
        leads: whether this replica may act now.
        clock: UTC now.
        log: where failures are told.
        failed: counts a failed step of the named concern.
    """

    leads: Callable[[], bool]
    clock: Callable[[], datetime]
    log: Log
    failed: Callable[[str], None]


class Runner:
    """Runs one concern."""

    def __init__(
        self, concern: Concern, woken: threading.Event, surroundings: Surroundings
    ) -> None:
        """Takes the concern, and the event that its followers set on changes."""
        self._concern = concern
        self._woken = woken
        self._shared = surroundings
        self._backoff = Backoff()

    def run(self, stop: threading.Event) -> None:
        """Steps until `stop` is set; whoever sets it wakes the concern too."""
        pause: float | None = 0.0
        while not stop.is_set():
            self._woken.wait(pause)
            if stop.wait(_GATHER):
                return
            self._woken.clear()
            pause = self.step() if self._shared.leads() else _STANDBY

    def step(self) -> float | None:
        """One step; a failure becomes a pause."""
        try:
            pause = self._concern.step(self._shared.clock())
        except ClusterError as error:
            self._tell(error, {"problem": str(error)})
            wait = self._backoff.next()
            return (
                max(wait, error.retry_after) if isinstance(error, Throttled) else wait
            )
        except Exception as error:  # noqa: BLE001 - an error of ours must not end it
            self._tell(error, _places(error))
            return self._backoff.next()
        self._backoff.reset()
        return pause

    def _tell(self, error: Exception, fields: Mapping[str, Any]) -> None:
        self._shared.failed(self._concern.name)
        self._shared.log.line(
            "warning",
            "step-failed",
            {"concern": self._concern.name, "error": type(error).__name__, **fields},
        )


def _places(error: Exception) -> dict[str, Any]:
    """Where it was raised. Its text might quote a value, so it is left out."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return {"at": places}
