"""The companion's egress as a process of its own, to be killed at any moment.

`python -m tests.cluster.egress_companion KUBECONFIG NAMESPACE`: DNS and keys are
fixed, all else is the product's.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from webhook.cluster.config import load_kubeconfig
from webhook.cluster.events import EventRecorder
from webhook.cluster.interface import ObjectKey
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Interests, build_caches
from webhook.companion.controller import Context, Controller
from webhook.companion.dns_controller import DnsController
from webhook.companion.egress.controller import EgressController, EgressResult
from webhook.companion.egress.engine_detection import EngineDetector
from webhook.companion.egress.planner import EgressSources
from webhook.companion.egress.service_index import ServiceIndexCache
from webhook.egress.dns_cache import DnsAnswer, DnsOutcome
from webhook.egress.options import EgressOptions
from webhook.injection.names import FIELD_MANAGER
from webhook.mirror.decide import ProfileContent
from webhook.mirror.merge import MergedKeys
from webhook.secret_bytes import SecretBytes


class Quiet:
    """A log that nobody reads."""

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Drops it, but for failures."""
        if level != "info":
            sys.stderr.write(f"{event} {fields}\n")


class FixedProfiles:
    """One profile, which never changes."""

    def content(self, name: str) -> ProfileContent | None:
        """Return keys that name a server."""
        del name
        keys = {"TRACKING_URI": SecretBytes(b"https://mlflow.example.org")}
        return ProfileContent(content=MergedKeys(data=keys, digest="1"))

    def subscribe(self, on_change: Callable[[str], None]) -> None:
        """Never call back."""


def look_up(name: str, now: datetime) -> DnsAnswer:
    """Return the one answer."""
    del name
    found = (ip_address("203.0.113.7"),)
    return DnsAnswer(now, DnsOutcome.NOERROR, found, timedelta(seconds=60))


def main(kubeconfig: str, home: str) -> None:
    """Run until it is killed; say when it has decided for the first time."""
    access = load_kubeconfig(manager=FIELD_MANAGER, path=Path(kubeconfig))
    port = access.resources
    context = Context(
        client=port,
        log=Quiet(),
        recorder=EventRecorder(port, component="companion", instance="a"),
        is_leader=lambda: True,
        clock=lambda: datetime.now(UTC),  # noqa: TID251 - an entry point
        release=f"{home}.tracking-injector",
    )
    caches = build_caches(port, Interests(release_namespace=home, pods=False))
    assert caches.egress is not None
    options = EgressOptions(nameservers=(ip_address("10.0.0.10"),))
    dns_queue, queue = WorkQueue("dns"), WorkQueue("egress")
    dns = DnsController(
        context,
        dns_queue,
        look_up,
        ObjectKey(home, options.dns_cache),
        limits=options.limits,
        jitter=lambda: 0.0,
    )
    sources = EgressSources(
        profiles=FixedProfiles(),
        index=ServiceIndexCache(caches.egress, options.domain),
        dns=dns,
        engines=EngineDetector(context, WorkQueue("engines")),
    )
    egress = EgressController(context, caches, queue, sources, options)
    controller = Controller(reconciler=egress, queue=queue, context=context)
    names = Controller(reconciler=dns, queue=dns_queue, context=context)
    stop = threading.Event()
    runs = [informer.run for informer in caches.all()]
    runs += [controller.run, names.run]
    threads = [threading.Thread(target=run, args=(stop,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    while not _has_decided(controller.results.items()):
        time.sleep(0.01)
    sys.stdout.write("following\n")
    sys.stdout.flush()
    threads[0].join()


def _has_decided(results: Mapping[str, EgressResult]) -> bool:
    return bool(results) and not any(one.waiting for one in results.values())


if __name__ == "__main__":
    main(*sys.argv[1:])
