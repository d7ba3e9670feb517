"""Label selectors: what they select, and what can be told from their text alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

Json = Mapping[str, Any]


class Operator(StrEnum):
    """The operators of a label selector requirement."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One condition on labels; `matchLabels` entries are `In` with one value."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet the condition."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case _:
                return self.key not in labels


_ORDER = attrgetter("key", "operator", "values")
"""The order of a requirement's fields, without making a tuple for each comparison."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector: all requirements hold. None at all selects everything.

    Attributes:
        requirements: Sorted and without duplicates, so that equal selectors compare
            equal however they were written.
    """

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def of(cls, *requirements: Requirement) -> "Selector":
        """Return a selector in canonical form."""
        return cls(tuple(sorted(set(requirements), key=_ORDER)))

    @classmethod
    def labels(cls, labels: Mapping[str, str]) -> "Selector":
        """Return the selector that asks for exactly these labels."""
        return cls.parse({"matchLabels": labels})

    @classmethod
    def parse(cls, raw: Json) -> "Selector":
        """Read a LabelSelector.

        Raises:
            ValueError: An operator is unknown, or a key or value no label can have.
        """
        found = [
            Requirement(_text(key), Operator.IN, (_text(value),))
            for key, value in (raw.get("matchLabels") or {}).items()
        ]
        for item in raw.get("matchExpressions") or ():
            values = tuple(sorted({_text(value) for value in item.get("values") or ()}))
            operator = Operator(item["operator"])
            found.append(Requirement(_text(item["key"]), operator, values))
        return cls.of(*found)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __and__(self, other: "Selector") -> "Selector":
        """Return the selector of what both select."""
        return Selector.of(*self.requirements, *other.requirements)

    def implies(self, other: "Selector") -> bool:
        """Return whether `other` is sure to select whatever this selects.

        Read off the text: `False` may also mean that it cannot be told.
        """
        return set(other.requirements) <= set(self.requirements)

    @property
    def contradictory(self) -> bool:
        """Return whether no labels can meet all requirements."""
        if len({r.key for r in self.requirements}) == len(self.requirements):
            return False
        by_key: dict[str, list[Requirement]] = {}
        for requirement in self.requirements:
            by_key.setdefault(requirement.key, []).append(requirement)
        return not all(_satisfiable(group) for group in by_key.values())

    def render(self) -> dict[str, Any]:
        """Return the LabelSelector as the API takes it."""
        labels: dict[str, str] = {}
        expressions: list[dict[str, Any]] = []
        for item in self.requirements:
            single = item.operator is Operator.IN and len(item.values) == 1
            if single and item.key not in labels:
                labels[item.key] = item.values[0]
                continue
            raw = {"key": item.key, "operator": str(item.operator)}
            expressions.append(
                raw | ({"values": list(item.values)} if item.values else {})
            )
        return ({"matchLabels": labels} if labels else {}) | (
            {"matchExpressions": expressions} if expressions else {}
        )


EVERYTHING: Final = Selector()
"""The empty selector."""


def _satisfiable(group: Sequence[Requirement]) -> bool:
    """Return whether one label can meet requirements that all speak of its key."""
    candidates = {v for r in group if r.operator is Operator.IN for v in r.values}
    key = group[0].key
    if any(r.operator is Operator.IN for r in group):
        return any(all(r.matches({key: v}) for r in group) for v in candidates)
    operators = {r.operator for r in group}
    return not {Operator.EXISTS, Operator.DOES_NOT_EXIST} <= operators


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isascii():
        message = "a selector asks for what no label can be"
        raise ValueError(message)
    return value
