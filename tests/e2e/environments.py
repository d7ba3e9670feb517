"""Generated containers whose environment is hard to predict, and what they refer to.

Everything comes from one seeded generator, so a pod that the model gets wrong can be
made again from its number.
"""

import random
from collections.abc import Mapping
from typing import Any, Final

from webhook.injection.environment import KnownSources

NAMES: Final = (
    *("TRACKING_URI", "TRACKING_API_KEY", "A", "B", "_LOW_er9", "A_", "X"),
    *("with.dot", "with-dash", "9starts", "a b", "curly{}", "a:b/c"),
)
"""Variables' names: common ones, and those that a shell could not set."""

KEYS: Final = ("TRACKING_URI", "TRACKING_API_KEY", "A", "B", "with.dot", "-x", "9")
"""Keys of Secrets and ConfigMaps."""

VALUES: Final = (
    *("", "plain", "two words", "a=b", "ünïcode ✓", " padded ", "line\nline"),
    *("$(A)", "$$(A)", "$(B)-$(TRACKING_URI)", "$(NOBODY)", "$(", "$", "$$", "$(A"),
    *("$(with.dot)", "$(A)$(A)", "$()", "$$$(B)", "x$", "$x", "$(a b)"),
)
"""Literals; the same text is never expanded in a Secret or ConfigMap."""

SOURCES: Final = KnownSources(
    secrets={
        "michelangelo-tracking": {
            "TRACKING_URI": "https://tracking.example",
            "TRACKING_API_KEY": "mirror-key",
            "with.dot": "mirror-dot",
        },
        "own": {"TRACKING_API_KEY": "own-key", "A": "own $(B)", "9": "nine"},
        "empty": {},
        "absent": None,
    },
    config_maps={
        "michelangelo-config": {"TRACKING_URI": "http://by-hand", "B": "line\nline"},
        "odd": {"-x": "dash", "A": "", "with.dot": "$$"},
        "absent": None,
    },
)
"""What there is in the namespace; `None` is a name that nothing has."""

_KINDS: Final[tuple[tuple[str, str, Mapping[str, Mapping[str, str] | None]], ...]] = (
    ("secretRef", "secretKeyRef", SOURCES.secrets),
    ("configMapRef", "configMapKeyRef", SOURCES.config_maps),
)


def generated_container(number: int) -> dict[str, Any]:
    """The `env` and `envFrom` of the container with this number."""
    dice = random.Random(number)  # noqa: S311 - repeatable is what it has to be
    return {
        "env": [_entry(dice) for _ in range(dice.randrange(9))],
        "envFrom": [_source(dice) for _ in range(dice.randrange(5))],
    }


def _source(dice: random.Random) -> dict[str, Any]:
    reference, _, objects = dice.choice(_KINDS)
    name = dice.choice(list(objects))
    source: dict[str, Any] = {reference: {"name": name, **_optional(dice, name)}}
    if dice.random() < 0.4:
        source["prefix"] = dice.choice(("P_", "A", "p.", "1", "with-", "a b"))
    return source


def _entry(dice: random.Random) -> dict[str, Any]:
    name = dice.choice(NAMES)
    if dice.random() < 0.7:
        return {"name": name, "value": dice.choice(VALUES)}
    _, key_reference, objects = dice.choice(_KINDS)
    source = dice.choice(list(objects))
    key = dice.choice(KEYS)
    missing = key not in (objects[source] or {})
    selector = {"name": source, "key": key, **_optional(dice, missing=missing)}
    return {"name": name, "valueFrom": {key_reference: selector}}


def _optional(
    dice: random.Random, name: str = "", *, missing: bool = False
) -> dict[str, bool]:
    """Mostly optional where it would hold the container back for ever."""
    if missing or name == "absent":
        return {"optional": True} if dice.random() < 0.9 else {}
    return dice.choice(({}, {"optional": True}, {"optional": False}))
