"""Whether an object has the shape of a pod, as far as a decision reads it.

kube-apiserver only sends pods that do. Whoever else reaches the port may send
anything, and the rest of the package then need not ask at each step.
"""

from collections.abc import Callable
from typing import Any


def is_pod(pod: Any) -> bool:
    """Check every field that recognition and the patch look at.

    Args:
        pod: Any JSON value.

    Returns:
        True when labels and annotations are maps of strings, containers and volumes
        are named objects, and `env`, `envFrom` and `volumeMounts` are lists of
        objects; each map and list but the containers may be absent or null.
    """
    return first_error(pod) is None


def first_error(pod: Any) -> str | None:
    """Find the first field that makes an object no pod.

    Args:
        pod: Any JSON value.

    Returns:
        The field and what it should be, as `spec.containers[0].name is not a
        string`; `None` for a pod. Never a value.
    """
    if not isinstance(pod, dict):
        return "it is not a map"
    return _metadata_flaw(pod.get("metadata")) or _spec_flaw(pod.get("spec"))


def _metadata_flaw(metadata: Any) -> str | None:
    if not isinstance(metadata, dict):
        return "metadata is not a map"
    for name in ("labels", "annotations"):
        if not _is_text_map(metadata.get(name)):
            return f"metadata.{name} is not a map of strings"
    return None


def _spec_flaw(spec: Any) -> str | None:
    if not isinstance(spec, dict):
        return "spec is not a map"
    containers = spec.get("containers")
    if not isinstance(containers, list):
        return "spec.containers is not a list"
    for index, container in enumerate(containers):
        if problem := _container_flaw(container):
            return f"spec.containers[{index}]{problem}"
    problem = _list_flaw(spec, "volumes", _volume_flaw)
    return f"spec{problem}" if problem else None


def _container_flaw(container: Any) -> str | None:
    if not isinstance(container, dict):
        return " is not a map"
    if not isinstance(container.get("name"), str):
        return ".name is not a string"
    return (
        _list_flaw(container, "env", _entry_flaw)
        or _list_flaw(container, "envFrom", _source_flaw)
        or _list_flaw(container, "volumeMounts", _mount_flaw)
    )


def _list_flaw(
    owner: dict[str, Any], field: str, item_flaw: Callable[[Any], str | None]
) -> str | None:
    items = owner.get(field)
    if items is None:
        return None
    if not isinstance(items, list):
        return f".{field} is not a list"
    for index, problem in enumerate(map(item_flaw, items)):
        if problem:
            return f".{field}[{index}]{problem}"
    return None


def _mount_flaw(mount: Any) -> str | None:
    if not isinstance(mount, dict):
        return " is not a map"
    text = isinstance(mount.get("mountPath"), str)
    return None if text else ".mountPath is not a string"


def _volume_flaw(volume: Any) -> str | None:
    if problem := _entry_flaw(volume):
        return problem
    if isinstance(volume.get("configMap"), dict | None):
        return None
    return ".configMap is not a map"


def _entry_flaw(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return " is not a map"
    return None if isinstance(entry.get("name"), str) else ".name is not a string"


def _source_flaw(source: Any) -> str | None:
    if not isinstance(source, dict):
        return " is not a map"
    if isinstance(source.get("secretRef"), dict | None):
        return None
    return ".secretRef is not a map"


def _is_text_map(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    )
