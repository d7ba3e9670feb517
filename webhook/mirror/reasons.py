"""Why a namespace has the mirror it has, or none: one closed vocabulary.

A value is the metric's label, the log's field, the Event's reason, the column of the
command line and the row of the documentation. `sentence` is for people.
"""

from enum import StrEnum
from types import MappingProxyType


class MirrorReason(StrEnum):
    """The state of one namespace's mirror."""

    MIRRORED = "Mirrored"
    PENDING = "Pending"
    STALE = "Stale"
    NOT_ALLOWED = "NotAllowed"
    EXCLUDED_NAMESPACE = "ExcludedNamespace"
    UNKNOWN_PROFILE = "UnknownProfile"
    SOURCE_MISSING = "SourceMissing"
    SOURCE_UNREADABLE = "SourceUnreadable"
    TOO_LARGE = "TooLarge"
    NO_KEYS = "NoKeys"
    FOREIGN_SECRET = "ForeignSecret"  # noqa: S105 - a reason, not a password
    TERMINATING = "Terminating"
    LEAVING = "Leaving"
    KEPT_FOR_PODS = "KeptForPods"
    PODS_UNREADABLE = "PodsUnreadable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    FORBIDDEN = "Forbidden"
    REFUSED = "Refused"
    CONTESTED = "Contested"
    UNAVAILABLE = "Unavailable"

    @property
    def sentence(self) -> str:
        """One sentence for an Event, a log line or a table."""
        return _SENTENCES[self]

    @property
    def is_in_order(self) -> bool:
        """Whether nobody has to do anything about it."""
        return self in _IN_ORDER


_IN_ORDER = frozenset(
    {MirrorReason.MIRRORED, MirrorReason.TERMINATING, MirrorReason.LEAVING}
)

_SENTENCES = MappingProxyType(
    {
        MirrorReason.MIRRORED: "The mirror equals its sources.",
        MirrorReason.PENDING: "The mirror is about to be written.",
        MirrorReason.STALE: (
            "A source is missing or unusable; the last good keys stay in place."
        ),
        MirrorReason.NOT_ALLOWED: (
            "The namespace is labeled, but the release's list of allowed namespaces "
            "does not have it; it gets no keys."
        ),
        MirrorReason.EXCLUDED_NAMESPACE: "The namespace is never injected.",
        MirrorReason.UNKNOWN_PROFILE: (
            "The namespace's profile label names a profile that the release does not "
            "have."
        ),
        MirrorReason.SOURCE_MISSING: (
            "A source of the profile does not exist in the release namespace."
        ),
        MirrorReason.SOURCE_UNREADABLE: (
            "The companion may not read a source of the profile, or could not yet."
        ),
        MirrorReason.TOO_LARGE: (
            "The merged keys exceed 1 MiB: a Secret's limit, and half of what Linux "
            "passes on to a program."
        ),
        MirrorReason.NO_KEYS: "The profile's sources have no usable key.",
        MirrorReason.FOREIGN_SECRET: (
            "A Secret of the mirror's name exists that the companion did not make; it "
            "is left alone."
        ),
        MirrorReason.TERMINATING: "The namespace is being deleted.",
        MirrorReason.LEAVING: (
            "The namespace was switched off; the mirror goes in a moment."
        ),
        MirrorReason.KEPT_FOR_PODS: (
            "The namespace was switched off, but pods that still run refer to the "
            "mirror; it goes after them."
        ),
        MirrorReason.PODS_UNREADABLE: (
            "The namespace was switched off, but the companion may not see whether "
            "running pods refer to the mirror; it stays."
        ),
        MirrorReason.QUOTA_EXCEEDED: (
            "The namespace's ResourceQuota leaves no room for the mirror."
        ),
        MirrorReason.FORBIDDEN: "The companion may not write the mirror there.",
        MirrorReason.REFUSED: (
            "The API server or an admission policy refused the mirror."
        ),
        MirrorReason.CONTESTED: (
            "The mirror does not stay as written: another webhook or controller "
            "changes it."
        ),
        MirrorReason.UNAVAILABLE: "The API server could not be reached; it is retried.",
    }
)


class KeyReason(StrEnum):
    """What is worth knowing about one key of one source."""

    KEY_CONFLICT = "KeyConflict"
    KEY_ABSENT = "KeyAbsent"
    KEY_RESERVED = "KeyReserved"
    KEY_NOT_A_VARIABLE = "KeyNotAVariable"
    VALUE_NOT_TEXT = "ValueNotText"
    VALUE_TOO_LONG = "ValueTooLong"
    TRAILING_NEWLINE = "TrailingNewline"
    URI_WITH_SPACE = "UriWithSpace"
    URI_WITHOUT_SCHEME = "UriWithoutScheme"
    URI_UNKNOWN_SCHEME = "UriUnknownScheme"
    URI_MALFORMED = "UriMalformed"
    URI_OF_THE_POD = "UriOfThePod"
    URI_WITH_CREDENTIALS = "UriWithCredentials"

    @property
    def sentence(self) -> str:
        """One sentence; it never repeats a value."""
        return _FINDING_SENTENCES[self]


_FINDING_SENTENCES = MappingProxyType(
    {
        KeyReason.KEY_CONFLICT: (
            "An earlier source has the key too; the later source wins."
        ),
        KeyReason.KEY_ABSENT: "The source does not have the key that is listed.",
        KeyReason.KEY_RESERVED: (
            "A variable of that name would break task containers; it is left out."
        ),
        KeyReason.KEY_NOT_A_VARIABLE: (
            "The kubelet takes no variable of that name; it is left out."
        ),
        KeyReason.VALUE_NOT_TEXT: (
            "The value is not UTF-8 text without NUL, so no container would start with "
            "it; it is left out."
        ),
        KeyReason.VALUE_TOO_LONG: (
            "The name and the value have more than 128 KiB, so no container would start"
            " with them; it is left out."
        ),
        KeyReason.TRAILING_NEWLINE: (
            "The value ends with a newline; was it made without `echo -n`?"
        ),
        KeyReason.URI_WITH_SPACE: "The URI has white space in it.",
        KeyReason.URI_WITHOUT_SCHEME: (
            "The URI has no scheme, so clients take it for a local path; write http://"
            " or https:// in front."
        ),
        KeyReason.URI_MALFORMED: (
            "No server can be told from the URI: quotes, an unencoded character, or a"
            " host or port that cannot be."
        ),
        KeyReason.URI_OF_THE_POD: (
            "The URI's host is the pod itself; nothing answers there but a sidecar."
        ),
        KeyReason.URI_UNKNOWN_SCHEME: "The URI's scheme is none that is known.",
        KeyReason.URI_WITH_CREDENTIALS: (
            "The URI has a user or password in it; programs like to print URIs."
        ),
    }
)
