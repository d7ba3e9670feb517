"""The RFC 6902 operations that give task containers the tracking server's CA.

One volume for the pod and one mount for each task container. The volume is optional, so
that no pod ever waits for it, and a container that has anything mounted there keeps
what it has.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from webhook.injection.names import CA_CONFIG_MAP, CA_DIRECTORY
from webhook.injection.patch import Operation

VOLUME: Final = {
    "name": CA_CONFIG_MAP,
    "configMap": {"name": CA_CONFIG_MAP, "optional": True},
}
MOUNT: Final = {
    "name": CA_CONFIG_MAP,
    "mountPath": CA_DIRECTORY,
    "readOnly": True,
}
_PARENT: Final = CA_DIRECTORY.rpartition("/")[0]
IN_THE_WAY: Final = f"{_PARENT}/*|{CA_DIRECTORY}(/(?s:.*))?"
"""Paths of mounts, as a pattern: what is mounted on the parent may have no room for a
directory of ours."""
_IS_IN_THE_WAY: Final = re.compile(IN_THE_WAY)


def certificate_operations(
    spec: dict[str, Any], indices: Sequence[int]
) -> list[Operation]:
    """Mount the CA into containers that have nothing there.

    Args:
        spec: The pod's.
        indices: Of the task containers.

    Returns:
        Operations; none when all is mounted, or when a volume of the name is another's.
    """
    volumes = spec.get("volumes")
    present = [one for one in volumes or () if one["name"] == CA_CONFIG_MAP]
    if any(not _is_ours(volume) for volume in present):
        return []
    mounted: list[Operation] = []
    for index in indices:
        mounts = spec["containers"][index].get("volumeMounts")
        path = f"/spec/containers/{index}/volumeMounts"
        if not any(_IS_IN_THE_WAY.fullmatch(one["mountPath"]) for one in mounts or ()):
            mounted.append(_append(path, mounts, MOUNT))
    if not mounted or present:
        return mounted
    return [_append("/spec/volumes", volumes, VOLUME), *mounted]


def _is_ours(volume: dict[str, Any]) -> bool:
    return (volume.get("configMap") or {}).get("name") == CA_CONFIG_MAP


def _append(
    path: str, present: Sequence[dict[str, Any]] | None, value: dict[str, Any]
) -> Operation:
    if present is None:
        return {"op": "add", "path": path, "value": [value]}
    return {"op": "add", "path": f"{path}/-", "value": value}
