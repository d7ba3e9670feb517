"""The companion's egress as a process of its own, to be killed at any moment.

`python -m tests.cluster.egress_companion KUBECONFIG NAMESPACE`: DNS and keys are
fixed, all else is the product's.
"""

import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from webhook.cluster.config import load_kubeconfig
from webhook.cluster.events import EventRecorder
from webhook.cluster.interface import ObjectKey
from webhook.companion.egress.concern import Egress
from webhook.companion.egress.elsewhere import Elsewhere
from webhook.companion.egress.judge import Judge, Options
from webhook.companion.egress.names import Names, Wakes
from webhook.companion.egress.seen import watch
from webhook.companion.loop import Concern, Runner, Surroundings
from webhook.companion.means import Means
from webhook.egress.dns_cache import DnsAnswer, DnsLimits, DnsOutcome
from webhook.egress.network_policy import Address
from webhook.injection.names import FIELD_MANAGER
from webhook.mirror.decide import NamespaceFilter, ProfileContent
from webhook.mirror.merge import MergedKeys
from webhook.secret_bytes import SecretBytes


class Quiet:
    """A log that nobody reads."""

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Drops it, but for failures."""
        if level != "info":
            sys.stderr.write(f"{event} {fields}\n")


class Fixed:
    """DNS with one answer."""

    def look_up(
        self, name: str, servers: Sequence[tuple[Address, int]], now: datetime
    ) -> DnsAnswer:
        """The answer."""
        del name, servers
        found = (ip_address("203.0.113.7"),)
        return DnsAnswer(now, DnsOutcome.NOERROR, found, timedelta(seconds=60))


def main(kubeconfig: str, home: str) -> None:
    """Runs until it is killed; says when it has decided for the first time."""
    access = load_kubeconfig(manager=FIELD_MANAGER, path=Path(kubeconfig))
    port, log = access.resources, Quiet()
    announcer = EventRecorder(port, component="companion", instance="a")
    means = Means(resources=port, announcer=announcer, log=log)
    woken = {"names": threading.Event(), "egress": threading.Event()}
    watched = watch(port, woken["egress"].set)
    addresses = ObjectKey(home, "tracking-injector-addresses")
    names = Names(
        means,
        addresses,
        Fixed(),
        limits=DnsLimits(),
        jitter=lambda: 0.0,
        wakes=Wakes(names=woken["names"].set, egress=woken["egress"].set),
    )
    keys = {"TRACKING_URI": SecretBytes(b"https://mlflow.example.org")}
    supplies = {"default": ProfileContent(MergedKeys(keys, "1", ()), None)}
    options = Options(nameservers=(ip_address("10.0.0.10"),))
    elsewhere = Elsewhere(port, port)
    judge = Judge(watched, names, elsewhere, scope=NamespaceFilter(), options=options)
    egress = Egress(means, watched, judge, elsewhere, lambda: supplies)
    surroundings = Surroundings(
        leads=lambda: True,
        clock=lambda: datetime.now(UTC),  # noqa: TID251 - an entry point
        log=log,
        failed=lambda _: None,
    )
    stop = threading.Event()
    concerns: tuple[Concern, ...] = (names, egress)
    runs = [follower.run for follower in watched.all()]
    runs += [Runner(one, woken[one.name], surroundings).run for one in concerns]
    runs.append(announcer.run)
    threads = [threading.Thread(target=run, args=(stop,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    while egress.is_waiting:
        time.sleep(0.01)
    sys.stdout.write("following\n")
    sys.stdout.flush()
    threads[0].join()


if __name__ == "__main__":
    main(*sys.argv[1:])
