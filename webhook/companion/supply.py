"""What each profile has to give: the newest merge, or the last good one and its age.

Holds no connection; whoever steps passes in what was seen.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from operator import is_

from webhook.companion.seen import SourceSeen
from webhook.mirror.decide import ProfileContent
from webhook.mirror.merge import MergedKeys, merge
from webhook.mirror.profile import Profile, SourceRef
from webhook.mirror.reasons import MirrorReason

Sources = Mapping[SourceRef, SourceSeen | MirrorReason]
"""Each source as seen, or why it is not."""


class Supplies:
    """Remembers the last good content of each profile while the process lives."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        listed: Collection[str],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepares; nothing was seen yet.

        Args:
            profiles: the release's.
            listed: the reserved names that it allows.
            wake: called when a profile gives something else than before.
        """
        self._profiles = profiles
        self._listed = listed
        self._wake = wake
        self._seen: dict[str, tuple[SourceSeen | MirrorReason, ...]] = {}
        self._supplies: dict[str, ProfileContent] = {}
        self._changed: dict[str, datetime] = {}

    def changed(self, profile: str) -> datetime | None:
        """When the newest of a profile's sources last changed, as far as seen."""
        return self._changed.get(profile)

    def refresh(
        self, sources: Sources, *, now: datetime
    ) -> Mapping[str, ProfileContent]:
        """Merges anew what has new sources, and keeps what was good where that fails.

        A source is new when its object is another one: what followers keep of it stays
        the same object until it changes, and to compare a mebibyte costs.
        """
        news = False
        for name, profile in self._profiles.items():
            seen = tuple(
                sources.get(source.ref, MirrorReason.SOURCE_MISSING)
                for source in profile.sources
            )
            if name in self._seen and all(map(is_, seen, self._seen[name])):
                continue
            self._seen[name], news = seen, True
            self._merge(profile, sources, now)
        if news:
            self._wake()
        return dict(self._supplies)

    def _merge(self, profile: Profile, sources: Sources, now: datetime) -> None:
        self._note_change(profile, sources)
        contents = {
            ref: seen.content if isinstance(seen, SourceSeen) else seen
            for ref, seen in sources.items()
        }
        merged = merge(profile, contents, listed=self._listed)
        if isinstance(merged, MergedKeys):
            self._supplies[profile.name] = ProfileContent(merged, None)
            return
        before = self._supplies.get(profile.name, ProfileContent(None, None))
        since = before.since or now
        self._supplies[profile.name] = ProfileContent(before.content, merged, since)

    def _note_change(self, profile: Profile, sources: Sources) -> None:
        for source in profile.sources:
            seen = sources.get(source.ref)
            if isinstance(seen, SourceSeen) and seen.changed:
                before = self._changed.get(profile.name, seen.changed)
                self._changed[profile.name] = max(before, seen.changed)
