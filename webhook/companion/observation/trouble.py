"""One thing that is wrong, and how it is made of a reason."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from webhook.companion.observation.reasons import InstallationReason
from webhook.companion.observation.unknown import Unknown
from webhook.egress.reasons import EgressReason
from webhook.mirror.certificates import TrackingCaReason
from webhook.mirror.reasons import KeyReason, MirrorReason
from webhook.reason import Reason

R = TypeVar("R", bound=Reason)


class Severity(StrEnum):
    """How bad a trouble is."""

    ERROR = "error"
    """Somebody has to look; `status` exits 1."""
    WARNING = "warning"
    """Good to know; nothing is out of order because of it."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that is wrong.

    Attributes:
        severity: error or warning.
        reason: one word for it, out of one of the vocabularies.
        about: what it is about: a part, a namespace, a profile.
        sentence: the reason's, for people.
        detail: the particulars: counts, names of keys and parts; never a value.
        objects: names of the pods concerned, the first of them.
        namespace: the compute namespace that it concerns; empty for all.
    """

    severity: Severity
    reason: str
    about: str
    sentence: str
    detail: str = ""
    objects: tuple[str, ...] = ()
    namespace: str = ""


_HARMLESS: Final = frozenset(
    {
        EgressReason.ROTATING_ADDRESSES,
        EgressReason.OTHER_EGRESS_CONTROLS,
        EgressReason.ENFORCEMENT_UNKNOWN,
        EgressReason.NODE_ADDRESS,
        EgressReason.DATABASE_URI,
        EgressReason.LEGACY_TRACKER,
        *(one for one in KeyReason if one.is_in_order),
    }
)
"""Findings that are good to know and leave the installation in order."""


def error(reason: Reason, about: str, detail: str = "", namespace: str = "") -> Trouble:
    """Return an error of a reason, about a part, a namespace or a profile."""
    return Trouble(
        severity=Severity.ERROR,
        reason=str(reason),
        about=about,
        sentence=reason.sentence,
        detail=detail,
        namespace=namespace,
    )


def warning(
    reason: Reason, about: str, detail: str = "", namespace: str = ""
) -> Trouble:
    """Return a warning of a reason."""
    found = error(reason, about, detail, namespace)
    return msgspec.structs.replace(found, severity=Severity.WARNING)


def unread(piece: Unknown, about: str) -> Trouble:
    """Return that a piece could not be read, so that nobody can vouch for it."""
    return error(InstallationReason.NOT_READABLE, about, piece.sentence)


def told(
    kind: type[Reason], word: str, about: str, detail: str = "", namespace: str = ""
) -> Trouble:
    """Return a trouble for a word of the report, which may be a later version's."""
    reason = known(kind, word)
    if reason is None:
        return Trouble(
            severity=Severity.ERROR,
            reason=word,
            about=about,
            sentence="A reason that this version of the command does not know.",
            detail=detail,
            namespace=namespace,
        )
    make = warning if reason in _HARMLESS else error
    return make(reason, about, detail, namespace)


def known(kind: type[R], word: str) -> R | None:
    """Return the reason of that name, unless it is one of a later version."""
    return kind(word) if word in set(kind) else None


def is_fine(
    kind: type[MirrorReason | EgressReason | TrackingCaReason], word: str
) -> bool:
    """Return whether a word of the report means that all is in order."""
    reason = known(kind, word)
    return reason is not None and reason.is_in_order


def pods(
    kind: type[Reason],
    word: str,
    namespace: str,
    count: int,
    names: Iterable[str] = (),
) -> Trouble:
    """Return a trouble of some pods of a namespace; the first are named."""
    said = f"{count} pod{'' if count == 1 else 's'}"
    found = told(kind, word, namespace, said, namespace=namespace)
    return msgspec.structs.replace(found, objects=tuple(names))
