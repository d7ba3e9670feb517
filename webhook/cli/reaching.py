"""Wires egress from the companion's settings."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from prometheus_client.registry import Collector

from webhook.cli.release import Release
from webhook.cluster.informer import Informer
from webhook.cluster.interface import ObjectKey
from webhook.companion.dns import ResolvConf, Resolver, read_resolv_conf
from webhook.companion.egress.concern import Egress
from webhook.companion.egress.elsewhere import Elsewhere
from webhook.companion.egress.farewell import Farewell
from webhook.companion.egress.judge import Judge
from webhook.companion.egress.measures import Measures
from webhook.companion.egress.names import Names, Wakes
from webhook.companion.egress.seen import watch
from webhook.companion.loop import Concern
from webhook.companion.means import Means
from webhook.egress.baseline import parse_baseline
from webhook.egress.destinations import parse_extra
from webhook.egress.dns_cache import DnsLimits
from webhook.egress.mode import EgressMode
from webhook.egress.options import EgressOptions
from webhook.mirror.decide import ProfileContent
from webhook.settings import CompanionSettings, SettingError

RESOLV_CONF: Final = Path("/etc/resolv.conf")
"""The kubelet writes the same one for task pods: both have `ClusterFirst`."""


class Keeps(Protocol):
    """What is asked of egress as a whole, whatever its mode."""

    is_waiting: bool

    def section(self) -> dict[str, Any]:
        """For the status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaching:
    """Egress, wired.

    Attributes:
        followers: What it follows.
        concerns: What is stepped, in order.
        keeps: The one of them that writes.
        measures: Its numbers; none where there is nothing to count.
    """

    followers: tuple[Informer[Any], ...] = ()
    concerns: tuple[Concern, ...]
    keeps: Keeps
    measures: tuple[Collector, ...] = ()


def reaching(
    means: Means,
    release: Release,
    supplies: Callable[[], Mapping[str, ProfileContent]],
    wakes: Mapping[str, threading.Event],
) -> Reaching:
    """The concerns; where egress is off, the one that takes leave.

    Raises:
        SettingError: a host or the baseline in the settings cannot be read.
    """
    settings = release.settings
    if settings.egress_mode is EgressMode.OFF:
        farewell = Farewell(means)
        return Reaching(concerns=(farewell,), keeps=farewell)
    conf = read_resolv_conf(RESOLV_CONF.read_text("utf-8"))
    options = _options(settings, conf)
    home = ObjectKey(release.home, settings.dns_cache_configmap)
    spread = random.Random()  # noqa: S311 - spreads lookups in time
    watched = watch(means.resources, wakes["egress"].set, settings.watch_seconds)
    names = Names(
        means,
        home,
        Resolver(conf.beyond(settings.cluster_domain)),
        limits=options.limits,
        jitter=lambda: spread.uniform(-1, 1),
        wakes=Wakes(names=wakes["names"].set, egress=wakes["egress"].set),
    )
    elsewhere = Elsewhere(means.resources, release.discovery)
    judge = Judge(watched, names, elsewhere, scope=release.scope, options=options)
    egress = Egress(means, watched, judge, elsewhere, supplies)
    return Reaching(
        followers=tuple(watched.all()),
        concerns=(names, egress),
        keeps=egress,
        measures=(Measures(names, egress, leads=means.may_act),),
    )


def _options(settings: CompanionSettings, conf: ResolvConf) -> EgressOptions:
    try:
        extra = [parse_extra(h, "MTI_EGRESS_HOSTS") for h in settings.egress_hosts]
        baseline = parse_baseline(settings.egress_baseline, "MTI_EGRESS_BASELINE")
    except ValueError as error:
        raise SettingError(f"{error}.") from error
    return EgressOptions(
        mode=settings.egress_mode,
        extra=tuple(extra),
        nameservers=conf.nameservers,
        baseline=baseline,
        domain=settings.cluster_domain,
        limits=DnsLimits(
            grace=timedelta(hours=settings.egress_grace_hours),
            cap=settings.egress_addresses_per_name,
        ),
        dns_cache=settings.dns_cache_configmap,
        allowed=settings.allowed_namespaces,
        excluded=settings.excluded_namespaces,
    )
