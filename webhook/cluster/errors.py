"""Errors of the API server, by meaning instead of by status code.

    ClusterError
    ├── Unavailable          nobody answered, or not now: try again later
    │   └── Throttled        429; `retry_after` says when
    └── Rejected             the API server understood and said no
        ├── NotFound
        ├── AlreadyExists
        ├── Conflict         somebody else wrote first, or owns the field
        ├── Gone             410: the version is too old, list again
        ├── Unauthorized     the credential is not valid
        ├── Forbidden        a right is missing
        │   ├── Terminating  the namespace is being deleted
        │   └── QuotaExceeded
        └── Invalid          the object as written cannot be; `fields` names where

No error carries a response body: an `Invalid` answer may quote the very value that a
Secret holds.
"""

from collections.abc import Mapping
from typing import Any, Final

from webhook.cluster.metadata import mapping, mappings

_LONGEST_MESSAGE: Final = 256
"""Enough for the API server's own sentences; a proxy's HTML page is cut."""
_LONGEST_PAUSE: Final = 60.0
"""Seconds to stay away at most: API servers ask for a few, and whoever asks for a day
would end every watch for as long."""


class ClusterError(Exception):
    """The API server could not or would not do it."""


class Unavailable(ClusterError):  # noqa: N818 - named by meaning
    """Nobody answered, the connection broke, or the server is overloaded."""


class Throttled(Unavailable):
    """Too many requests.

    Attributes:
        retry_after: seconds to stay away, as the server asked.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        """Keep the server's wish beside the message."""
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(ClusterError):  # noqa: N818 - named by meaning
    """The API server understood the request and refused it."""


class NotFound(Rejected):
    """No such object, namespace or resource type."""


class AlreadyExists(Rejected):
    """An object of that name is there already."""


class Conflict(Rejected):
    """Somebody wrote in between, or another manager owns the field."""


class Gone(Rejected):
    """The resourceVersion is older than what the server remembers."""


class Unauthorized(Rejected):
    """The credential is missing, expired or not valid."""


class Forbidden(Rejected):
    """A right is missing; the message names it."""


class Terminating(Forbidden):
    """The namespace is being deleted and takes nothing new."""


class QuotaExceeded(Forbidden):
    """The namespace's ResourceQuota is used up."""


class Invalid(Rejected):
    """The object cannot be stored as written.

    Attributes:
        fields: paths of the offending fields, such as `type` or `data[KEY]`.
    """

    def __init__(self, message: str, *, fields: tuple[str, ...] = ()) -> None:
        """Keep the offending fields beside the message."""
        super().__init__(message)
        self.fields = fields


def from_status(
    code: int,
    status: Mapping[str, Any],
    *,
    what: str,
    secret: bool = False,
    retry_after: float = 1.0,
) -> ClusterError:
    """Return the error that an answer of the API server means.

    Args:
        code: HTTP status, or the `code` of a watch's ERROR event.
        status: the parsed `Status` object, or an empty mapping when the body was none.
        what: verb and address, such as `patch secrets ray/michelangelo-tracking`.
        secret: whether the object holds values; the server's sentence about an invalid
            one is then left out, since it may quote them.
        retry_after: seconds from the `Retry-After` header, for 429 and 503.
    """
    details = mapping(status.get("details"))
    causes = tuple(mappings(details.get("causes")))
    reason = status.get("reason") or f"HTTP {code}"
    said = str(status.get("message") or "")[:_LONGEST_MESSAGE]
    sentence = f"{what}: {said or reason}"
    if code == 429:
        asked = details.get("retryAfterSeconds")
        wish = asked if isinstance(asked, int | float) else retry_after
        bounded = min(max(0.0, wish), _LONGEST_PAUSE)
        return Throttled(sentence, retry_after=bounded)
    if code >= 500 or code < 400:
        return Unavailable(f"{what}: {reason}" if secret else sentence)
    if code == 403:
        return _forbidden(sentence, said, causes)
    plain: dict[int, type[Rejected]] = {401: Unauthorized, 404: NotFound, 410: Gone}
    if code in plain:
        return plain[code](sentence)
    if code == 409:
        kind = AlreadyExists if reason == "AlreadyExists" else Conflict
        return kind(f"{what}: {reason}")
    fields = tuple(str(cause.get("field", "")) for cause in causes)
    if secret:
        sentence = f"{what}: {reason}" + (f" at {', '.join(fields)}" if fields else "")
    return Invalid(sentence, fields=fields)


def _forbidden(
    sentence: str, said: str, causes: tuple[Mapping[str, Any], ...]
) -> Forbidden:
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return Terminating(sentence)
    # The quota plugin gives no machine-readable cause; this is its fixed wording.
    if "exceeded quota" in said:
        return QuotaExceeded(sentence)
    return Forbidden(sentence)
