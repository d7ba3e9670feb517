"""What each profile gives: the newest merge of its sources, or the last good one.

A profile is merged anew when a source's object changed, and whoever subscribed is told
when that made a difference.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from operator import is_

from webhook.cluster.interface import ObjectKey
from webhook.companion.caches import Caches
from webhook.companion.projections import SourceContent
from webhook.mirror.decide import ProfileContent
from webhook.mirror.merge import Content, MergedKeys, merge
from webhook.mirror.profile import Profile, SourceRef
from webhook.mirror.reasons import MirrorReason

_NOTHING_YET = ProfileContent()


class ProfileStore:
    """Remembers the last good content of each profile; safe from every thread."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        caches: Caches,
        *,
        allowed_keys: Collection[str],
        clock: Callable[[], datetime],
        certificate: str = "",
    ) -> None:
        """Subscribe to the sources; nothing is merged yet.

        Args:
            profiles: the release's.
            caches: where the sources are.
            allowed_keys: the reserved names that the release allows.
            clock: UTC now.
            certificate: path of the tracking server's CA in task containers, if any.
        """
        self._certificate = certificate
        self._profiles = profiles
        self._caches = caches
        self._allowed_keys = allowed_keys
        self._clock = clock
        self._lock = threading.Lock()
        self._sources: dict[str, tuple[SourceContent | MirrorReason, ...]] = {}
        self._contents: dict[str, ProfileContent] = {}
        self._changed: dict[str, datetime] = {}
        self._on_change: list[Callable[[str], None]] = []
        for ref, informer in caches.sources.items():
            readers = [
                name
                for name, profile in profiles.items()
                if any(source.ref == ref for source in profile.sources)
            ]
            refresh = partial(self._refresh, readers)
            informer.subscribe(refresh, refresh)

    def names(self) -> Iterable[str]:
        """Return the release's profiles."""
        return self._profiles.keys()

    def content(self, name: str) -> ProfileContent | None:
        """Return what a profile gives now; None when there is no such profile."""
        if name not in self._contents and name in self._profiles:
            # Without sources, nothing will ever ask for it; else each change does.
            self._refresh([name])
        return self._contents.get(name)

    def changed(self, name: str) -> datetime | None:
        """Return when the newest of a profile's sources last changed, as far as known.

        It never goes back, so that the loss of a source does not look like a change.
        """
        return self._changed.get(name)

    def subscribe(self, on_change: Callable[[str], None]) -> None:
        """Call back with a profile's name when it gives something else than before."""
        self._on_change.append(on_change)

    def _refresh(self, names: Iterable[str], _: ObjectKey | None = None) -> None:
        for name in names:
            with self._lock:
                changed = self._merge(self._profiles[name])
            if changed:
                for on_change in self._on_change:
                    on_change(name)

    def _merge(self, profile: Profile) -> bool:
        """Merge if a source is another object by now; return whether that changed it.

        A cache keeps the same object until it changes; to compare a mebibyte costs.
        """
        name = profile.name
        before = self._contents.setdefault(name, _NOTHING_YET)
        if not self._are_known(profile):
            return False
        sources = tuple(self._caches.source(one.ref) for one in profile.sources)
        known = self._sources.get(name)
        if known is not None and all(map(is_, sources, known)):
            return False
        self._sources[name] = sources
        self._contents[name] = after = self._merged(profile, sources, before)
        return not _same(before, after)

    def _merged(
        self,
        profile: Profile,
        sources: Iterable[SourceContent | MirrorReason],
        before: ProfileContent,
    ) -> ProfileContent:
        contents: dict[SourceRef, Content | MirrorReason] = {}
        for source, found in zip(profile.sources, sources, strict=True):
            if isinstance(found, MirrorReason):
                contents[source.ref] = found
                continue
            contents[source.ref] = found.content
            if found.changed:
                known = self._changed.get(profile.name, found.changed)
                self._changed[profile.name] = max(known, found.changed)
        merged = merge(
            profile,
            contents,
            listed=self._allowed_keys,
            certificate=self._certificate,
        )
        if isinstance(merged, MergedKeys):
            return ProfileContent(content=merged)
        return ProfileContent(
            content=before.content,
            problem=merged,
            since=before.since or self._clock(),
        )

    def _are_known(self, profile: Profile) -> bool:
        """Return whether each source was listed, or cannot be."""
        informers = (self._caches.sources.get(one.ref) for one in profile.sources)
        health = [informer.health for informer in informers if informer is not None]
        return all(one.synced or one.failing is not None for one in health)


def _same(one: ProfileContent, other: ProfileContent) -> bool:
    """Compare without the values, for which the digest stands."""
    return _summary(one) == _summary(other)


def _summary(profile: ProfileContent) -> tuple[object, ...]:
    content = profile.content
    merged = (content.digest, content.findings) if content else None
    return merged, profile.problem
