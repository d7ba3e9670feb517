"""Why a piece of an observation is not there."""

import msgspec

from webhook.cluster.errors import ClusterError, Forbidden, NotFound, Unauthorized
from webhook.reason import Reason


class UnknownReason(Reason):
    """Why something could not be read."""

    RIGHT_MISSING = "RightMissing", "The right to read it is missing."
    ABSENT = "Absent", "It does not exist."
    UNREACHABLE = "Unreachable", "The API server did not answer, or not usefully."
    UNREADABLE = "Unreadable", "It is there, and cannot be read by this version."


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """A piece that could not be read.

    Attributes:
        reason: one word for it.
        what: the piece: an object, or objects, as a right names them.
        detail: what the API server said; never a value.
    """

    reason: UnknownReason
    what: str
    detail: str = ""

    @classmethod
    def of(cls, error: ClusterError, *, verb: str, what: str) -> "Unknown":
        """Return what an error means for the piece that was asked for."""
        if isinstance(error, Forbidden):
            reason, detail = UnknownReason.RIGHT_MISSING, f"to {verb} {what}"
        elif isinstance(error, NotFound):
            reason, detail = UnknownReason.ABSENT, ""
        else:
            refused = isinstance(error, Unauthorized)
            why = "the credential is not accepted: " if refused else ""
            reason, detail = UnknownReason.UNREACHABLE, f"{why}{error}"
        return cls(reason=reason, what=what, detail=detail)

    @property
    def sentence(self) -> str:
        """Return it for people: what, and why not."""
        if self.reason is UnknownReason.RIGHT_MISSING:
            return f"{self.what}: the right {self.detail} is missing."
        if self.reason is UnknownReason.ABSENT:
            return f"{self.what}: {self.detail or 'there is none'}."
        return f"{self.what}: {self.detail or self.reason.sentence}"
