"""Reads the metadata that every Kubernetes object has.

Pure: JSON as the API server sends it in, values out.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from webhook.cluster.ports import Json, Key


def metadata(body: Json) -> Mapping[str, Any]:
    """The object's metadata; empty where there is none."""
    return body.get("metadata") or {}


def key(body: Json) -> Key:
    """The object's address."""
    meta = metadata(body)
    return Key(meta.get("namespace", ""), meta.get("name", ""))


def labels(body: Json) -> Mapping[str, str]:
    """The object's labels, also where the field is absent or null."""
    return metadata(body).get("labels") or {}


def annotations(body: Json) -> Mapping[str, str]:
    """The object's annotations, also where the field is absent or null."""
    return metadata(body).get("annotations") or {}


def version(body: Json) -> str:
    """The resourceVersion as the server gave it."""
    return str(metadata(body).get("resourceVersion", ""))


def order(body: Json) -> int:
    """The resourceVersion as a number that grows with each write.

    Kubernetes promises since 1.35 that versions of one resource compare as integers;
    every server backed by etcd always did. Anything else counts as the newest.
    """
    text = version(body)
    return int(text) if text.isdecimal() else 0


def uid(body: Json) -> str:
    """The object's UID: another object of the same name has another one."""
    return str(metadata(body).get("uid", ""))


def moment(text: str | None) -> datetime | None:
    """A Kubernetes timestamp as UTC-aware time; None where there is none."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def created(body: Json) -> datetime | None:
    """When the object was created."""
    return moment(metadata(body).get("creationTimestamp"))


def written(body: Json, *path: str, manager: str = "") -> datetime | None:
    """When a field was last written, as the server's managed fields tell.

    A write that changes nothing does not count: the server keeps the older time.

    Args:
        body: the object.
        path: the field, such as `metadata`, `labels`, `team`; empty means any field.
        manager: only what this field manager wrote.

    Returns:
        The latest time, or None where nobody is on record.
    """
    times = [
        moment(entry.get("time"))
        for entry in metadata(body).get("managedFields") or ()
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
