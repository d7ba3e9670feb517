"""Other names of keys: what each alias stands for in the end, and what it lacks.

Pure. A variable that a source has is never replaced by an alias.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from webhook.mirror.presets import ALWAYS, PRESETS, TrackerPreset
from webhook.mirror.profile import Profile
from webhook.mirror.reasons import KeyReason

_NO_PRESET = TrackerPreset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedAliases:
    """What the aliases of a profile come to.

    Attributes:
        keys: An alias, and the key of a source whose value it has.
        problems: An alias that has none, and why; of the profile's own alone, since
            nobody asked for a preset's one by one.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, KeyReason] = field(default_factory=dict)


def preset_of(profile: Profile) -> TrackerPreset:
    """Return what is known of the profile's tracker."""
    return PRESETS.get(profile.preset, _NO_PRESET)


def resolve(profile: Profile, present: Collection[str]) -> ResolvedAliases:
    """Follow each alias to a key that is present.

    Args:
        profile: Whose aliases; its own go before its preset's.
        present: The keys of its sources.
    """
    aliases = {**preset_of(profile).aliases, **profile.aliases}
    keys: dict[str, str] = {}
    problems: dict[str, KeyReason] = {}
    for alias in sorted(aliases):
        if alias in present:
            continue
        found = _follow(alias, aliases, present)
        if not isinstance(found, KeyReason):
            keys[alias] = found
        elif alias in profile.aliases:
            problems[alias] = found
    return ResolvedAliases(keys=keys, problems=problems)


def needed(profile: Profile, present: Collection[str]) -> Iterator[str]:
    """Yield each key once that the tracker's client wants and that is not present."""
    needs = preset_of(profile).needs
    wanted = (
        key
        for owner, keys in needs.items()
        if owner == ALWAYS or owner in present
        for key in keys
    )
    yield from (key for key in dict.fromkeys(wanted) if key not in present)


def _follow(
    alias: str, aliases: Mapping[str, str], present: Collection[str]
) -> str | KeyReason:
    passed = {alias}
    key = aliases[alias]
    while key not in present:
        if key in passed:
            return KeyReason.ALIAS_CYCLE
        if key not in aliases:
            return KeyReason.ALIAS_UNKNOWN
        passed.add(key)
        key = aliases[key]
    return key
