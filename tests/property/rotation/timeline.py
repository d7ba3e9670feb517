"""True time, and what is due when; the history that a failure prints."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 1, tzinfo=UTC)


class Violation(AssertionError):  # noqa: N818 - a finding, not an error
    """An invariant did not hold; the message names it, the moment and the history."""


class Timeline:
    """Lets time pass from event to event."""

    def __init__(self) -> None:
        """Nothing is due yet."""
        self.now = START
        self.log: list[str] = []
        self.watchdogs: list[Callable[[str], None]] = []
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0

    def number(self) -> int:
        """One more than the last one."""
        self._count += 1
        return self._count

    def at(self, delay: float, event: Callable[[], None]) -> None:
        """Lets something happen `delay` seconds from now."""
        when = self.now + timedelta(seconds=delay)
        heapq.heappush(self._events, (when, self.number(), event))

    def advance(self, to: datetime) -> None:
        """Lets time pass and everything happen that is due by then."""
        while self._events and self._events[0][0] <= to:
            when, _, event = heapq.heappop(self._events)
            if when > self.now:
                self.now = when
                for watchdog in self.watchdogs:
                    watchdog("time passed")
            event()
        self.now = max(self.now, to)

    def note(self, text: str) -> None:
        """One line of the history."""
        self.log.append(f"{self.now - START} {text}")

    def fail(self, invariant: str) -> NoReturn:
        """The history ends here."""
        lines = "\n".join(self.log)
        raise Violation(f"{invariant} at {self.now - START}\n{lines}")
