"""Reads the metadata that every Kubernetes object has.

Pure: JSON as the API server sends it in, values out.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from webhook.cluster.interface import Json, ObjectKey


def of(body: Json) -> Mapping[str, Any]:
    """The object's metadata; empty where there is none."""
    return body.get("metadata") or {}


def key(body: Json) -> ObjectKey:
    """The object's address."""
    meta = of(body)
    return ObjectKey(meta.get("namespace", ""), meta.get("name", ""))


def labels(body: Json) -> Mapping[str, str]:
    """The object's labels, also where the field is absent or null."""
    return of(body).get("labels") or {}


def annotations(body: Json) -> Mapping[str, str]:
    """The object's annotations, also where the field is absent or null."""
    return of(body).get("annotations") or {}


def resource_version(body: Json) -> str:
    """The resourceVersion as the server gave it."""
    return str(of(body).get("resourceVersion", ""))


def revision(body: Json) -> int:
    """The resourceVersion as a number that grows with each write.

    Kubernetes promises since 1.35 that versions of one resource compare as integers;
    every server backed by etcd always did. Anything else counts as the newest.
    """
    text = resource_version(body)
    return int(text) if text.isdecimal() else 0


def uid(body: Json) -> str:
    """The object's UID: another object of the same name has another one."""
    return str(of(body).get("uid", ""))


def parse_time(text: str | None) -> datetime | None:
    """A Kubernetes timestamp as UTC-aware time; None where there is none."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def creation_time(body: Json) -> datetime | None:
    """When the object was created."""
    return parse_time(of(body).get("creationTimestamp"))


def last_write_time(body: Json, *path: str, manager: str = "") -> datetime | None:
    """When a field was last written, as the server's managed fields tell.

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
        for entry in of(body).get("managedFields") or ()
        if not manager or entry.get("manager") == manager
        if _owns(entry.get("fieldsV1") or {}, path)
    ]
    return max((time for time in times if time), default=None)


def _owns(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    for step in path:
        if f"f:{step}" not in fields:
            return False
        fields = fields[f"f:{step}"]
    return True
