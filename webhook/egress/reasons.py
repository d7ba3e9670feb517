"""The words in which egress decisions are told, in every place the same.

An `EgressReason` is the metric label, the log field, the Event reason and the column of
`tracking-injector status` at once.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EgressReason(StrEnum):
    """Why egress of a namespace is as it is."""

    EGRESS_READY = "EgressReady"
    NOT_ISOLATED = "NotIsolated"
    SWITCHED_OFF = "SwitchedOff"
    NO_NETWORK_NEEDED = "NoNetworkNeeded"
    KEYS_UNKNOWN = "KeysUnknown"
    UNRESOLVED = "Unresolved"
    RESOLUTION_STALE = "ResolutionStale"
    ROTATING_ADDRESSES = "RotatingAddresses"
    TRUNCATED = "Truncated"
    UNSAFE_ADDRESS = "UnsafeAddress"
    PORT_MISMATCH = "PortMismatch"
    TLS_NAME_MISMATCH = "TlsNameMismatch"
    DESTINATION_INGRESS_BLOCKED = "DestinationIngressBlocked"
    OTHER_EGRESS_CONTROLS = "OtherEgressControls"
    ENFORCEMENT_UNKNOWN = "EnforcementUnknown"
    NODE_ADDRESS = "NodeAddress"
    MALFORMED_URI = "MalformedUri"
    HOST_NEEDED = "HostNeeded"
    STORE_HOST_NEEDED = "StoreHostNeeded"
    DATABASE_URI = "DatabaseUri"
    LEGACY_TRACKER = "LegacyTracker"
    BASELINE_MISSING = "BaselineMissing"
    SELECTOR_UNREADABLE = "SelectorUnreadable"
    PENDING = "Pending"
    WRITE_REFUSED = "WriteRefused"

    @property
    def sentence(self) -> str:
        """Return one sentence for a table."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    EgressReason.EGRESS_READY: "Every destination is permitted to every injected pod.",
    EgressReason.NOT_ISOLATED: (
        "No policy isolates injected pods for egress, so there is nothing to add."
    ),
    EgressReason.SWITCHED_OFF: (
        "The release's setting or the namespace's label says `off`."
    ),
    EgressReason.NO_NETWORK_NEEDED: (
        "The tracking URI names a file or nothing: no destination follows from it."
    ),
    EgressReason.KEYS_UNKNOWN: (
        "The profile's sources were never read, so no server is known; what is there"
        " stays."
    ),
    EgressReason.UNRESOLVED: (
        "A destination has no rule yet: its name never resolved, or its Service is not"
        " there or leads nowhere."
    ),
    EgressReason.RESOLUTION_STALE: (
        "The last lookup failed; the addresses known before it stay."
    ),
    EgressReason.ROTATING_ADDRESSES: (
        "Lookups keep bringing new addresses: the pool is larger than an answer."
    ),
    EgressReason.TRUNCATED: (
        "A name has more addresses than the cap; the newest are permitted."
    ),
    EgressReason.UNSAFE_ADDRESS: (
        "An answer held an address no tracking server has; it was left out."
    ),
    EgressReason.PORT_MISMATCH: (
        "A headless Service whose pods do not listen on the port of the URI."
    ),
    EgressReason.TLS_NAME_MISMATCH: (
        "An ExternalName Service: the certificate will be for the other name."
    ),
    EgressReason.DESTINATION_INGRESS_BLOCKED: (
        "The tracking server's own namespace does not let task pods in."
    ),
    EgressReason.OTHER_EGRESS_CONTROLS: (
        "Another engine restricts egress; its rule has to be added by its owner."
    ),
    EgressReason.ENFORCEMENT_UNKNOWN: (
        "Nothing shows whether this cluster enforces the policy, or a part of it."
    ),
    EgressReason.NODE_ADDRESS: (
        "The backend lives on a node's address; some engines match no CIDR there."
    ),
    EgressReason.MALFORMED_URI: (
        "A key that should name a server does not, or its name is none that DNS takes."
    ),
    EgressReason.HOST_NEEDED: (
        "A key points to a server only indirectly; its host has to be configured."
    ),
    EgressReason.STORE_HOST_NEEDED: (
        "A tracker keeps files on a host that no key names; it goes into the settings."
    ),
    EgressReason.DATABASE_URI: (
        "The tracking URI is a database: every task holds its credentials."
    ),
    EgressReason.LEGACY_TRACKER: "The tracker's hosted service is at its end.",
    EgressReason.BASELINE_MISSING: (
        "Isolation was asked for without saying what must stay reachable."
    ),
    EgressReason.SELECTOR_UNREADABLE: (
        "A policy or namespace carries a value this version does not know."
    ),
    EgressReason.PENDING: (
        "A policy of ours is rewritten in a moment: rewrites of a namespace are paced."
    ),
    EgressReason.WRITE_REFUSED: (
        "A policy of ours could not be written or deleted; it is tried again."
    ),
}


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
