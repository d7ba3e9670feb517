"""How the webhook's certificates stand, and what keeps them from being in order.

A value is the metric's label, the log's field, the Event's reason and the row of the
documentation. `sentence` is for people.
"""

from webhook.reason import Reason


class RotationReason(Reason):
    """The state of the webhook's certificates."""

    CERTIFICATES_READY = (
        "CertificatesReady",
        "One certificate is served by every replica and trusted by API servers.",
    )
    ROTATION_UNDER_WAY = (
        "RotationUnderWay",
        "A new certificate is being made known, served, or its predecessor retired.",
    )
    STATE_MISSING = (
        "StateMissing",
        "The state Secret does not exist; `helm upgrade` creates it, empty.",
    )
    STATE_FOREIGN = (
        "StateForeign",
        "The state Secret lacks the release's label and is left alone.",
    )
    STATE_NEWER = (
        "StateNewer",
        "A newer version wrote the state Secret; this one leaves it alone.",
    )
    PAIR_MISSING = (
        "PairMissing",
        "The serving Secret does not exist; `helm upgrade` creates it, empty.",
    )
    PAIR_FOREIGN = (
        "PairForeign",
        "The serving Secret lacks the release's label and is left alone.",
    )
    CONFIGURATION_MISSING = (
        "ConfigurationMissing",
        "The MutatingWebhookConfiguration does not exist, has no entries, or has one "
        "that cannot be read; API servers call only what it names.",
    )
    CLOCK_DIFFERS = (
        "ClockDiffers",
        "The companion's clock and the API server's differ by more than twice the "
        "skew; until they agree, nothing is issued, switched or dropped.",
    )
    FORBIDDEN = "Forbidden", "The companion lacks a right that this takes."
    REFUSED = "Refused", "The API server or an admission policy refused a write."
    UNAVAILABLE = "Unavailable", "The API server could not be reached; it is retried."
    INTERNAL_ERROR = (
        "InternalError",
        "An error of the companion's own; its log names the place.",
    )

    @property
    def is_in_order(self) -> bool:
        """Return whether nobody has to do anything about it."""
        return self is RotationReason.CERTIFICATES_READY
