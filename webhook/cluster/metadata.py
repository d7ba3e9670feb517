"""Reads the metadata that every Kubernetes object has.

Pure: JSON as the API server sends it in, values out. Nothing here raises: whatever
cannot be read counts as absent, since a tenant's object must not stop its reader.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from webhook.cluster.interface import Json, ObjectKey

_DIGITS: Final = 20
"""A resourceVersion is an unsigned number of 64 bits."""


def of(body: Json) -> Mapping[str, Any]:
    """Return the object's metadata; empty where there is none."""
    return mapping(mapping(body).get("metadata"))


def key(body: Json) -> ObjectKey:
    """Return the object's address; a part that is missing is empty."""
    return ObjectKey(_text(body, "namespace"), _text(body, "name"))


def labels(body: Json) -> Mapping[str, str]:
    """Return the object's labels, also where the field is absent or null."""
    return mapping(of(body).get("labels"))


def annotations(body: Json) -> Mapping[str, str]:
    """Return the object's annotations, also where the field is absent or null."""
    return mapping(of(body).get("annotations"))


def resource_version(body: Json) -> str:
    """Return the resourceVersion as the server gave it."""
    return _text(body, "resourceVersion")


def revision(body: Json) -> int:
    """Return the resourceVersion as a number that grows with each write."""
    return parse_revision(resource_version(body))


def parse_revision(version: str) -> int:
    """Return a resourceVersion as a number; 0 where it is none.

    Kubernetes promises since 1.35 that versions of one resource compare as integers;
    every server backed by etcd always did.
    """
    readable = version.isdecimal() and len(version) <= _DIGITS
    return int(version) if readable else 0


def uid(body: Json) -> str:
    """Return the object's UID: another object of the same name has another one."""
    return _text(body, "uid")


def controller(body: Json) -> Mapping[str, str] | None:
    """Return the owner reference of the object's controller, if it has one."""
    for owner in mappings(of(body).get("ownerReferences")):
        if owner.get("controller") is True:
            return owner
    return None


def parse_time(text: object) -> datetime | None:
    """Return a Kubernetes timestamp as UTC-aware time.

    Kubernetes can hold the years 0 and 10000, Python cannot: such a time is None, as is
    everything that is no timestamp.
    """
    if not isinstance(text, str):
        return None
    try:
        return _utc(text)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=1024)
def _utc(text: str) -> datetime:
    """Return one object for all who have this time: many things share a second."""
    return datetime.fromisoformat(text).astimezone(UTC)


def creation_time(body: Json) -> datetime | None:
    """Return when the object was created."""
    return parse_time(of(body).get("creationTimestamp"))


def last_write_time(body: Json, *path: str, manager: str = "") -> datetime | None:
    """Return when a field was last written, as the server's managed fields tell.

    A write that changes nothing does not count: the server keeps the older time.

    Args:
        body: the object.
        path: the field, such as `of`, `labels`, `team`; empty means any field.
        manager: only what this field manager wrote.

    Returns:
        The latest time, or None where nobody is on record.
    """
    times = [
        parse_time(entry.get("time"))
        for entry in mappings(of(body).get("managedFields"))
        if not manager or entry.get("manager") == manager
        if _owns(entry.get("fieldsV1"), path)
    ]
    return max((time for time in times if time), default=None)


def _owns(fields: object, path: tuple[str, ...]) -> bool:
    for step in path:
        fields = mapping(fields)
        if f"f:{step}" not in fields:
            return False
        fields = fields[f"f:{step}"]
    return True


def mapping(value: object) -> Mapping[str, Any]:
    """Return a value that is a mapping; an empty one instead of anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield those values of a list that are mappings; of anything else none."""
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield one


def _text(body: Json, field: str) -> str:
    value = of(body).get(field)
    return value if isinstance(value, str) else ""
