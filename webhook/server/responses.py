"""What goes back: the status and the bytes, and nothing of what came.

A body of ours is either an AdmissionReview or a `{"reason", "message"}` object of fixed
text. Neither repeats the request; a review's uid is the one exception, for the API
server asks for it.
"""

from http import HTTPStatus
from typing import Final, NamedTuple

import orjson

from webhook.injection.reasons import Rejection

JSON = "application/json"


class Answer(NamedTuple):
    """An HTTP status and a JSON body."""

    status: int
    body: bytes


REVIEW_STATUS = {
    Rejection.TOO_LARGE: 413,
    Rejection.WRONG_CONTENT_TYPE: 415,
}
"""Statuses of rejections; the others are 400."""

SENTENCES = {
    400: ("BadRequest", "The request is not valid HTTP."),
    404: ("NotFound", "There is nothing here."),
    405: ("MethodNotAllowed", "The path has other methods."),
    408: ("RequestTimeout", "The request did not arrive in time."),
    414: ("UriTooLong", "The request line is too long."),
    431: ("HeaderFieldsTooLarge", "The request has too many or too large headers."),
    500: ("InternalError", "An error of ours."),
    501: ("NotImplemented", "The transfer coding is not known here."),
    503: ("Busy", "Too much of this at once; try again."),
}
"""Machine reason and sentence of every error that has no rejection."""


CLOSE: Final = b"Connection: close\r\n"
_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in HTTPStatus
}
_HEAD: Final = b"Content-Type: application/json\r\nContent-Length: %d\r\nDate: %s\r\n"


def on_the_wire(answer: Answer, date: bytes, more: bytes = b"") -> bytes:
    """An answer as HTTP/1.1, in one piece, of which TLS makes one record.

    Args:
        answer: What to say.
        date: The time now, as HTTP has it.
        more: Further header lines, each with its end.
    """
    head = _HEAD % (len(answer.body), date)
    return b"".join((_LINES[answer.status], head, more, b"\r\n", answer.body))


def rejected(rejection: Rejection) -> Answer:
    """The answer to a body that is no review."""
    return Answer(
        REVIEW_STATUS.get(rejection, 400), _error(rejection, rejection.sentence)
    )


def error(status: int) -> Answer:
    """The answer to a request that never got as far as its body."""
    reason, sentence = SENTENCES.get(status) or SENTENCES[400]
    return Answer(status, _error(reason, sentence))


def _error(reason: str, message: str) -> bytes:
    return orjson.dumps({"reason": reason, "message": message})
