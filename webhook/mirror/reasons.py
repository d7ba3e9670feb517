"""Why a namespace has the mirror it has, or none: one closed vocabulary.

A value is the metric's label, the log's field, the Event's reason, the column of the
command line and the row of the documentation. `sentence` is for people.
"""

from webhook.reason import Reason


class MirrorReason(Reason):
    """The state of one namespace's mirror."""

    MIRRORED = "Mirrored", "The mirror equals its sources."
    PENDING = "Pending", "The mirror is about to be written."
    STALE = (
        "Stale",
        "The profile or a source of it is missing or unusable; the last good keys "
        "stay in place.",
    )
    NOT_ALLOWED = (
        "NotAllowed",
        "The namespace is labeled, but the release's list of allowed namespaces "
        "does not have it; it gets no keys.",
    )
    EXCLUDED_NAMESPACE = "ExcludedNamespace", "The namespace is never injected."
    UNKNOWN_PROFILE = (
        "UnknownProfile",
        "The namespace's profile label names a profile that the release does not have.",
    )
    SOURCE_MISSING = (
        "SourceMissing",
        "A source of the profile does not exist in the release namespace.",
    )
    SOURCE_UNREADABLE = (
        "SourceUnreadable",
        "The companion may not read a source of the profile, or could not yet.",
    )
    TOO_LARGE = (
        "TooLarge",
        "The merged keys exceed 1 MiB: a Secret's limit, and half of what Linux passes "
        "on to a program.",
    )
    NO_KEYS = "NoKeys", "The profile's sources have no usable key."
    NO_SOURCES = (
        "NoSources",
        "The profile has no source; the mirror is empty, so that no pod waits for it.",
    )
    ENFORCED_KEY_MISSING = (
        "EnforcedKeyMissing",
        "The mirror lacks a key that the release enforces; pods start without it.",
    )
    FOREIGN_SECRET = (
        "ForeignSecret",
        "A Secret of the mirror's name exists that the companion did not make; it "
        "is left alone.",
    )
    TERMINATING = "Terminating", "The namespace is being deleted."
    LEAVING = "Leaving", "The namespace was switched off; the mirror goes in a moment."
    KEPT_FOR_PODS = (
        "KeptForPods",
        "The namespace was switched off, but pods that still run refer to the "
        "mirror; it goes after them.",
    )
    PODS_UNREADABLE = (
        "PodsUnreadable",
        "The namespace was switched off, but the companion may not see whether "
        "running pods refer to the mirror; it stays.",
    )
    QUOTA_EXCEEDED = (
        "QuotaExceeded",
        "The namespace's ResourceQuota leaves no room for the mirror.",
    )
    FORBIDDEN = "Forbidden", "The companion may not write the mirror there."
    REFUSED = "Refused", "The API server or an admission policy refused the mirror."
    CONTESTED = (
        "Contested",
        "The mirror does not stay as written: another webhook or controller "
        "changes it.",
    )
    UNAVAILABLE = (
        "Unavailable",
        "The API server could not be reached, or not do it now; it is retried.",
    )
    PROJECTION_FAILED = (
        "ProjectionFailed",
        "The namespace or its mirror has a field that the companion cannot read; "
        "what was known before stays.",
    )
    INTERNAL_ERROR = (
        "InternalError",
        "An error of the companion's own, which its log names; it is retried.",
    )

    @property
    def is_in_order(self) -> bool:
        """Return whether nobody has to do anything about it."""
        return self in _IN_ORDER


_IN_ORDER = frozenset(
    {MirrorReason.MIRRORED, MirrorReason.TERMINATING, MirrorReason.LEAVING}
)


class KeyReason(Reason):
    """What is worth knowing about one key of one source."""

    KEY_CONFLICT = (
        "KeyConflict",
        "An earlier source has the key too; the later source wins.",
    )
    KEY_ABSENT = "KeyAbsent", "The source does not have the key that is listed."
    KEY_NEEDED = (
        "KeyNeeded",
        "The client of the profile's tracker wants the key beside the others, and "
        "neither a source nor an alias has it.",
    )
    ALIAS_UNKNOWN = (
        "AliasUnknown",
        "The alias stands for a key that no source of the profile has; it is left out.",
    )
    ALIAS_CYCLE = (
        "AliasCycle",
        "The alias stands for itself, by way of others or not; it is left out.",
    )
    KEY_RESERVED = (
        "KeyReserved",
        "A variable of that name would break task containers; it is left out.",
    )
    KEY_NOT_A_VARIABLE = (
        "KeyNotAVariable",
        "The kubelet takes no variable of that name; it is left out.",
    )
    VALUE_NOT_TEXT = (
        "ValueNotText",
        "The value is not UTF-8 text without NUL: containers do not start with it, or "
        "get another one; it is left out.",
    )
    VALUE_TOO_LONG = (
        "ValueTooLong",
        "The name and the value have more than 128 KiB, so no container would start "
        "with them; it is left out.",
    )
    TRAILING_NEWLINE = (
        "TrailingNewline",
        "The value ends with a newline; was it made without `echo -n`?",
    )
    URI_WITH_SPACE = "UriWithSpace", "The URI has white space in it."
    URI_WITHOUT_SCHEME = (
        "UriWithoutScheme",
        "The URI has no scheme, so clients take it for a local path; write http:// or "
        "https:// in front.",
    )
    URI_MALFORMED = (
        "UriMalformed",
        "No server can be told from the URI: quotes, an unencoded character, or a host "
        "or port that cannot be.",
    )
    URI_OF_THE_POD = (
        "UriOfThePod",
        "The URI's host is the pod itself; nothing answers there but a sidecar.",
    )
    URI_UNKNOWN_SCHEME = "UriUnknownScheme", "The URI's scheme is none that is known."
    URI_WITH_CREDENTIALS = (
        "UriWithCredentials",
        "The URI has a user or password in it; programs like to print URIs.",
    )

    @property
    def is_in_order(self) -> bool:
        """Return whether tasks get along with the key as it is."""
        return self in _HARMLESS


_HARMLESS = frozenset(
    {
        KeyReason.KEY_CONFLICT,
        KeyReason.URI_UNKNOWN_SCHEME,
        KeyReason.URI_WITH_CREDENTIALS,
    }
)
