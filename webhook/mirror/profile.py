"""Profiles: named lists of sources, as the release defines them.

Pure: text in, values out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from webhook.mirror.presets import PRESETS


class ProfileError(ValueError):
    """The profiles cannot be used; the message says which profile, source and why."""


class SourceKind(StrEnum):
    """What a source is."""

    SECRET = "Secret"  # noqa: S105 - a kind, not a password
    CONFIG_MAP = "ConfigMap"


_FIELDS: Final = {"secret": SourceKind.SECRET, "configMap": SourceKind.CONFIG_MAP}


@dataclass(frozen=True, slots=True)
class SourceRef:
    """Which object of the release namespace a source is."""

    kind: SourceKind
    name: str

    def __str__(self) -> str:
        """Return `Secret/name`."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source of a profile.

    Attributes:
        ref: the object.
        keys: only these, or everything when None.
        prefix: put before each key.
    """

    ref: SourceRef
    keys: tuple[str, ...] | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A named list of sources; later ones win.

    Attributes:
        name: as the namespace's label says it.
        sources: in order.
        aliases: another name of a key, and the key.
        preset: the tracker whose client's names and needs are known; empty for none.
    """

    name: str
    sources: tuple[Source, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    preset: str = ""


def parse_profiles(text: str) -> dict[str, Profile]:
    """Read profiles from JSON: `{"default": [{"secret": "keys"}]}`.

    A source is `{"secret": NAME}` or `{"configMap": NAME}`, with `keys` and `prefix`
    where wanted. A profile with more to say is `{"sources": [...], "preset": NAME,
    "aliases": {ALIAS: KEY}}`.

    Raises:
        ProfileError: anything else.
    """
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise ProfileError(f"the profiles are not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ProfileError("the profiles are not an object of name → list of sources")
    return {name: _profile(name, sources) for name, sources in parsed.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaSource:
    """Where the tracking server's CA lies.

    Attributes:
        ref: the object.
        key: which of its keys.
    """

    ref: SourceRef
    key: str

    def __str__(self) -> str:
        """Return `ConfigMap/name, key ca.crt`."""
        return f"{self.ref}, key {self.key}"


def parse_ca_source(text: str) -> CaSource | None:
    """Read where the CA lies: `{"configMap": "ca", "keys": ["ca.crt"]}`; `{}`: nowhere.

    Raises:
        ProfileError: anything else.
    """
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise ProfileError(f"the CA's source is not JSON: {error}") from error
    if parsed == {}:
        return None
    source = _source("the CA's source", parsed)
    if source.keys is None or len(source.keys) != 1 or source.prefix:
        raise ProfileError("the CA's source names one key, and no prefix")
    return CaSource(ref=source.ref, key=source.keys[0])


def refs(profiles: Mapping[str, Profile]) -> tuple[SourceRef, ...]:
    """Return every object that some profile reads, each once."""
    found = (source.ref for one in profiles.values() for source in one.sources)
    return tuple(dict.fromkeys(found))


def _profile(name: str, body: Any) -> Profile:
    said = body if isinstance(body, dict) else {"sources": body}
    unknown = sorted(said.keys() - {"sources", "preset", "aliases"})
    if unknown:
        raise ProfileError(f"profile {name} has an unknown field {unknown[0]}")
    sources, preset = said.get("sources", []), said.get("preset", "")
    aliases = said.get("aliases", {})
    if not isinstance(sources, list):
        raise ProfileError(f"profile {name} has no list of sources")
    if preset not in ("", *PRESETS):
        known = ", ".join(PRESETS)
        raise ProfileError(f"profile {name}: preset is none of {known}")
    if not isinstance(aliases, dict) or not all(
        isinstance(key, str) for key in aliases.values()
    ):
        raise ProfileError(f"profile {name}: aliases is not a map of names")
    return Profile(
        name=name,
        sources=tuple(
            _source(f"profile {name}, source {number}", source)
            for number, source in enumerate(sources, 1)
        ),
        aliases=aliases,
        preset=preset,
    )


def _source(where: str, source: Any) -> Source:
    if not isinstance(source, dict):
        raise ProfileError(f"{where} is not an object")
    unknown = sorted(source.keys() - {*_FIELDS, "keys", "prefix"})
    if unknown:
        raise ProfileError(f"{where} has an unknown field {unknown[0]}")
    chosen = [field for field in _FIELDS if field in source]
    if len(chosen) != 1:
        raise ProfileError(f"{where} needs either secret or configMap")
    name, keys = source[chosen[0]], source.get("keys")
    if not isinstance(name, str) or not name:
        raise ProfileError(f"{where} has no name in {chosen[0]}")
    if keys is not None and not (
        isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    ):
        raise ProfileError(f"{where}: keys is not a list of names")
    if not isinstance(source.get("prefix", ""), str):
        raise ProfileError(f"{where}: prefix is not a text")
    return Source(
        ref=SourceRef(_FIELDS[chosen[0]], name),
        keys=None if keys is None else tuple(keys),
        prefix=source.get("prefix", ""),
    )
