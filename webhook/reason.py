"""The base of every closed vocabulary of reasons. Pure."""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A word for programs, and a sentence for people.

    The value is the metric's label, the log's field, the Event's reason, the column of
    the command line and the row of the documentation.

    Attributes:
        sentence: for an Event, a warning or a table; it never repeats a value.
    """

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> Self:
        """Make a member of the two; only a value is looked up without a sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member
