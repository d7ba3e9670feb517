"""Tracks which servers each profile's keys name, and until lately named.

A pod that runs dials the server it was started with, whatever the keys say by now. So
a server stays permitted for a grace period after the keys last named it; that is
remembered as long as the process lives.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from webhook.egress.destinations import DerivedDestinations, Destination, derive
from webhook.mirror.merge import MergedKeys

_NONE: Final = DerivedDestinations((), ())


@dataclass(slots=True, kw_only=True)
class _Profile:
    """What one profile's keys named.

    Attributes:
        digest: of the keys that `derived` was derived from.
        derived: what they name.
        former: servers that earlier keys named, each with when it was last named.
    """

    digest: str = ""
    derived: DerivedDestinations = _NONE
    former: dict[Destination, datetime] = field(default_factory=dict)


class DestinationTracker:
    """Derives destinations from keys and remembers them by profile; thread-safe."""

    def __init__(self, extra: Iterable[Destination], grace: timedelta) -> None:
        """Take the hosts beside those of the keys, and how long a former one stays."""
        self._extra, self._grace = tuple(extra), grace
        self._lock = threading.Lock()
        self._profiles: dict[str, _Profile] = {}

    def destinations(
        self, profile: str, content: MergedKeys, now: datetime
    ) -> tuple[DerivedDestinations, tuple[Destination, ...]]:
        """Return what a profile's keys name, and what they named besides of late."""
        with self._lock:
            known = self._profiles.setdefault(profile, _Profile())
            if known.digest != content.digest:
                self._derive(known, content, now)
            named = known.derived.destinations
            known.former = {
                one: min(at, now)  # the clock may have been set back
                for one, at in known.former.items()
                if one not in named and now - at < self._grace
            }
            return known.derived, tuple(sorted(known.former))

    def expires_in(self, profile: str, now: datetime) -> float | None:
        """Return the seconds until a former server is no longer permitted."""
        with self._lock:
            former = self._profiles.get(profile, _Profile()).former
            ends = [at + self._grace for at in former.values()]
        return min(((end - now).total_seconds() for end in ends), default=None)

    def _derive(self, known: _Profile, content: MergedKeys, now: datetime) -> None:
        keys = {
            key: value.reveal().decode("utf-8", "replace")
            for key, value in content.data.items()
        }
        before, known.derived = known.derived, derive(keys, self._extra)
        known.digest = content.digest
        known.former |= dict.fromkeys(before.destinations, now)
