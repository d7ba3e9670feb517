"""Whether an object has the shape of a pod, as far as a decision reads it.

kube-apiserver only sends pods that do. Whoever else reaches the port may send
anything, and the rest of the package then need not ask at each step.
"""

from typing import Any


def is_pod(pod: Any) -> bool:
    """Check every field that recognition and the patch look at.

    Args:
        pod: Any JSON value.

    Returns:
        True when labels and annotations are maps of strings, containers are named
        objects, and `env` and `envFrom` are lists of objects; each map and list but
        the containers may be absent or null.
    """
    if not isinstance(pod, dict):
        return False
    metadata = pod.get("metadata")
    spec = pod.get("spec")
    return (
        isinstance(metadata, dict)
        and _is_text_map(metadata.get("labels"))
        and _is_text_map(metadata.get("annotations"))
        and isinstance(spec, dict)
        and isinstance(spec.get("containers"), list)
        and all(map(_is_container, spec["containers"]))
    )


def _is_container(container: Any) -> bool:
    return (
        isinstance(container, dict)
        and isinstance(container.get("name"), str)
        and _is_list_of(_is_env, container.get("env"))
        and _is_list_of(_is_env_from, container.get("envFrom"))
    )


def _is_env(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), str)


def _is_env_from(source: Any) -> bool:
    return isinstance(source, dict) and isinstance(source.get("secretRef"), dict | None)


def _is_list_of(is_item: Any, value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(map(is_item, value)))


def _is_text_map(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    )
