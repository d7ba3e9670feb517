"""Wires egress from the companion's settings."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from webhook.cluster.ports import Key
from webhook.companion.egress.concern import Egress, Options
from webhook.companion.egress.names import Names, Wakes
from webhook.companion.egress.seen import Watched, watch
from webhook.companion.means import Means
from webhook.companion.resolver import Resolver, nameservers
from webhook.egress.destination import parse_extra
from webhook.egress.memory import Limits
from webhook.egress.mode import Mode
from webhook.mirror.plan import Scope, Supply
from webhook.settings import CompanionSettings, SettingError

RESOLV_CONF: Final = Path("/etc/resolv.conf")
"""The kubelet writes the same one for task pods: both have `ClusterFirst`."""


@dataclass(frozen=True, slots=True)
class Reaching:
    """Egress, wired: what it follows, and its two concerns."""

    watched: Watched
    names: Names
    egress: Egress


def reaching(
    means: Means,
    settings: CompanionSettings,
    home: str,
    scope: Scope,
    supplies: Callable[[], Mapping[str, Supply]],
    wakes: Mapping[str, threading.Event],
) -> Reaching | None:
    """The concerns; none where egress is off.

    Raises:
        SettingError: a host in the settings is none.
    """
    if settings.egress_mode is Mode.OFF:
        return None
    try:
        extra = [parse_extra(h, "MTI_EGRESS_HOSTS") for h in settings.egress_hosts]
    except ValueError as error:
        raise SettingError(f"{error}.") from error
    spread = random.Random()  # noqa: S311 - spreads lookups in time
    watched = watch(means.resources, wakes["egress"].set, settings.watch_seconds)
    names = Names(
        means,
        Key(home, settings.egress_memory),
        Resolver(),
        limits=Limits(grace=timedelta(hours=settings.egress_grace_hours)),
        jitter=lambda: spread.uniform(-1, 1),
        wakes=Wakes(names=wakes["names"].set, egress=wakes["egress"].set),
    )
    options = Options(
        mode=settings.egress_mode,
        extra=tuple(extra),
        nameservers=nameservers(RESOLV_CONF.read_text("utf-8")),
        domain=settings.cluster_domain,
    )
    egress = Egress(means, watched, names, supplies, scope=scope, options=options)
    return Reaching(watched, names, egress)
