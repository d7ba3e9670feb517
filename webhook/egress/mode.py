"""How far egress goes, for a release and for a namespace."""

from enum import StrEnum


class EgressMode(StrEnum):
    """From doing nothing on; each does more than the one before."""

    OFF = "off"
    """Nothing is computed; policies of ours are taken away."""
    OBSERVE = "observe"
    """What would be written is computed and reported; policies of ours go."""
    ADDITIVE = "additive"
    """Shadows: permissions on top of policies that isolate."""
    ISOLATE = "isolate"
    """Injected pods are closed to everything that is not declared."""

    @property
    def writes(self) -> bool:
        """Return whether policies are written, and not only reported or taken away."""
        return self in (EgressMode.ADDITIVE, EgressMode.ISOLATE)


_ORDER = list(EgressMode)


def is_known(label: str) -> bool:
    """Return whether a label's value is a mode."""
    return label in _ORDER


def narrowed(release: EgressMode, label: str | None) -> EgressMode:
    """Return the mode of a namespace: its label may only take away.

    A value that this version does not know means `observe`: whoever wrote it wanted
    something other than the release's mode.
    """
    if label is None:
        return release
    asked = EgressMode(label) if is_known(label) else EgressMode.OBSERVE
    return min(release, asked, key=_ORDER.index)
