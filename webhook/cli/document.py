"""Walks a document, so that an error can name the file, the document and the field.

Every error of the input is a `BadInputError` of one sentence, and never repeats a
value: what is wrong may stand in a Secret.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import click

_KEY: Final = re.compile(r"[-._/a-zA-Z0-9]{1,317}")
"""What keys of objects, labels and Secrets consist of."""


class BadInputError(click.ClickException):
    """Input that is not what it should be: one sentence, exit code 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Field:
    """A value within a document and the way to it.

    Attributes:
        value: Any JSON value; `None` when absent or null.
        origin: The document, as `pods.yaml, document 2`.
        path: The way from the document to the value, as `spec.containers[0]`.
    """

    value: Any
    origin: str
    path: str = ""

    def at(self, key: str) -> "Field":
        """The value under a key; this value must be a map.

        Of `K:value`, without the space, YAML makes a key: it is not repeated either.
        """
        shown = key if _KEY.fullmatch(key) else "(a key)"
        path = f"{self.path}.{shown}" if self.path else shown
        return Field(self.map().get(key), self.origin, path)

    def or_empty(self) -> "Field":
        """This node, with an empty map in the place of an absent value."""
        return Field(self.map_or_empty(), self.origin, self.path)

    def map(self) -> dict[str, Any]:
        """The value, which must be a map."""
        if not isinstance(self.value, dict):
            raise self.error("is missing" if self.value is None else "is not a map")
        return self.value

    def map_or_empty(self) -> dict[str, Any]:
        """The value, which must be a map or absent."""
        return {} if self.value is None else self.map()

    def texts(self) -> dict[str, str]:
        """The value, which must be a map of strings or absent."""
        for key, value in self.map_or_empty().items():
            if not isinstance(value, str):
                raise self.at(key).error("is not a string")
        return self.map_or_empty()

    def items(self) -> list["Field"]:
        """The value's members; it must be a list or absent."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.error("is not a list")
        return [
            Field(item, self.origin, f"{self.path}[{index}]")
            for index, item in enumerate(self.value)
        ]

    def text(self) -> str:
        """The value, which must be a string; empty when absent."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str):
            raise self.error("is not a string")
        return self.value

    def error(self, problem: str) -> BadInputError:
        """The error that this field has the problem."""
        return BadInputError(f"{self.origin}: {self.path or 'it'} {problem}.")
