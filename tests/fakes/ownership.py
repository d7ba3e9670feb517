"""Server-side apply: who owns which field, and what an apply makes of an object.

A small model of the real thing, held to it by the contract suite: maps merge, lists are
atomic except `webhooks`, which merges by name; what a manager no longer applies goes,
unless somebody else owns it too.
"""

import copy
import marshal
from collections.abc import Iterator
from typing import Any, TypeVar

Path = tuple[str, ...]
T = TypeVar("T")

_SERVER_OWNED = frozenset(
    {"managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"}
)


def copied(body: T) -> T:
    """A copy, of JSON as fast and as deep as can be."""
    plain: Any = body
    try:
        made: T = marshal.loads(marshal.dumps(plain))  # noqa: S302 - what we just wrote
    except ValueError:  # a member of an enumeration is no plain text
        return copy.deepcopy(body)
    return made


def paths(body: dict[str, Any]) -> set[Path]:
    """Every leaf that an apply of this body owns."""
    return {
        path
        for path in _walk(body, ())
        if path[0] not in ("apiVersion", "kind")
        and not (
            path[0] == "metadata" and path[1] in {*_SERVER_OWNED, "name", "namespace"}
        )
    }


def _walk(value: Any, at: Path) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _walk(child, (*at, key))
    elif at == ("webhooks",):
        for entry in value:
            yield from _walk(
                {k: v for k, v in entry.items() if k != "name"},
                (*at, f"name={entry['name']}"),
            )
    else:
        yield at


def read(body: dict[str, Any], path: Path) -> Any:
    """The value at a path; None where there is none."""
    found: Any = body
    for step in path:
        if isinstance(found, list):
            name = step.removeprefix("name=")
            named = (e for e in found if isinstance(e, dict) and e.get("name") == name)
            found = next(named, None)
        elif isinstance(found, dict):
            found = found.get(step)
        else:
            return None
    return found


def patch(
    body: dict[str, Any], applied: dict[str, Any], gone: set[Path]
) -> dict[str, Any]:
    """The object after an apply: what was applied put in, what is gone taken out."""
    result: dict[str, Any] = copied(body)
    for path in gone:
        parent = read(result, path[:-1])
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
    return _into(result, copied(applied))


def _into(target: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _into(target[key], value)
        elif key == "webhooks" and isinstance(target.get(key), list):
            by_name = {entry["name"]: entry for entry in target[key]}
            for entry in value:
                _into(by_name[entry["name"]], entry)
        else:
            target[key] = value
    return target


def patched(body: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The object after a JSON merge patch, its version left as it was."""
    result = copied(body)
    _patch(result, patch)
    result["metadata"]["resourceVersion"] = body["metadata"]["resourceVersion"]
    return result


def _patch(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _patch(target.setdefault(key, {}), value)
        else:
            target[key] = copied(value)


def tree(owned: set[Path]) -> dict[str, Any]:
    """The paths as the server's `fieldsV1`."""
    root: dict[str, Any] = {}
    for path in sorted(owned):
        at = root
        for step in path:
            at = at.setdefault(f"f:{step}", {})
    return root
