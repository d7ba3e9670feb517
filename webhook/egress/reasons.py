"""The words in which egress decisions are told, in every place the same.

An `EgressReason` is the metric label, the log field, the Event reason and the column of
`tracking-injector status` at once.
"""

from dataclasses import dataclass
from typing import Final

from webhook.reason import Reason


class EgressReason(Reason):
    """Why egress of a namespace is as it is."""

    EGRESS_READY = (
        "EgressReady",
        "Every destination is permitted to every injected pod.",
    )
    NOT_ISOLATED = (
        "NotIsolated",
        "No policy isolates injected pods for egress, so there is nothing to add.",
    )
    SWITCHED_OFF = (
        "SwitchedOff",
        "The release's setting or the namespace's label says `off`.",
    )
    NO_NETWORK_NEEDED = (
        "NoNetworkNeeded",
        "The tracking URI names a file or nothing: no destination follows from it.",
    )
    KEYS_UNKNOWN = (
        "KeysUnknown",
        "The profile's sources were never read, so no server is known; what is there"
        " stays.",
    )
    UNRESOLVED = (
        "Unresolved",
        "A destination has no rule yet: its name never resolved, or its Service is not"
        " there or leads nowhere.",
    )
    RESOLUTION_STALE = (
        "ResolutionStale",
        "The last lookup failed; the addresses known before it stay.",
    )
    ROTATING_ADDRESSES = (
        "RotatingAddresses",
        "Lookups keep bringing new addresses: the pool is larger than an answer.",
    )
    TRUNCATED = (
        "Truncated",
        "A name has more addresses than the cap; the newest are permitted.",
    )
    UNSAFE_ADDRESS = (
        "UnsafeAddress",
        "An answer held an address no tracking server has; it was left out.",
    )
    PORT_MISMATCH = (
        "PortMismatch",
        "A headless Service whose pods do not listen on the port of the URI.",
    )
    TLS_NAME_MISMATCH = (
        "TlsNameMismatch",
        "An ExternalName Service: the certificate will be for the other name.",
    )
    DESTINATION_INGRESS_BLOCKED = (
        "DestinationIngressBlocked",
        "The tracking server's own namespace does not let task pods in.",
    )
    OTHER_EGRESS_CONTROLS = (
        "OtherEgressControls",
        "Another engine restricts egress; its rule has to be added by its owner.",
    )
    ENFORCEMENT_UNKNOWN = (
        "EnforcementUnknown",
        "Nothing shows whether this cluster enforces the policy, or a part of it.",
    )
    NODE_ADDRESS = (
        "NodeAddress",
        "The backend lives on a node's address; some engines match no CIDR there.",
    )
    MALFORMED_URI = (
        "MalformedUri",
        "A key that should name a server does not, or its name is none that DNS takes.",
    )
    HOST_NEEDED = (
        "HostNeeded",
        "A key points to a server only indirectly; its host has to be configured.",
    )
    STORE_HOST_NEEDED = (
        "StoreHostNeeded",
        "A tracker keeps files on a host that no key names; it goes into the settings.",
    )
    DATABASE_URI = (
        "DatabaseUri",
        "The tracking URI is a database: every task holds its credentials.",
    )
    LEGACY_TRACKER = "LegacyTracker", "The tracker's hosted service is at its end."
    BASELINE_MISSING = (
        "BaselineMissing",
        "Isolation was asked for without saying what must stay reachable.",
    )
    SELECTOR_UNREADABLE = (
        "SelectorUnreadable",
        "A policy or namespace carries a value this version does not know.",
    )
    PENDING = (
        "Pending",
        "A policy of ours is rewritten in a moment: rewrites of a namespace are paced.",
    )
    WRITE_REFUSED = (
        "WriteRefused",
        "A policy of ours could not be written or deleted; it is tried again.",
    )

    @property
    def is_in_order(self) -> bool:
        """Return whether nobody has to do anything about a namespace's egress."""
        return self in _IN_ORDER


_IN_ORDER: Final = frozenset(
    {
        EgressReason.EGRESS_READY,
        EgressReason.NOT_ISOLATED,
        EgressReason.SWITCHED_OFF,
        EgressReason.NO_NETWORK_NEEDED,
        EgressReason.PENDING,
    }
)


WITHOUT_RULE: Final = (
    EgressReason.UNRESOLVED,
    EgressReason.PORT_MISMATCH,
    EgressReason.MALFORMED_URI,
    EgressReason.HOST_NEEDED,
)
"""Reasons of destinations that have no rule, the one to say first in front."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing an operator should know.

    Attributes:
        reason: The word for it.
        subject: What it is about: a key, a host, a Service. Never a value.
        message: One sentence for people. Never a value either.
    """

    reason: EgressReason
    subject: str
    message: str
