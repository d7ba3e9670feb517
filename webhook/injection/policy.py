"""The operator's choices about injection, the same for every pod of the release."""

from dataclasses import dataclass
from enum import StrEnum


class Precedence(StrEnum):
    """Who wins when another `envFrom` source has the same key."""

    FALLBACK = "fallback"
    """Ours comes first, so that every other source wins."""
    OVERRIDE = "override"
    """Ours comes last, so that it wins; a literal `env` entry still beats it."""


class OnMissing(StrEnum):
    """What a pod does while its namespace has no mirror yet."""

    WAIT = "wait"
    """The kubelet holds the container until the Secret exists."""
    START = "start"
    """The container starts without the keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionPolicy:
    """The operator's choices, the same for every pod of the release.

    Attributes:
        precedence: Where our reference stands among a container's sources.
        enforced_keys: Keys that hold whatever anyone set, in the order given.
        on_missing: Whether the `envFrom` reference is required.
        tracking_ca: Whether task containers get the tracking server's CA.
        release_namespace: Where the injector itself runs; never injected.
    """

    precedence: Precedence = Precedence.FALLBACK
    enforced_keys: tuple[str, ...] = ()
    on_missing: OnMissing = OnMissing.WAIT
    tracking_ca: bool = False
    release_namespace: str = ""
