"""Which policies a namespace should have from us, and why.

The companion and the command line call the one function, `plan_namespace`, with what
they know of the cluster.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from webhook.egress.addresses import Address
from webhook.egress.destinations import Destination
from webhook.egress.engines.detect import DetectedEngines
from webhook.egress.ingress import ClientNamespace, blocked_destinations
from webhook.egress.mode import EgressMode, is_known, narrowed
from webhook.egress.network_policy import NetworkPolicy
from webhook.egress.options import EgressOptions
from webhook.egress.own_policy import OwnPolicy, is_own, isolate
from webhook.egress.reasons import WITHOUT_RULE, EgressReason, Finding
from webhook.egress.rules import EgressRules, dns_rules, rules_for
from webhook.egress.services import ServiceIndex
from webhook.egress.shadow import isolating, shadows
from webhook.injection.names import EGRESS_LABEL

_WITHOUT_SERVER: Final = (EgressReason.MALFORMED_URI, EgressReason.HOST_NEEDED)
"""Findings of keys that name no server although one is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressWorld:
    """What is known of the cluster.

    `policies` and `unreadable` may be live views. For a new index or new addresses a
    new world is made: rules are computed once for all namespaces with equal needs.

    Attributes:
        index: Services, endpoints and, where they may be seen, nodes.
        addresses: Of each host name, as remembered from lookups.
        dns_findings: What is to be said of each host name.
        resolved: Whether each of some names was looked up at least once, now or before.
        policies: All NetworkPolicies by namespace, ours too.
        unreadable: By namespace, why some of its policies cannot be read.
        engines: Other engines that restrict egress.
    """

    index: ServiceIndex
    addresses: Mapping[str, tuple[Address, ...]]
    dns_findings: Mapping[str, tuple[Finding, ...]]
    resolved: Callable[[Iterable[str]], bool]
    policies: Mapping[str, Sequence[NetworkPolicy]]
    unreadable: Mapping[str, Sequence[str]]
    engines: DetectedEngines
    _rules: dict[object, EgressRules] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def rules(
        self,
        destinations: tuple[Destination, ...],
        namespace: str,
        nameservers: tuple[Address, ...],
    ) -> EgressRules:
        """Return the rules for a namespace's destinations, computed once."""
        # Only a short name means another Service in another namespace.
        short = any("." not in d.host and d.network is None for d in destinations)
        key = destinations, namespace if short else "", nameservers
        found = self._rules.get(key)
        if found is None:
            index, known = self.index, self.addresses
            found = rules_for(destinations, namespace, index, known, nameservers)
            self._rules[key] = found
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceInput:
    """A namespace to plan for.

    Attributes:
        name: Of the namespace.
        labels: All of them: other namespaces' policies may ask for any.
        egress_label: The value of its egress label; None without one.
        destinations: What its pods dial; None while nothing is known of its keys.
        former: What its keys named until lately; pods that run may dial it.
        findings: What is to be said of its keys.
    """

    name: str
    labels: Mapping[str, str]
    egress_label: str | None = None
    destinations: tuple[Destination, ...] | None
    former: tuple[Destination, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespacePlan:
    """What a namespace should have from us, and why.

    Attributes:
        mode: How far egress goes there.
        reason: Why these policies.
        policies: By name; under `observe`, what would be written.
        findings: Sorted; `shared` among them.
        shared: Of the findings, those that hold for every namespace of the profile.
        names: Host names whose addresses are needed.
        hold: Too little is known to take anything away: policies of ours that are there
            and not planned stay, orphans apart.
        waiting: Names are still to be looked up; until then nothing is planned.
    """

    mode: EgressMode
    reason: EgressReason
    policies: tuple[OwnPolicy, ...] = ()
    findings: tuple[Finding, ...] = ()
    shared: frozenset[Finding] = frozenset()
    names: frozenset[str] = frozenset()
    hold: bool = False
    waiting: bool = False

    @property
    def desired(self) -> tuple[OwnPolicy, ...]:
        """Return the policies to write: none where the mode only looks on."""
        return self.policies if self.mode.writes else ()


def required_destinations(
    world: EgressWorld, namespace: NamespaceInput, options: EgressOptions
) -> tuple[Destination, ...]:
    """Return everything that must be reachable from a namespace."""
    mode = narrowed(options.mode, namespace.egress_label)
    if mode is EgressMode.OFF or namespace.destinations is None:
        return ()
    kept = (d for d in namespace.former if _is_kept(world, namespace, d, options))
    closing = options.baseline.destinations if mode is EgressMode.ISOLATE else ()
    return (*namespace.destinations, *kept, *closing)


def _is_kept(
    world: EgressWorld,
    namespace: NamespaceInput,
    former: Destination,
    options: EgressOptions,
) -> bool:
    """Return whether a former server has a rule, or may still get its first.

    One that never had any was a mistake; nobody runs with it.
    """
    rules = world.rules((former,), namespace.name, options.nameservers)
    has_rule = not any(one.reason in WITHOUT_RULE for one in rules.findings)
    return has_rule or not world.resolved(rules.names)


def plan_namespace(
    world: EgressWorld, namespace: NamespaceInput, options: EgressOptions
) -> NamespacePlan:
    """Plan one namespace; the caller leaves out those that are excluded.

    Args:
        world: What is known of the cluster.
        namespace: The one to plan for.
        options: Of the release.
    """
    mode = narrowed(options.mode, namespace.egress_label)
    if mode is EgressMode.OFF:
        return NamespacePlan(mode=mode, reason=EgressReason.SWITCHED_OFF)
    own = set(_unreadable(world, namespace))
    if namespace.destinations is None:
        return NamespacePlan(
            mode=mode,
            reason=EgressReason.KEYS_UNKNOWN,
            findings=tuple(sorted(own)),
            hold=mode.writes,
        )
    destinations = required_destinations(world, namespace, options)
    rules = world.rules(destinations, namespace.name, options.nameservers)
    about_rules = [*rules.findings]
    if not options.nameservers and any(d.network is None for d in destinations):
        message = "names are looked up at a nameserver that is not known; say which"
        about_rules.append(Finding(EgressReason.UNRESOLVED, "DNS", message))
    need = _Need(
        destinations=destinations,
        rules=rules,
        findings=(*about_rules, *namespace.findings),
        waiting=not world.resolved(rules.names),
    )
    decide = _isolate if mode is EgressMode.ISOLATE else _shadow
    decision = decide(world, namespace, options, need)
    dns = {f for name in rules.names for f in world.dns_findings.get(name, ())}
    shared = frozenset((*namespace.findings, *dns))
    own.update(_beside(about_rules, dns, waiting=need.waiting))
    caller = ClientNamespace(namespace.name, namespace.labels)
    own.update(blocked_destinations(destinations, caller, world.index, world.policies))
    own.update(world.engines.findings(namespace.name))
    if decision.reason is EgressReason.BASELINE_MISSING:
        groups = ", ".join(options.baseline.missing)
        message = f"nothing is closed before the baseline names {groups}"
        own.add(Finding(decision.reason, namespace.name, message))
    return NamespacePlan(
        mode=mode,
        reason=decision.reason,
        policies=decision.policies,
        findings=tuple(sorted(shared | own)),
        shared=shared,
        names=rules.names,
        hold=decision.hold and mode.writes,
        waiting=need.waiting,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """What pods of a namespace should reach, as far as it is known."""

    destinations: tuple[Destination, ...]
    rules: EgressRules
    findings: tuple[Finding, ...]
    waiting: bool

    def first(self, reasons: Iterable[EgressReason]) -> EgressReason | None:
        """Return the first of some reasons that is among the findings."""
        found = {finding.reason for finding in self.findings}
        return next((reason for reason in reasons if reason in found), None)

    @property
    def missing(self) -> EgressReason | None:
        """Return why a destination has no rule, if one has none."""
        return EgressReason.UNRESOLVED if self.waiting else self.first(WITHOUT_RULE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """The policies, why these, and whether what is there stays."""

    reason: EgressReason
    policies: tuple[OwnPolicy, ...] = ()
    hold: bool = False


def _shadow(
    world: EgressWorld, namespace: NamespaceInput, options: EgressOptions, need: _Need
) -> _Decision:
    """Decide under `additive`; `observe` decides the same and writes nothing."""
    policies = world.policies.get(namespace.name, ())
    missing, unreadable = need.missing, world.unreadable.get(namespace.name)
    if not need.destinations:
        reason = need.first(_WITHOUT_SERVER) or EgressReason.NO_NETWORK_NEEDED
        return _Decision(reason=reason, hold=missing is not None)
    leaning = isolating(policies)
    if unreadable and missing is None:
        missing = EgressReason.SELECTOR_UNREADABLE
    if not leaning and not unreadable:
        return _Decision(reason=EgressReason.NOT_ISOLATED)
    if missing is None:
        planned = shadows(namespace.name, leaning, need.rules.rules)
        return _Decision(reason=EgressReason.EGRESS_READY, policies=planned)
    if need.waiting:
        return _Decision(reason=missing, hold=True)
    planned = shadows(namespace.name, leaning, need.rules.rules)
    kept = _keeping(planned, policies, options.limits.cap)
    return _Decision(reason=missing, policies=kept, hold=True)


def _isolate(
    world: EgressWorld, namespace: NamespaceInput, options: EgressOptions, need: _Need
) -> _Decision:
    """Decide under `isolate`: close only when all that must stay open is known."""
    baseline, missing = options.baseline, need.missing
    if baseline.missing:
        return _Decision(reason=EgressReason.BASELINE_MISSING, hold=True)
    if need.waiting:
        return _Decision(reason=EgressReason.UNRESOLVED, hold=True)
    # Peers find each other by name, so DNS belongs to it in any case.
    dns = dns_rules(options.nameservers, world.index)
    closed = isolate(namespace.name, (*need.rules.rules, *dns, *baseline.among_pods()))
    if missing is None:
        return _Decision(reason=EgressReason.EGRESS_READY, policies=(closed,))
    there = world.policies.get(namespace.name, ())
    is_closed = any(p.name == closed.name and is_own(p.labels, p.name) for p in there)
    kept = _keeping((closed,), there, options.limits.cap) if is_closed else ()
    return _Decision(reason=missing, policies=kept, hold=True)


def _keeping(
    planned: Iterable[OwnPolicy], there: Iterable[NetworkPolicy], at_most: int
) -> tuple[OwnPolicy, ...]:
    """Return policies that permit no less than those of their names do now."""
    existing = {p.name: p for p in there if is_own(p.labels, p.name)}
    return tuple(
        one.keeping(existing[one.name], at_most) if one.name in existing else one
        for one in planned
    )


def _beside(
    findings: Iterable[Finding], dns: Iterable[Finding], *, waiting: bool
) -> Iterator[Finding]:
    """Yield what DNS does not say itself; before its first answer nothing is amiss."""
    told = {finding.subject for finding in dns}
    for finding in findings:
        unresolved = finding.reason is EgressReason.UNRESOLVED
        if not unresolved or not (waiting or finding.subject in told):
            yield finding


def _unreadable(world: EgressWorld, namespace: NamespaceInput) -> Iterator[Finding]:
    name, label = namespace.name, namespace.egress_label
    for problem in world.unreadable.get(name, ()):
        message = f"{problem}; what it isolates gets nothing from us"
        yield Finding(EgressReason.SELECTOR_UNREADABLE, name, message)
    if label is not None and not is_known(label):
        message = f"label {EGRESS_LABEL} of {name} is no mode; it means observe"
        yield Finding(EgressReason.SELECTOR_UNREADABLE, name, message)
