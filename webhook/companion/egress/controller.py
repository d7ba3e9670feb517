"""Keeps the egress policies of labeled namespaces as planned; the key is a namespace.

A change costs the namespaces that it concerns:

- one of a namespace, its policies, its profile or its names' addresses: that namespace;
- of a Service, an endpoint or a node: the key `RULES`, which compares the rules of the
  few distinct sets of destinations and queues the namespaces whose rules changed;
- of a policy in a namespace where a server stands: `RULES` too, which queues that
  server's callers if a policy there that restricts ingress changed.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from webhook.cluster.errors import ClusterError
from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import ObjectKey
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Caches, EgressCaches
from webhook.companion.controller import Context, Notice, Result
from webhook.companion.dns_controller import DnsController
from webhook.companion.egress.applier import Applied, Applier, NotLeadingError
from webhook.companion.egress.destinations import DestinationTracker
from webhook.companion.egress.engine_detection import EngineDetector
from webhook.companion.egress.policies import PolicyView, problems, readable
from webhook.companion.egress.service_index import ServiceIndexCache
from webhook.companion.projections import ComputeNamespace
from webhook.egress.ingress import server_namespaces
from webhook.egress.mode import EgressMode, narrowed
from webhook.egress.network_policy import Direction, NetworkPolicy
from webhook.egress.options import EgressOptions
from webhook.egress.plan import (
    EgressWorld,
    NamespaceInput,
    NamespacePlan,
    plan_namespace,
    required_destinations,
)
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.rules import EgressRules
from webhook.mirror.decide import NamespaceFilter, ProfileContent

RULES: Final = ""
"""The key of what namespaces have in common; no namespace is named so."""
_GATHER: Final = 0.1
"""Seconds in which changes of Services and endpoints are gathered."""


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
class EgressResult(Result):
    """How egress of a namespace stands.

    Attributes:
        mode: how far egress goes there.
        policies: of ours that should be there; under `observe`, that would be.
        orphans: shadows left there that no policy justifies.
        findings: sorted; `shared` among them.
        shared: of the findings, those that hold for every namespace of the profile.
        waiting: names are still to be looked up.
    """

    mode: EgressMode
    policies: int = 0
    orphans: int = 0
    findings: tuple[Finding, ...] = ()
    shared: frozenset[Finding] = frozenset()
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class _Planned:
    """What a namespace was last planned with.

    Attributes:
        rules: of its destinations.
        homes: namespaces in which its servers stand.
    """

    rules: EgressRules
    homes: frozenset[str]


class EgressController:
    """The reconciler; several workers may run it."""

    name = "egress"

    def __init__(
        self,
        context: Context,
        caches: Caches,
        queue: WorkQueue,
        sources: EgressSources,
        options: EgressOptions,
    ) -> None:
        """Subscribe to everything that namespaces are planned from.

        Args:
            context: what all controllers share.
            caches: the informers; those of egress among them.
            queue: of this controller.
            sources: what else namespaces are planned from.
            options: what the settings say.
        """
        if caches.egress is None:
            raise ValueError("egress needs its caches")
        self._context, self._caches, self._queue = context, caches, queue
        self._egress: EgressCaches = caches.egress
        self._sources, self._options = sources, options
        self._filter = NamespaceFilter(options.allowed, options.excluded)
        self._tracker = DestinationTracker(options.extra, options.limits.grace)
        self.applier = Applier(context, self._egress.policies)
        self._policies = PolicyView(self._egress.policies, readable)
        self._lock = threading.Lock()
        self._outdated = threading.Event()
        self._world = self._new_world()
        self._compared: EgressWorld | None = None
        self._was_synced = False
        self._planned: dict[str, _Planned] = {}
        self._ingress: dict[str, Sequence[NetworkPolicy]] = {}
        self._subscribe()

    def reconcile(self, key: str, now: datetime) -> EgressResult | None:
        """Plan one namespace and apply the plan; or compare the rules of all."""
        if not self._is_synced():
            return None  # half a picture would permit less; all are queued later
        if key == RULES:
            self._compare(now)
            return None
        namespace = self._caches.namespace(key)
        if namespace is None or self._filter.exclusion(key) is not None:
            return self._leave(key, now, hold=False)
        if namespace.terminating:
            return self._leave(key, now, hold=True)
        world, given = self._current_world(), self._input(namespace, now)
        self._note(world, given)
        plan = plan_namespace(world, given, self._options)
        self._sources.dns.set_names(key, frozenset(plan.names))
        if self._outdated.is_set():
            self._queue.add(key)  # what it was planned in has changed meanwhile
        applied = self.applier.apply(key, plan.desired, now, hold=plan.hold)
        return self._result(namespace, plan, applied, now)

    def failure(self, key: str, error: Exception) -> EgressResult:
        """Return the error as the namespace's; nothing is ready there."""
        namespace = self._caches.namespace(key)
        label = namespace.egress if namespace else None
        return EgressResult(
            reason=EgressReason.WRITE_REFUSED,
            mode=narrowed(self._options.mode, label),
            error=error,
            notices=tuple(self._refused(key, error)) if key != RULES else (),
        )

    def _subscribe(self) -> None:
        self._caches.namespaces.subscribe(self._namespace_changed, self._health_changed)
        self._egress.policies.subscribe(self._policy_changed, self._health_changed)
        for informer in (self._egress.services, self._egress.slices):
            informer.subscribe(lambda _: None, self._health_changed)
        self._egress.nodes.subscribe(lambda _: None, self._health_changed)
        self._sources.profiles.subscribe(self._profile_changed)
        self._sources.index.subscribe(self._index_changed)
        self._sources.dns.subscribe(self._addresses_changed)
        self._sources.engines.subscribe(self._engines_changed)

    def _namespace_changed(self, key: ObjectKey) -> None:
        self._queue.add(key.name, urgent=True)

    def _policy_changed(self, key: ObjectKey) -> None:
        if self.applier.is_writing:
            return  # it is as planned
        self._queue.add(key.namespace)
        if key.namespace in self._ingress:
            self._queue.add_after(RULES, _GATHER)

    def _profile_changed(self, profile: str) -> None:
        for key, namespace in self._caches.namespaces.items().items():
            if namespace.profile == profile:
                self._queue.add(key.name)

    def _index_changed(self) -> None:
        self._outdated.set()
        self._queue.add_after(RULES, _GATHER)

    def _addresses_changed(self, namespace: str) -> None:
        self._outdated.set()
        self._queue.add(namespace)

    def _engines_changed(self) -> None:
        self._outdated.set()
        self._queue_all()

    def _health_changed(self) -> None:
        if not self._was_synced and self._is_synced():
            self._was_synced = True
            self._queue_all()

    def _queue_all(self) -> None:
        """Queue labeled namespaces, and those where a policy of ours may be left."""
        names = {key.name for key in self._caches.namespaces.items()}
        for name in names.union(self._policies):
            self._queue.add(name)

    def _is_synced(self) -> bool:
        return self._caches.namespaces.health.synced and self._egress.is_synced()

    def _current_world(self) -> EgressWorld:
        with self._lock:
            if self._outdated.is_set():
                # Cleared first: what changes from here on outdates it again.
                self._outdated.clear()
                self._world = self._new_world()
            return self._world

    def _new_world(self) -> EgressWorld:
        dns = self._sources.dns
        return EgressWorld(
            index=self._sources.index.index(),
            addresses=dns.addresses(),
            dns_findings=dns.findings(),
            resolved=dns.is_resolved,
            policies=self._policies,
            unreadable=PolicyView(self._egress.policies, problems),
            engines=self._sources.engines.detected,
        )

    def _input(self, namespace: ComputeNamespace, now: datetime) -> NamespaceInput:
        profile = self._sources.profiles.content(namespace.profile)
        content = profile.content if profile else None
        derived = (
            None
            if content is None
            else self._tracker.destinations(namespace.profile, content, now)
        )
        return NamespaceInput(
            name=namespace.name,
            labels=namespace.labels,
            egress_label=namespace.egress,
            destinations=derived.destinations if derived else None,
            findings=derived.findings if derived else (),
        )

    def _note(self, world: EgressWorld, given: NamespaceInput) -> None:
        """Note what the plan depends on, before policies are looked at for it."""
        planned = self._requirements(world, given)
        for home in planned.homes - self._ingress.keys():
            self._ingress[home] = self._restricting_ingress(home)
        self._planned[given.name] = planned

    def _requirements(self, world: EgressWorld, given: NamespaceInput) -> _Planned:
        destinations = required_destinations(given, self._options)
        servers = self._options.nameservers
        return _Planned(
            world.rules(destinations, given.name, servers),
            server_namespaces(destinations, given.name, world.index),
        )

    def _compare(self, now: datetime) -> None:
        """Queue the namespaces whose rules, or whose servers' ingress, changed."""
        world = self._current_world()
        stale = self._changed_ingress()
        same: dict[tuple[int, int], bool] = {}
        for name, before in tuple(self._planned.items()):
            namespace = self._caches.namespace(name)
            if not before.homes.isdisjoint(stale):
                self._queue.add(name)
            elif namespace is not None and world is not self._compared:
                after = self._requirements(world, self._input(namespace, now)).rules
                pair = id(before.rules), id(after)
                if pair not in same:
                    same[pair] = before.rules == after
                if not same[pair]:
                    self._queue.add(name)
        self._compared = world

    def _changed_ingress(self) -> frozenset[str]:
        """Return the servers' namespaces where a policy on ingress changed."""
        homes = frozenset[str]().union(
            *(planned.homes for planned in tuple(self._planned.values()))
        )
        before = self._ingress
        self._ingress = {home: self._restricting_ingress(home) for home in homes}
        return frozenset(
            home for home in homes if before.get(home) != self._ingress[home]
        )

    def _restricting_ingress(self, namespace: str) -> Sequence[NetworkPolicy]:
        there = self._policies[namespace]
        return tuple(one for one in there if Direction.INGRESS in one.directions)

    def _leave(self, key: str, now: datetime, *, hold: bool) -> EgressResult | None:
        """Take ours away where egress is no business of ours any more."""
        self._planned.pop(key, None)
        self._sources.dns.set_names(key, frozenset())
        applied = self.applier.apply(key, (), now, hold=hold)
        self.applier.forget(key)
        return self.failure(key, applied.error) if applied.error else None

    def _result(
        self,
        namespace: ComputeNamespace,
        plan: NamespacePlan,
        applied: Applied,
        now: datetime,
    ) -> EgressResult:
        reason = plan.reason
        if applied.error is not None:
            reason = EgressReason.WRITE_REFUSED
        elif applied.paced is not None:
            reason = EgressReason.PENDING
        expires = self._tracker.expires_in(namespace.profile, now)
        pauses = [p for p in (applied.paced, expires) if p is not None]
        notices = list(self._noticed(namespace, plan))
        if applied.error is not None:
            notices += self._refused(namespace.name, applied.error)
        return EgressResult(
            reason=reason,
            requeue_after=min(pauses, default=None),
            error=applied.error,
            notices=tuple(notices),
            mode=plan.mode,
            policies=len(plan.policies),
            orphans=applied.orphans,
            findings=plan.findings,
            shared=plan.shared,
            waiting=plan.waiting,
        )

    def _noticed(
        self, namespace: ComputeNamespace, plan: NamespacePlan
    ) -> Iterator[Notice]:
        """Return a Notice for each finding, at what it is about.

        Those that namespaces share are noticed at one object, and so only once.
        """
        for finding in plan.findings:
            if finding.reason is EgressReason.NO_NETWORK_NEEDED:
                continue  # nothing to warn of
            shared = finding in plan.shared
            about = self._sources.dns.reference if shared else namespace.reference
            message = f"{finding.message[:1].upper()}{finding.message[1:]}."
            yield Notice(about=about, reason=finding.reason, message=message)

    def _refused(self, name: str, error: Exception) -> Iterator[Notice]:
        """Return the Notice of an error, unless another replica leads now."""
        if isinstance(error, NotLeadingError):
            return
        namespace = self._caches.namespace(name)
        about = (
            namespace.reference
            if namespace
            else ObjectReference("v1", "Namespace", name, name, "")
        )
        # The text of an error of ours might quote a value.
        said = str(error) if isinstance(error, ClusterError) else type(error).__name__
        message = f"Egress policies are not as planned: {said}."
        reason = EgressReason.WRITE_REFUSED
        yield Notice(about=about, reason=reason, message=message)
