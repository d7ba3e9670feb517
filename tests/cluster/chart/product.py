"""The companion beside an installed chart, and what it keeps in the chart's objects."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.chart.rendering import RELEASE, Rendered
from tests.chart.test_settings import environ
from tests.lab.api import Api, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import Process, free_port, wait_for
from tests.lab.tools import LabError

COMPANION: Final = f"{RELEASE}-companion"
CONFIGURATIONS: Final = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
)
CONFIGURATION: Final = f"{CONFIGURATIONS}/{RELEASE}"


@contextmanager
def companion(
    plane: ControlPlane, rendered: Rendered, namespace: str
) -> Iterator[Process]:
    """The real companion, with the chart's settings and its account's rights.

    It runs for the block, which begins when everything that it keeps is there.
    """
    account = plane.kubeconfig_for(namespace, COMPANION)
    process = Process.start(
        "companion",
        [Path(sys.executable).with_name("tracking-injector"), "companion"],
        log=plane.folder / "companion.log",
        env=environ(rendered, "companion")
        | plane.environ(account)
        | {"MTI_HEALTH_BIND": f"127.0.0.1:{free_port()}", "MTI_IDENTITY": "one"},
    )
    try:
        process.wait_until(lambda: all(map(_whole, kept(plane.admin, namespace))))
        yield process
    finally:
        process.stop(seconds=10)


def kept(admin: Api, namespace: str) -> list[Any]:
    """What the companion wrote: bundles, the serving pair, the rotation's state."""
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    return [
        [one["clientConfig"].get("caBundle") for one in entries(admin)],
        admin.get(f"{secrets}/{RELEASE}-tls").get("data"),
        admin.get(f"{secrets}/{RELEASE}-tls-state").get("data"),
    ]


def _whole(value: Any) -> bool:
    return bool(value) and None not in value


def entries(admin: Api) -> list[Object]:
    """The entries of the webhook configuration."""
    found: list[Object] = admin.get(CONFIGURATION)["webhooks"]
    return found


_PASSING: Final = {
    "events": "what happened, for an hour",
    "leases": "renewed by whoever holds them; ours are looked for by name",
    "componentstatuses": "computed when asked",
}
"""Resources that change by themselves, and why."""


def listing(admin: Api) -> dict[str, str]:
    """Every object of the cluster, with its identity and version.

    Equal listings mean: nothing was left, nothing is missing, nothing was changed.
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
                version = f"{metadata['uid']} {metadata['resourceVersion']}"
                found[f"{root}/{name} {place}"] = version
    leases = admin.get("/apis/coordination.k8s.io/v1/leases")["items"]
    ours = [one for one in leases if RELEASE in one["metadata"]["name"]]
    return found | {f"lease {one['metadata']['name']}": "" for one in ours}


def _groups(admin: Api) -> list[Object]:
    groups: list[Object] = admin.get("/apis")["groups"]
    return groups


def settle(admin: Api, before: dict[str, str]) -> dict[str, str]:
    """Wait until the listing is as it was; the listing, as it then is.

    Garbage collection runs behind a deletion.
    """
    after = listing(admin)

    def same() -> bool:
        nonlocal after
        after = listing(admin)
        return after == before

    with suppress(LabError):  # the caller compares, which says more
        wait_for("the listing as before", same, seconds=60)
    return after
