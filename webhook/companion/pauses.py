"""Pauses of keys by the wall clock, which may be set back. Pure."""

from datetime import datetime, timedelta


class Pauses:
    """Remembers until when each key waits, and never lets it wait for longer.

    Where the clock was set back meanwhile, the pause counts from the new time: a key
    would wait for as long as the clock was wrong. Safe from every thread, as long as
    no two of them have the same key.
    """

    def __init__(self) -> None:
        """Start without any."""
        self._ends: dict[str, tuple[datetime, timedelta]] = {}

    def __contains__(self, key: str) -> bool:
        """Return whether a key's pause was begun, over or not."""
        return key in self._ends

    def begin(self, key: str, now: datetime, pause: timedelta) -> None:
        """Let a key wait from now on."""
        self._ends[key] = now + pause, pause

    def left(self, key: str, now: datetime) -> timedelta:
        """Return how long a key has to wait yet; nothing where no pause was begun."""
        end, pause = self._ends.get(key, (now, timedelta(0)))
        if end > now + pause:
            self.begin(key, now, pause)
            return pause
        return max(end - now, timedelta(0))

    def forget(self, key: str) -> None:
        """Drop a key."""
        self._ends.pop(key, None)
