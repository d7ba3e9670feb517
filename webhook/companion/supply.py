"""What each profile has to give: the newest merge, or the last good one and its age.

Holds no connection; whoever steps passes in what was seen.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from webhook.companion.seen import SourceSeen
from webhook.mirror.merge import Merged, merge
from webhook.mirror.plan import Supply
from webhook.mirror.profile import Profile, SourceRef
from webhook.mirror.reasons import MirrorReason

Sources = Mapping[SourceRef, SourceSeen | MirrorReason]
"""Each source as seen, or why it is not."""


class Supplies:
    """Remembers the last good content of each profile while the process lives."""

    def __init__(
        self, profiles: Mapping[str, Profile], *, listed: Collection[str]
    ) -> None:
        """Takes the release's profiles and the reserved names that it allows."""
        self._profiles = profiles
        self._listed = listed
        self._supplies: dict[str, Supply] = {}
        self._changed: dict[str, datetime] = {}

    def changed(self, profile: str) -> datetime | None:
        """When the newest of a profile's sources last changed, as far as seen."""
        return self._changed.get(profile)

    def refresh(self, sources: Sources, *, now: datetime) -> Mapping[str, Supply]:
        """Merges every profile anew and keeps what was good where that fails."""
        contents = {
            ref: seen.content if isinstance(seen, SourceSeen) else seen
            for ref, seen in sources.items()
        }
        for name, profile in self._profiles.items():
            self._note_change(profile, sources)
            merged = merge(profile, contents, listed=self._listed)
            if isinstance(merged, Merged):
                self._supplies[name] = Supply(merged, None)
                continue
            before = self._supplies.get(name, Supply(None, None))
            self._supplies[name] = Supply(before.content, merged, before.since or now)
        return dict(self._supplies)

    def _note_change(self, profile: Profile, sources: Sources) -> None:
        for source in profile.sources:
            seen = sources.get(source.ref)
            if isinstance(seen, SourceSeen) and seen.changed:
                before = self._changed.get(profile.name, seen.changed)
                self._changed[profile.name] = max(before, seen.changed)
