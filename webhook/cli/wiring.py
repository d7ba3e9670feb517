"""Builds the companion: every object once, for one release. Nothing starts here."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from webhook.cli.keeping import Keeping, keeping
from webhook.cli.kubeconfig import now
from webhook.cli.reaching import Reaching, reaching
from webhook.cli.release import Release
from webhook.cluster.config import Connection
from webhook.cluster.events import EventRecorder
from webhook.cluster.informer import Informer
from webhook.cluster.interface import ObjectKey
from webhook.cluster.leader_election import LeaderElector
from webhook.companion.auditor import Auditor
from webhook.companion.loop import Concern
from webhook.companion.means import Log, Means, always
from webhook.companion.mirrors import Mirrors
from webhook.companion.observed import Interests, Observed, Wakes, observe
from webhook.companion.process import Wake
from webhook.companion.status import Status
from webhook.companion.supply import Supplies
from webhook.mirror.profile import SourceRef, parse_profiles, refs
from webhook.settings import CompanionSettings, Switch

_CONCERNS: Final = ("mirrors", "audit", "certificates", "names", "egress", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """Everything wired together, nothing started yet."""

    release: Release
    means: Means
    observed: Observed
    leadership: LeaderElector
    mirrors: Mirrors
    auditor: Auditor
    status: Status
    keeping: Keeping | None
    reaching: Reaching
    wakes: Mapping[str, threading.Event]
    failures: Counter[str]

    def concerns(self) -> tuple[Concern, ...]:
        """What it keeps in order, in the order in which `--once` takes it."""
        kept = (self.keeping.keeper,) if self.keeping else ()
        reaches = self.reaching.concerns
        return self.mirrors, self.auditor, *kept, *reaches, self.status

    def is_in_order(self) -> bool:
        """Whether there is nothing that somebody should look into."""
        namespaces = self.mirrors.report.values()
        if self.keeping is not None and not self.keeping.keeper.is_in_order():
            return False
        return all(one.reason.is_in_order for one in namespaces) and not any(
            supply.problem for supply in self.mirrors.supplies.values()
        )


def wire(
    access: Connection, settings: CompanionSettings, log: Log, *, alone: bool = False
) -> Companion:
    """Builds the companion for a cluster; `alone`, it acts without the Lease.

    Raises:
        ProfileError: the profiles in the settings cannot be used.
        PolicyError: the certificates' durations contradict each other.
        SettingError: a host in the settings is none.
    """
    home = settings.release_namespace or access.namespace
    release = Release(access.resources, access.resources, settings, home)
    profiles, scope = parse_profiles(settings.profiles), release.scope
    wakes = {name: threading.Event() for name in _CONCERNS}
    leadership, means = _means(release, log, Wake(*wakes.values()), alone=alone)
    observed = _observed(release, refs(profiles), wakes)
    woken = wakes["egress"].set
    supplies = Supplies(profiles, listed=settings.allowed_keys, wake=woken)
    mirrors = Mirrors(means, observed, supplies, scope=scope)
    auditor = Auditor(means, observed, scope=scope, precedence=settings.precedence)
    status = Status(
        means, ObjectKey(home, settings.status_configmap), supplies, mirrors, auditor
    )
    kept = keeping(means, release, wakes, clock=now, alone=alone)
    reaches = reaching(means, release, lambda: mirrors.supplies, wakes)
    return Companion(
        release=release,
        means=means,
        observed=replace(observed, others=_join(status, kept, reaches)),
        leadership=leadership,
        mirrors=mirrors,
        auditor=auditor,
        status=status,
        keeping=kept,
        reaching=reaches,
        wakes=wakes,
        failures=Counter(),
    )


def _join(
    status: Status, kept: Keeping | None, reaches: Reaching
) -> tuple[Informer[Any], ...]:
    """Lets the report tell of certificates and egress; returns what they follow."""
    status.sections["egress"] = reaches.keeps.section
    if kept is None:
        return reaches.followers
    status.sections["certificates"] = kept.keeper.section
    return *kept.followers, *reaches.followers


def _means(
    release: Release, log: Log, wake: Callable[[], None], *, alone: bool
) -> tuple[LeaderElector, Means]:
    identity = release.settings.identity or socket.gethostname()
    lease = ObjectKey(release.home, release.settings.lease_name)
    leadership = LeaderElector(release.resources, lease, identity, clock=now, wake=wake)
    announcer = EventRecorder(
        release.resources, component="tracking-injector-companion", instance=identity
    )
    means = Means(
        resources=release.resources,
        announcer=announcer,
        log=log,
        may_act=always if alone else lambda: leadership.is_leader,
    )
    return leadership, means


def _observed(
    release: Release,
    sources: tuple[SourceRef, ...],
    wakes: Mapping[str, threading.Event],
) -> Observed:
    settings = release.settings
    interests = Interests(
        release_namespace=release.home,
        sources=sources,
        pods=settings.audit is Switch.ON,
        config_maps=settings.shadowing_config_maps,
        watch_seconds=settings.watch_seconds,
    )
    woken = Wakes(
        mirrors=Wake(wakes["mirrors"], wakes["audit"]),
        pods=Wake(wakes["audit"]),
    )
    return observe(release.resources, interests, woken)
