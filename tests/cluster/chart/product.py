"""The companion beside an installed chart, and what it keeps in the chart's objects."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tests.chart.rendering import RELEASE, Rendered
from tests.chart.test_settings import environ
from tests.lab.api import Api, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import Process

COMPANION: Final = f"{RELEASE}-companion"
CONFIGURATIONS: Final = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
)
CONFIGURATION: Final = f"{CONFIGURATIONS}/{RELEASE}"


@contextmanager
def companion(
    plane: ControlPlane,
    rendered: Rendered,
    namespace: str,
    *,
    begun: Callable[[], bool] | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Process]:
    """The real companion, with the chart's settings and its account's rights.

    It runs for the block, which begins when everything that it keeps is there, or what
    `begun` asks for; `settings` beat the chart's.
    """
    account = plane.kubeconfig_for(namespace, COMPANION)
    process = Process.start(
        "companion",
        [Path(sys.executable).with_name("tracking-injector"), "companion"],
        log=plane.folder / "companion.log",
        env=environ(rendered, "companion")
        | plane.environ(account)
        | {"MTI_HEALTH_BIND": "127.0.0.1:0", "MTI_IDENTITY": "one"}
        | dict(settings),
    )
    try:
        process.wait_until(
            begun or (lambda: all(map(_whole, kept(plane.admin, namespace))))
        )
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
