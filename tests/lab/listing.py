"""What there is in a cluster, to say that two moments are the same."""

from contextlib import suppress
from typing import Final

from tests.lab.api import Api, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import wait_for
from tests.lab.tools import LabError

_PASSING: Final = {
    "events": "what happened, for an hour",
    "componentstatuses": "computed when asked",
}
"""Resources that come and go by themselves, and why."""

_RENEWED: Final = {
    "leases": "whoever holds one renews it",
    "servicecidrs": "1.33 writes its status anew whenever a Service gets an address",
}
"""Resources that change by themselves, and why: of these, only what there is counts."""


def listing(plane: ControlPlane) -> set[str]:
    """Every object of the cluster, as `resource namespace/name`, but Events."""
    return set(versions(plane.admin))


def versions(admin: Api) -> dict[str, str]:
    """Every object of the cluster, with its identity and version.

    Equal answers mean: nothing was left, nothing is missing, nothing was changed.
    """
    groups = [one["preferredVersion"]["groupVersion"] for one in _groups(admin)]
    found = {}
    for root in ("/api/v1", *(f"/apis/{group}" for group in groups)):
        for resource in admin.get(root)["resources"]:
            name = resource["name"]
            if "list" not in resource["verbs"] or name in _PASSING:
                continue
            for one in admin.get(f"{root}/{name}")["items"]:
                metadata = one["metadata"]
                place = f"{metadata.get('namespace', '')}/{metadata['name']}"
                version = "" if name in _RENEWED else metadata["resourceVersion"]
                found[f"{root}/{name} {place}"] = f"{metadata['uid']} {version}"
    return found


def _groups(admin: Api) -> list[Object]:
    groups: list[Object] = admin.get("/apis")["groups"]
    return groups


def settled(admin: Api, before: dict[str, str]) -> dict[str, str]:
    """Wait until the cluster is as it was, or a minute; how it then is.

    Garbage collection runs behind a deletion.
    """
    after = before

    def same() -> bool:
        nonlocal after
        after = versions(admin)
        return after == before

    with suppress(LabError):  # the caller compares, which says more
        wait_for("the cluster as before", same, seconds=60)
    return after
