"""The RFC 6902 operations that give a container its tracking keys.

Each function compares what is there with what should be and returns the difference:
nothing to do is no operation, so a second pass over a result is empty. No array is
replaced, no entry of anybody else's moves, and indices of later operations count
earlier ones in.
"""

from collections.abc import Sequence
from typing import Any, Final

from webhook.injection.names import MIRROR_SECRET
from webhook.injection.policy import InjectionPolicy, OnMissing, Precedence

Operation = dict[str, Any]
"""One RFC 6902 operation: `op`, `path` and, except for `remove`, `value`."""


_REQUIRED: Final = {"secretRef": {"name": MIRROR_SECRET}}
_OPTIONAL: Final = {"secretRef": {"name": MIRROR_SECRET, "optional": True}}


def reference(policy: InjectionPolicy) -> dict[str, Any]:
    """Return the `envFrom` entry for the mirror; it alone makes a pod wait."""
    return _OPTIONAL if policy.on_missing is OnMissing.START else _REQUIRED


def enforced(key: str) -> dict[str, Any]:
    """Return the `env` entry that takes one key from the mirror.

    It is optional: a required key that the mirror lacks would hold the pod for ever.
    """
    selector = {"key": key, "name": MIRROR_SECRET, "optional": True}
    return {"name": key, "valueFrom": {"secretKeyRef": selector}}


def refers_to_mirror(source: dict[str, Any]) -> bool:
    """Return whether an `envFrom` entry gives the tracking keys by their own names."""
    secret = source.get("secretRef") or {}
    return secret.get("name") == MIRROR_SECRET and not source.get("prefix")


def mirror_index(sources: Sequence[dict[str, Any]] | None) -> int | None:
    """Return where a container's `envFrom` first refers to the mirror, if it does."""
    for index, source in enumerate(sources or ()):
        if refers_to_mirror(source):
            return index
    return None


def env_from_operations(
    path: str,
    sources: Sequence[dict[str, Any]] | None,
    present: int | None,
    policy: InjectionPolicy,
) -> list[Operation]:
    """Put our reference where the precedence wants it.

    Moves one entry at the most. A second reference is somebody else's, added after
    an earlier pass of ours: to drop it would change who wins.

    Args:
        path: JSON pointer of the container's `envFrom`.
        sources: Its value; `None` when absent or null.
        present: Its `mirror_index`.
        policy: The operator's choices.

    Returns:
        Operations; none when our reference is in its place.
    """
    ours = reference(policy)
    if sources is None:
        return [{"op": "add", "path": path, "value": [ours]}]
    first = policy.precedence is Precedence.FALLBACK
    if sources and sources[0 if first else -1] == ours:
        return []
    added: Operation = {"op": "add", "path": f"{path}/{'0' if first else '-'}"}
    added["value"] = ours
    if present is None:
        return [added]
    return [{"op": "remove", "path": f"{path}/{present}"}, added]


def env_operations(
    path: str, entries: Sequence[dict[str, Any]] | None, policy: InjectionPolicy
) -> list[Operation]:
    """Make each enforced key hold: one entry, ours.

    An entry of the same name is replaced where it stands and its duplicates go, since
    the kubelet takes the last. A key that has none is put in front, so that `$(KEY)`
    in any other entry means ours.

    Args:
        path: JSON pointer of the container's `env`.
        entries: Its value; `None` when absent or null.
        policy: The operator's choices.

    Returns:
        Operations; none when every enforced key holds already.
    """
    if not policy.enforced_keys:
        return []
    replaced: list[Operation] = []
    duplicates: list[int] = []
    missing: list[dict[str, Any]] = []
    for key in policy.enforced_keys:
        ours = enforced(key)
        places = [i for i, e in enumerate(entries or ()) if e["name"] == key]
        if not places:
            missing.append(ours)
        elif (entries or ())[places[0]] != ours:
            replaced.append(
                {"op": "replace", "path": f"{path}/{places[0]}", "value": ours}
            )
        duplicates += places[1:]
    removed: list[Operation] = [
        {"op": "remove", "path": f"{path}/{index}"}
        for index in sorted(duplicates, reverse=True)
    ]
    if not missing:
        added: list[Operation] = []
    elif entries is None:
        added = [{"op": "add", "path": path, "value": missing}]
    else:
        added = [
            {"op": "add", "path": f"{path}/{index}", "value": ours}
            for index, ours in enumerate(missing)
        ]
    return [*replaced, *removed, *added]
