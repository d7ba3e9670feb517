"""How the webhook's certificates stand, and what keeps them from being in order.

A value is the metric's label, the log's field, the Event's reason and the row of the
documentation. `sentence` is for people.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class RotationReason(StrEnum):
    """The state of the webhook's certificates."""

    CERTIFICATES_READY = "CertificatesReady"
    ROTATION_UNDER_WAY = "RotationUnderWay"
    STATE_MISSING = "StateMissing"
    STATE_FOREIGN = "StateForeign"
    STATE_NEWER = "StateNewer"
    PAIR_MISSING = "PairMissing"
    PAIR_FOREIGN = "PairForeign"
    CONFIGURATION_MISSING = "ConfigurationMissing"
    CLOCK_DIFFERS = "ClockDiffers"
    FORBIDDEN = "Forbidden"
    REFUSED = "Refused"
    UNAVAILABLE = "Unavailable"
    INTERNAL_ERROR = "InternalError"

    @property
    def sentence(self) -> str:
        """Return one sentence for an Event, a log line or a table."""
        return _SENTENCES[self]

    @property
    def is_in_order(self) -> bool:
        """Return whether nobody has to do anything about it."""
        return self is RotationReason.CERTIFICATES_READY


_SENTENCES: Final = MappingProxyType(
    {
        RotationReason.CERTIFICATES_READY: (
            "One certificate is served by every replica and trusted by API servers."
        ),
        RotationReason.ROTATION_UNDER_WAY: (
            "A new certificate is being made known, served, or its predecessor retired."
        ),
        RotationReason.STATE_MISSING: (
            "The state Secret does not exist; `helm upgrade` creates it, empty."
        ),
        RotationReason.STATE_FOREIGN: (
            "The state Secret lacks the release's label and is left alone."
        ),
        RotationReason.STATE_NEWER: (
            "A newer version wrote the state Secret; this one leaves it alone."
        ),
        RotationReason.PAIR_MISSING: (
            "The serving Secret does not exist; `helm upgrade` creates it, empty."
        ),
        RotationReason.PAIR_FOREIGN: (
            "The serving Secret lacks the release's label and is left alone."
        ),
        RotationReason.CONFIGURATION_MISSING: (
            "The MutatingWebhookConfiguration does not exist, so no API server calls."
        ),
        RotationReason.CLOCK_DIFFERS: (
            "The companion's clock and the API server's differ by more than twice the "
            "skew; until they agree, nothing is issued, switched or dropped."
        ),
        RotationReason.FORBIDDEN: "The companion lacks a right that this takes.",
        RotationReason.REFUSED: (
            "The API server or an admission policy refused a write."
        ),
        RotationReason.UNAVAILABLE: (
            "The API server could not be reached; it is retried."
        ),
        RotationReason.INTERNAL_ERROR: (
            "An error of the companion's own; its log names the place."
        ),
    }
)
