"""Plans namespaces from the caches, and tells which ones a common change concerns.

Of each namespace it is noted what its plan was made from: the rules of its destinations
and the namespaces where its servers stand. So a change of Services or endpoints costs
the few distinct sets of destinations, and then the namespaces whose rules changed.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from webhook.companion.caches import EgressCaches
from webhook.companion.dns_controller import DnsController
from webhook.companion.egress.destinations import DestinationTracker
from webhook.companion.egress.engine_detection import EngineDetector
from webhook.companion.egress.policies import PolicyView, problems, readable
from webhook.companion.egress.service_index import ServiceIndexCache
from webhook.companion.projections import ComputeNamespace
from webhook.egress.ingress import server_namespaces
from webhook.egress.network_policy import Direction, NetworkPolicy
from webhook.egress.options import EgressOptions
from webhook.egress.plan import (
    EgressWorld,
    NamespaceInput,
    NamespacePlan,
    plan_namespace,
    required_destinations,
)
from webhook.egress.rules import EgressRules
from webhook.mirror.decide import ProfileContent


class Profiles(Protocol):
    """What each profile gives."""

    def content(self, name: str) -> ProfileContent | None:
        """Return what a profile gives now; None when there is no such profile."""

    def subscribe(self, on_change: Callable[[str], None]) -> None:
        """Call back with a profile's name when it gives something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressSources:
    """What egress is planned from, besides the caches.

    Attributes:
        profiles: the keys, which name the servers.
        index: Services, endpoints and nodes.
        dns: the addresses of names.
        engines: other engines that restrict egress.
    """

    profiles: Profiles
    index: ServiceIndexCache
    dns: DnsController
    engines: EngineDetector


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """What a namespace was last planned from.

    Attributes:
        namespace: as it was.
        rules: of its destinations.
        homes: namespaces in which its servers stand.
    """

    namespace: ComputeNamespace
    rules: EgressRules
    homes: tuple[str, ...]


class Planner:
    """Plans one namespace at a time; safe from every thread."""

    def __init__(
        self, caches: EgressCaches, sources: EgressSources, options: EgressOptions
    ) -> None:
        """Take what namespaces are planned from, and what the settings say."""
        self._caches, self._sources, self._options = caches, sources, options
        self._tracker = DestinationTracker(options.extra, options.limits.grace)
        self.policies = PolicyView(caches.policies, readable)
        self._lock = threading.Lock()
        self._basis: tuple[object, ...] = ()
        self._world: EgressWorld | None = None
        self._compared: EgressWorld | None = None
        self._planned: dict[str, _Planned] = {}
        self._ingress: dict[str, Sequence[NetworkPolicy]] = {}

    def plan(self, namespace: ComputeNamespace, now: datetime) -> NamespacePlan:
        """Plan a namespace, and note what the plan is made from."""
        world = self._current_world()
        given = self._input(namespace, now)
        planned = self._requirements(world, namespace, given)
        self._sources.dns.set_names(given.name, frozenset(planned.rules.names))
        with self._lock:
            for home in planned.homes:
                if home not in self._ingress:
                    self._ingress[home] = self._restricting_ingress(home)
            self._planned[given.name] = planned
        # Asked for again: what is noted is queued for changes from here on.
        return plan_namespace(self._current_world(), given, self._options)

    def expires_in(self, namespace: ComputeNamespace, now: datetime) -> float | None:
        """Return the seconds until a former server of its profile is given up."""
        return self._tracker.expires_in(namespace.profile, now)

    def forget(self, namespace: str) -> None:
        """Drop what is noted of a namespace."""
        self._sources.dns.set_names(namespace, frozenset())
        with self._lock:
            self._planned.pop(namespace, None)

    def has_servers(self, namespace: str) -> bool:
        """Return whether a server that somebody dials stands in a namespace."""
        return namespace in self._ingress

    def changed(self, now: datetime) -> Iterator[str]:
        """Yield namespaces whose rules, or whose servers' ingress, are others now."""
        world = self._current_world()
        blocked = self._changed_ingress()
        with self._lock:
            noted = tuple(self._planned.items())
        same: dict[tuple[int, int], bool] = {}
        for name, before in noted:
            if not blocked.isdisjoint(before.homes):
                yield name
            elif world is not self._compared:
                given = self._input(before.namespace, now)
                after = self._requirements(world, before.namespace, given).rules
                pair = id(before.rules), id(after)
                if pair not in same:
                    same[pair] = before.rules == after
                if not same[pair]:
                    yield name
        self._compared = world

    def _current_world(self) -> EgressWorld:
        """Return the world of now; the same object while nothing common changed."""
        sources = self._sources
        with self._lock:
            index, engines = sources.index.index(), sources.engines.detected
            basis = sources.dns.revision, index, engines
            if self._world is None or basis != self._basis:
                self._basis = basis
                self._world = EgressWorld(
                    index=index,
                    addresses=sources.dns.addresses(),
                    dns_findings=sources.dns.findings(),
                    resolved=sources.dns.is_resolved,
                    policies=self.policies,
                    unreadable=PolicyView(self._caches.policies, problems),
                    engines=engines,
                )
            return self._world

    def _input(self, namespace: ComputeNamespace, now: datetime) -> NamespaceInput:
        profile = self._sources.profiles.content(namespace.profile)
        given = NamespaceInput(
            name=namespace.name,
            labels=namespace.labels,
            egress_label=namespace.egress,
            destinations=None,
        )
        if profile is None or profile.content is None:
            return given
        derived, former = self._tracker.destinations(
            namespace.profile, profile.content, now
        )
        self._sources.dns.set_former(namespace.profile, former)
        return replace(
            given,
            destinations=derived.destinations,
            former=former,
            findings=derived.findings,
        )

    def _requirements(
        self, world: EgressWorld, namespace: ComputeNamespace, given: NamespaceInput
    ) -> _Planned:
        destinations = required_destinations(world, given, self._options)
        servers = self._options.nameservers
        return _Planned(
            namespace=namespace,
            rules=world.rules(destinations, given.name, servers),
            homes=tuple(server_namespaces(destinations, given.name, world.index)),
        )

    def _changed_ingress(self) -> frozenset[str]:
        """Return the servers' namespaces where a policy on ingress changed."""
        with self._lock:
            homes = frozenset[str]().union(*(p.homes for p in self._planned.values()))
            before = self._ingress
            self._ingress = {home: self._restricting_ingress(home) for home in homes}
            return frozenset(
                home for home in homes if before.get(home) != self._ingress[home]
            )

    def _restricting_ingress(self, namespace: str) -> Sequence[NetworkPolicy]:
        there = self.policies[namespace]
        return tuple(one for one in there if Direction.INGRESS in one.directions)
