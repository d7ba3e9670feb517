"""Which servers each profile's keys name, and until lately named.

A pod that runs dials the server it was started with, whatever the keys say by now. So
a server stays permitted for a grace period after the keys last named it; that is
remembered as long as the process lives.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from webhook.egress.destinations import DerivedDestinations, Destination, derive
from webhook.mirror.merge import MergedKeys


class Needs:
    """Derives, and remembers by profile."""

    def __init__(self, extra: Iterable[Destination], grace: timedelta) -> None:
        """Takes hosts besides those of the keys, and how long a former one stays."""
        self._extra, self._grace = tuple(extra), grace
        self._derived: dict[str, tuple[str, DerivedDestinations]] = {}
        self._former: dict[tuple[str, Destination], datetime] = {}

    def of(
        self, profile: str, content: MergedKeys, now: datetime
    ) -> DerivedDestinations:
        """What a profile's keys name, and for a grace period what they named before."""
        digest, derived = self._derived.get(profile, ("", DerivedDestinations((), ())))
        if digest != content.digest:
            keys = {
                key: value.reveal().decode("utf-8", "replace")
                for key, value in content.data.items()
            }
            before, derived = derived, derive(keys, self._extra)
            self._derived[profile] = content.digest, derived
            for place in set(before.destinations) - set(derived.destinations):
                self._former[profile, place] = now
        former = {k: at for k, at in self._former.items() if now - at < self._grace}
        self._former = former
        ours = sorted(place for name, place in former if name == profile)
        left = [place for place in ours if place not in derived.destinations]
        return DerivedDestinations((*derived.destinations, *left), derived.findings)

    def pause(self, now: datetime) -> float | None:
        """Seconds until the next former server is no longer permitted."""
        ends = (at + self._grace for at in self._former.values())
        return min(((end - now).total_seconds() for end in ends), default=None)
