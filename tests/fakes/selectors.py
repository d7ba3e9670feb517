"""Kubernetes' label and field selectors, as far as the product uses them."""

import re
from collections.abc import Mapping

from webhook.cluster import metadata
from webhook.cluster.interface import Json, ListOptions

_TERM = re.compile(
    r"\s*(?P<not>!)?(?P<key>[\w./-]+)\s*"
    r"(?:(?P<op>!=|==?|\bnotin\b|\bin\b)\s*(?:\((?P<set>[^)]*)\)|(?P<value>[^,]*)))?"
    r"\s*(?:,|$)"
)


def selected(selection: ListOptions, body: Json) -> bool:
    """Whether an object of the kind is among the selected."""
    address = metadata.key(body)
    if selection.namespace and address.namespace != selection.namespace:
        return False
    if selection.name and address.name != selection.name:
        return False
    return matches(selection.labels, metadata.labels(body)) and matches(
        selection.fields, _Fields(body)
    )


def matches(selector: str, values: Mapping[str, str]) -> bool:
    """Whether the values satisfy every term; an empty selector takes everything."""
    terms = [_TERM.match(part) for part in _split(selector)]
    return all(term is not None and _holds(term, values) for term in terms)


def _split(selector: str) -> list[str]:
    return [part for part in re.split(r",(?![^(]*\))", selector) if part.strip()]


def _holds(term: re.Match[str], values: Mapping[str, str]) -> bool:
    value = values.get(term["key"])
    operator = term["op"]
    if operator is None:
        return (value is None) == bool(term["not"])
    if operator in ("in", "notin"):
        wanted = {part.strip() for part in term["set"].split(",")}
        return (value in wanted) == (operator == "in")
    return (value == term["value"].strip()) == (operator != "!=")


class _Fields(Mapping[str, str]):
    """An object's fields by dotted path, empty where absent."""

    def __init__(self, body: Json) -> None:
        self._body = body

    def __getitem__(self, path: str) -> str:
        found: object = self._body
        for step in path.split("."):
            found = found.get(step, "") if isinstance(found, dict) else ""
        return str(found)

    def __iter__(self):  # type: ignore[no-untyped-def]  # nobody iterates
        return iter(())

    def __len__(self) -> int:
        return 0
