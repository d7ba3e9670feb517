"""The stamp: what a pod says of its own injection.

A label to select on, and an annotation to read: JSON with the version, who gave the
keys, the precedence and the containers. It is read back as text and never parsed: an
expression of the API server can do no more, and both have to judge every pod alike,
whoever wrote its annotation.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, Final

import orjson

from webhook import __version__
from webhook.injection.names import (
    INJECTED_LABEL,
    INJECTED_TRUE,
    INJECTION_ANNOTATION,
)
from webhook.injection.policy import InjectionPolicy, Precedence

CONTAINERS: Final = '"containers":['
"""Begins the names in the annotation: the last of its fields."""


class InjectedBy(StrEnum):
    """Who gave a pod its keys."""

    POLICY = "policy"
    """The API server itself, by the MutatingAdmissionPolicy."""
    WEBHOOK = "webhook"

    @property
    def mark(self) -> str:
        """What the annotation has of it."""
        return f'"by":"{self}"'


_BY_POLICY: Final = InjectedBy.POLICY.mark


def stamp_operations(
    metadata: dict[str, Any],
    containers: Sequence[str],
    policy: InjectionPolicy,
    by: InjectedBy,
) -> list[dict[str, Any]]:
    """Mark the pod as handled.

    Args:
        metadata: The pod's; labels and annotations may be absent or null.
        containers: Names of the containers that hold our reference.
        policy: The operator's choices.
        by: Who gave the keys.

    Returns:
        RFC 6902 operations; none when the pod bears this very stamp.
    """
    names = orjson.dumps(list(containers)).decode()
    note = f"{_before_names(by, policy.precedence)}{names}}}"
    return [
        *_entry("labels", metadata, INJECTED_LABEL, INJECTED_TRUE),
        *_entry("annotations", metadata, INJECTION_ANNOTATION, note),
    ]


def annotation(metadata: Mapping[str, Any]) -> str:
    """Return the annotation of an earlier pass; empty when there was none."""
    text: str = (metadata.get("annotations") or {}).get(INJECTION_ANNOTATION) or ""
    return text


def names_container(annotation: str, name: str) -> bool:
    """Return whether a stamp has a container: an earlier pass gave it our reference."""
    _, found, containers = annotation.rpartition(CONTAINERS)
    return bool(found) and f'"{name}"' in containers


def injected_by(annotation: str) -> InjectedBy:
    """Return who gave the keys, as a stamp says; one that does not is the webhook's."""
    if _BY_POLICY in annotation:
        return InjectedBy.POLICY
    return InjectedBy.WEBHOOK


@cache
def _before_names(by: InjectedBy, precedence: Precedence) -> str:
    """The annotation up to the names of the containers."""
    fields = {"version": __version__, "by": by, "precedence": precedence}
    return orjson.dumps(fields | {"containers": []}).decode().removesuffix("[]}")


def escape(token: str) -> str:
    """Escape a key for a JSON pointer (RFC 6901 §3)."""
    return token.replace("~", "~0").replace("/", "~1")


def _entry(
    field: str, metadata: dict[str, Any], key: str, value: str
) -> list[dict[str, Any]]:
    present = metadata.get(field)
    if present is None:
        return [{"op": "add", "path": f"/metadata/{field}", "value": {key: value}}]
    if present.get(key) == value:
        return []
    return [{"op": "add", "path": f"/metadata/{field}/{_ESCAPED[key]}", "value": value}]


_ESCAPED: Final = {key: escape(key) for key in (INJECTED_LABEL, INJECTION_ANNOTATION)}
