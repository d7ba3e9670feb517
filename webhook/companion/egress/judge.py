"""Decides which egress policies every labeled namespace should have, and why.

It reads what is followed and asks nobody. What did not change since the last time is
not worked out again: a policy that comes costs the plan of its own namespace.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from webhook.cluster.interface import ObjectKey
from webhook.companion.egress.elsewhere import Elsewhere
from webhook.companion.egress.names import Names
from webhook.companion.egress.needs import Needs
from webhook.companion.egress.seen import Place, Watched
from webhook.egress.baseline import Baseline
from webhook.egress.destinations import DerivedDestinations, Destination
from webhook.egress.ingress import ClientNamespace, blocked_destinations
from webhook.egress.mode import EgressMode, is_known, narrowed
from webhook.egress.network_policy import Address, NetworkPolicy, Rule
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.rules import (
    EgressRules,
    dns_rules,
    dns_servers,
    names_to_look_up,
    rules_for,
)
from webhook.egress.services import ServiceIndex
from webhook.egress.shadow import OwnPolicy, PolicyPlan, additive, isolate
from webhook.injection.names import EGRESS_LABEL
from webhook.mirror.decide import NamespaceFilter, ProfileContent

_WRITING: Final = (EgressMode.ADDITIVE, EgressMode.ISOLATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the settings say.

    Attributes:
        mode: Of the release; a namespace's label may narrow it.
        extra: Hosts and ranges besides those of the keys.
        nameservers: Of the companion's own resolv.conf, which task pods share.
        baseline: What stays reachable under `isolate`.
        domain: The cluster's DNS domain.
        grace: How long a server stays permitted after the keys last named it: pods
            that run dial the one they were started with.
    """

    mode: EgressMode = EgressMode.ADDITIVE
    extra: tuple[Destination, ...] = ()
    nameservers: tuple[Address, ...] = ()
    baseline: Baseline = Baseline()  # noqa: RUF009 - frozen
    domain: str = "cluster.local"
    grace: timedelta = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class EgressReport:
    """How egress of one namespace stands.

    Attributes:
        policies: How many of ours there should be; under `observe`, there would be.
        shared: Of the findings, those that hold for every namespace of the profile.
    """

    mode: EgressMode
    reason: EgressReason
    findings: tuple[Finding, ...] = ()
    policies: int = 0
    shared: frozenset[Finding] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What should be.

    Attributes:
        wanted: Every policy of ours that should exist.
        held: Namespaces in which nothing is known well enough to take away.
        waiting: Whether some are held only until names were looked up.
        report: By namespace.
        pause: Seconds until something ends by itself.
    """

    wanted: Mapping[ObjectKey, OwnPolicy]
    is_leader: frozenset[str]
    waiting: bool
    report: Mapping[str, EgressReport]
    pause: float | None = None


class _Ask(NamedTuple):
    """What pods should reach; the same for all namespaces that differ in nothing.

    Attributes:
        namespace: Empty when no name means another Service in another namespace.
    """

    mode: EgressMode
    namespace: str
    destinations: tuple[Destination, ...]
    findings: tuple[Finding, ...]


class _Made(NamedTuple):
    """A plan and all it was made of."""

    policies: Sequence[NetworkPolicy]
    way: EgressRules
    plan: PolicyPlan

    def is_of(self, policies: Sequence[NetworkPolicy], way: EgressRules) -> bool:
        """Whether it was made of these very values."""
        same = len(self.policies) == len(policies) and all(
            a is b for a, b in zip(self.policies, policies, strict=True)
        )
        return same and self.way is way


class Judge:
    """Decides; remembers what it decided from what."""

    def __init__(
        self,
        watched: Watched,
        names: Names,
        elsewhere: Elsewhere,
        *,
        scope: NamespaceFilter,
        options: Options,
    ) -> None:
        """Takes what is followed, what is known of names and of other engines."""
        self._watched, self._names, self._elsewhere = watched, names, elsewhere
        self._scope, self._options = scope, options
        self.home = names.home
        """The ConfigMap of addresses, at which is told what concerns all namespaces."""
        self._needs = Needs(options.extra, options.grace)
        self._reached: Mapping[_Ask, EgressRules] = {}
        self._made: dict[str, _Made] = {}

    def judge(self, supplies: Mapping[str, ProfileContent], now: datetime) -> Verdicts:
        """What should be now, by what each profile gives."""
        needs = {
            name: self._needs.of(name, one.content, now)
            for name, one in supplies.items()
            if one.content is not None
        }
        catalog = self._watched.catalog(self._options.domain)
        places = self._places(needs)
        asks = {name: self._ask(name, one, needs) for name, one in places.items()}
        asked = {
            ask: names_to_look_up(ask.destinations, ask.namespace, catalog)
            for ask in set(asks.values())
        }
        servers = dns_servers(self._options.nameservers, catalog)
        self._names.want(frozenset().union(*asked.values()), servers)
        # Half of what is known would permit less than before: such a place waits.
        settled = {ask for ask, names in asked.items() if self._names.is_settled(names)}
        held = {name for name, ask in asks.items() if ask not in settled}
        waiting = bool(held)
        plans, report = self._plans(places, asks, catalog, settled)
        held |= self._without_keys(supplies)
        held |= {n for n, p in plans.items() if p.reason is EgressReason.UNRESOLVED}
        wanted = {
            ObjectKey(own.namespace, own.name): own
            for name, plan in plans.items()
            if asks[name].mode in _WRITING and name not in held
            for own in plan.policies
        }
        pause = self._needs.pause(now)
        return Verdicts(wanted, frozenset(held), waiting, report, pause)

    def _without_keys(self, supplies: Mapping[str, ProfileContent]) -> set[str]:
        """Those whose profile gives nothing yet, or is none: what is there stays."""
        giving = {name for name, one in supplies.items() if one.content is not None}
        places = self._watched.places.items().items()
        return {key.name for key, place in places if place.profile not in giving}

    def _places(self, needs: Mapping[str, DerivedDestinations]) -> Mapping[str, Place]:
        """The namespaces that egress is about, in order."""
        return {
            key.name: place
            for key, place in sorted(self._watched.places.items().items())
            if not place.terminating and place.profile in needs
            if self._scope.exclusion(key.name) is None
        }

    def _ask(
        self, namespace: str, place: Place, needs: Mapping[str, DerivedDestinations]
    ) -> _Ask:
        mode, need = narrowed(self._options.mode, place.label), needs[place.profile]
        if mode is EgressMode.OFF:
            return _Ask(mode, "", (), ())
        more = self._options.baseline.destinations if mode is EgressMode.ISOLATE else ()
        destinations = (*need.destinations, *more)
        # Only a short name means another Service in another namespace.
        short = any("." not in d.host for d in destinations)
        return _Ask(mode, namespace if short else "", destinations, need.findings)

    def _plans(
        self,
        places: Mapping[str, Place],
        asks: Mapping[str, _Ask],
        catalog: ServiceIndex,
        settled: Set[_Ask],
    ) -> tuple[dict[str, PolicyPlan], dict[str, EgressReport]]:
        policies, unreadable = self._watched.by_namespace(), self._watched.unreadable()
        reached = {ask: self._reach(ask, catalog) for ask in set(asks.values())}
        said = self._names.findings()
        plans: dict[str, PolicyPlan] = {}
        report: dict[str, EgressReport] = {}
        for name, place in places.items():
            ask = asks[name]
            if ask.mode is EgressMode.OFF:
                report[name] = EgressReport(ask.mode, EgressReason.SWITCHED_OFF)
                continue
            way, there = reached[ask], policies.get(name, [])
            plan = plans[name] = self._plan(name, ask, there, way, catalog)
            dns = {f for host in way.names for f in said.get(host, ())}
            shared = frozenset(ask.findings) | dns
            caller = ClientNamespace(name, place.labels)
            own = {
                *_beside(way.findings, dns, is_settled=ask in settled),
                *blocked_destinations(ask.destinations, caller, catalog, policies),
                *self._elsewhere.others.findings(name),
                *_unreadable(name, place, unreadable.get(name, ())),
                *self._closing(plan),
            }
            told, count = tuple(sorted(shared | own)), len(plan.policies)
            report[name] = EgressReport(ask.mode, plan.reason, told, count, shared)
        self._reached = reached
        self._made = {n: m for n, m in self._made.items() if n in plans}
        return plans, report

    def _reach(self, ask: _Ask, catalog: ServiceIndex) -> EgressRules:
        """The same value as last time where it is equal, and so is what follows."""
        found = rules_for(
            ask.destinations,
            ask.namespace,
            catalog,
            self._names.known(),
            self._options.nameservers,
        )
        before = self._reached.get(ask)
        return before if before is not None and before == found else found

    def _plan(
        self,
        namespace: str,
        ask: _Ask,
        policies: Sequence[NetworkPolicy],
        way: EgressRules,
        catalog: ServiceIndex,
    ) -> PolicyPlan:
        if ask.mode is EgressMode.ISOLATE:
            return self._isolate(namespace, way, catalog)
        made = self._made.get(namespace)
        if made is not None and made.is_of(policies, way):
            return made.plan
        if ask.destinations:
            plan = additive(namespace, policies, way.rules)
        else:
            plan = PolicyPlan(namespace, EgressReason.NO_NETWORK_NEEDED)
        self._made[namespace] = _Made(policies, way, plan)
        return plan

    def _isolate(
        self, namespace: str, way: EgressRules, catalog: ServiceIndex
    ) -> PolicyPlan:
        """Closes it only when everything that must stay open is known."""
        baseline = self._options.baseline
        if baseline.missing:
            return PolicyPlan(namespace, EgressReason.BASELINE_MISSING)
        if any(f.reason is EgressReason.UNRESOLVED for f in way.findings):
            return PolicyPlan(namespace, EgressReason.UNRESOLVED)
        # Peers find each other by name, so DNS belongs to it in any case.
        dns = dns_rules(self._options.nameservers, catalog)
        rules: Iterable[Rule] = (*way.rules, *dns, *baseline.among_pods())
        return isolate(namespace, rules)

    def _closing(self, plan: PolicyPlan) -> Iterable[Finding]:
        if plan.reason is EgressReason.BASELINE_MISSING:
            groups = ", ".join(self._options.baseline.missing)
            message = f"nothing is closed before the baseline names {groups}"
            yield Finding(EgressReason.BASELINE_MISSING, plan.namespace, message)


def _beside(
    findings: Iterable[Finding], dns: Set[Finding], *, is_settled: bool
) -> Iterable[Finding]:
    """What DNS does not say itself; before its first answer nothing is amiss."""
    told = {finding.subject for finding in dns}
    for finding in findings:
        unresolved = finding.reason is EgressReason.UNRESOLVED
        if not unresolved or (is_settled and finding.subject not in told):
            yield finding


def _unreadable(
    namespace: str, place: Place, problems: Iterable[str]
) -> Iterable[Finding]:
    for problem in problems:
        message = f"{problem}; what it isolates gets nothing from us"
        yield Finding(EgressReason.SELECTOR_UNREADABLE, namespace, message)
    if place.label is not None and not is_known(place.label):
        message = f"label {EGRESS_LABEL} of {namespace} is no mode; it means observe"
        yield Finding(EgressReason.SELECTOR_UNREADABLE, namespace, message)
