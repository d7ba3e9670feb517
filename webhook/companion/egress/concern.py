"""Decides and writes the egress policies of every labelled namespace.

What could isolate a pod by mistake goes first: a policy of ours that is not wanted any
more is deleted at once, before anything else is written. A shadow for a policy that is
new is written at once too. Only rewrites, for addresses that change, are paced.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from webhook.cluster.errors import ClusterError, Conflict, NotFound
from webhook.cluster.kinds import NETWORK_POLICY
from webhook.cluster.ports import Key, Precondition
from webhook.companion.egress.names import Names
from webhook.companion.egress.seen import Place, Watched
from webhook.companion.means import Means
from webhook.egress.destination import Derived, Destination, derive
from webhook.egress.mode import Mode, narrowed
from webhook.egress.model import Address, Direction, Policy, Rule
from webhook.egress.policy import (
    Baseline,
    OwnPolicy,
    Plan,
    additive,
    is_own,
    isolate,
)
from webhook.egress.reach import Reach, dns_servers, names_to_look_up, reach
from webhook.egress.reasons import Finding, Reason
from webhook.egress.services import Catalog
from webhook.mirror.merge import Merged
from webhook.mirror.plan import Scope, Supply

_PACE: Final = timedelta(seconds=5)
"""Between two rewrites in one namespace."""
_WAITING: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the settings say.

    Attributes:
        mode: Of the release; a namespace's label may narrow it.
        extra: Hosts and ranges besides those of the keys.
        nameservers: Of the companion's own resolv.conf, which task pods share.
        baseline: What stays reachable under `isolate`.
        domain: The cluster's DNS domain.
    """

    mode: Mode = Mode.ADDITIVE
    extra: tuple[Destination, ...] = ()
    nameservers: tuple[Address, ...] = ()
    baseline: Baseline = Baseline()  # noqa: RUF009 - frozen
    domain: str = "cluster.local"


@dataclass(frozen=True, slots=True)
class EgressReport:
    """How egress of one namespace stands.

    Attributes:
        policies: How many of ours there should be; under `observe`, there would be.
    """

    mode: Mode
    reason: Reason
    findings: tuple[Finding, ...] = ()
    policies: int = 0


class Egress:
    """The concern."""

    name = "egress"

    def __init__(
        self,
        means: Means,
        watched: Watched,
        names: Names,
        supplies: Callable[[], Mapping[str, Supply]],
        *,
        scope: Scope,
        options: Options,
    ) -> None:
        """Prepares; the followers run already or will.

        Args:
            means: What it acts with.
            watched: What is followed.
            names: Knows addresses.
            supplies: What each profile gives, as the mirrors last saw it.
            scope: Which labelled namespaces count.
            options: From the settings.
        """
        self._means, self._watched, self._names = means, watched, names
        self._supplies, self._scope, self._options = supplies, scope, options
        self._rewritten: dict[str, datetime] = {}
        self._derived: dict[str, tuple[str, Derived]] = {}
        self.report: Mapping[str, EgressReport] = {}
        """By namespace, as of the last step; replaced as a whole."""
        self.is_waiting = True
        """Whether something is still to be listed or looked up before it can decide."""
        self.writes = 0
        """Policies applied and deleted since the start."""

    def step(self, now: datetime) -> float | None:
        """Judges every namespace; deletes, then writes."""
        supplies = self._supplies()
        if not self._watched.is_ready() or not supplies:
            return _WAITING
        needs = {
            name: self._derive(name, one.content)
            for name, one in supplies.items()
            if one.content is not None
        }
        catalog = self._watched.catalog(self._options.domain)
        places = self._places(needs)
        asked = {
            name: names_to_look_up(needs[place.profile].destinations, name, catalog)
            for name, place in places.items()
        }
        servers = dns_servers(self._options.nameservers, catalog)
        self._names.want(frozenset().union(*asked.values()), servers)
        # Half of what is known would permit less than before: such a place waits.
        held = {name for name, one in asked.items() if not self._names.is_settled(one)}
        self.is_waiting = bool(held)
        held |= self._without_keys(supplies)
        plans = self._plans(places, needs, catalog)
        wanted = {
            Key(own.namespace, own.name): own
            for name, plan in plans.items()
            if self.report[name].mode in (Mode.ADDITIVE, Mode.ISOLATE)
            if name not in held
            for own in plan.policies
        }
        return self._apply(wanted, held, now)

    def remove_all(self) -> int:
        """Takes every policy of ours away: uninstall.

        Returns:
            How many there were.

        Raises:
            ClusterError: One could not be deleted.
        """
        own = self._own()
        for key, policy in sorted(own.items()):
            self._delete(key, policy.uid)
        return len(own)

    def section(self) -> dict[str, Any]:
        """For the status: reasons and counts, no address and no time of a lookup."""
        return {
            name: {
                "mode": one.mode,
                "reason": one.reason,
                "policies": one.policies,
                "findings": [
                    {"reason": f.reason, "subject": f.subject} for f in one.findings
                ],
            }
            for name, one in sorted(self.report.items())
        }

    def _derive(self, profile: str, content: Merged) -> Derived:
        digest, derived = self._derived.get(profile, ("", Derived((), ())))
        if digest != content.digest:
            keys = {
                key: value.reveal().decode("utf-8", "replace")
                for key, value in content.data.items()
            }
            derived = derive(keys, self._options.extra)
            self._derived[profile] = content.digest, derived
        return derived

    def _without_keys(self, supplies: Mapping[str, Supply]) -> set[str]:
        """Namespaces whose profile gives nothing yet: what they have from us stays."""
        empty = {name for name, one in supplies.items() if one.content is None}
        places = self._watched.places.snapshot().items()
        return {key.name for key, place in places if place.profile in empty}

    def _places(self, needs: Mapping[str, Derived]) -> Mapping[str, Place]:
        """The namespaces that egress is about, in order."""
        return {
            key.name: place
            for key, place in sorted(self._watched.places.snapshot().items())
            if not place.terminating and place.profile in needs
            if self._scope.objection(key.name) is None
        }

    def _plans(
        self,
        places: Mapping[str, Place],
        needs: Mapping[str, Derived],
        catalog: Catalog,
    ) -> Mapping[str, Plan]:
        known, said = self._names.known(), self._names.findings()
        policies = self._watched.by_namespace()
        reached: dict[tuple[str, str], Reach] = {}
        plans: dict[str, Plan] = {}
        report: dict[str, EgressReport] = {}
        for name, place in places.items():
            need = needs[place.profile]
            mode = narrowed(self._options.mode, place.label)
            if mode is Mode.OFF:
                report[name] = EgressReport(mode, Reason.SWITCHED_OFF)
                continue
            # Only a short name means another Service in another namespace.
            short = any("." not in d.host for d in need.destinations)
            at = (place.profile, name if short else "")
            if at not in reached:
                servers = self._options.nameservers
                reached[at] = reach(need.destinations, name, catalog, known, servers)
            own = policies.get(name, [])
            plan = self._plan(name, mode, need, own, reached[at].rules)
            dns = (f for host in reached[at].names for f in said.get(host, ()))
            told = {*need.findings, *reached[at].findings, *dns}
            plans[name] = plan
            count = len(plan.policies)
            report[name] = EgressReport(mode, plan.reason, tuple(sorted(told)), count)
        self.report = report
        return plans

    def _plan(
        self,
        namespace: str,
        mode: Mode,
        need: Derived,
        policies: list[Policy],
        rules: tuple[Rule, ...],
    ) -> Plan:
        if not need.destinations:
            return Plan(namespace, Reason.NO_NETWORK_NEEDED)
        if mode is Mode.ISOLATE:
            return isolate(namespace, rules, self._options.baseline)
        return additive(namespace, policies, rules)

    def _apply(
        self, wanted: Mapping[Key, OwnPolicy], held: set[str], now: datetime
    ) -> float | None:
        there = self._own()
        failed: list[ClusterError] = []
        for key in sorted(there.keys() - wanted.keys()):
            if key.namespace not in held or self._is_orphan(there[key]):
                self._attempt(partial(self._delete, key, there[key].uid), failed)
        pauses: list[float] = [_WAITING] if held else []
        for key, own in wanted.items():
            existing = there.get(key)
            if existing is not None and _is_same(existing, own):
                continue
            if existing is not None:
                since = now - self._rewritten.get(key.namespace, now - _PACE)
                if since < _PACE:
                    pauses.append((_PACE - since).total_seconds())
                    continue
                self._rewritten[key.namespace] = now
            self._attempt(partial(self._write, own, existing), failed)
        if failed:
            raise failed[0]
        return min(pauses, default=None)

    def _own(self) -> Mapping[Key, Policy]:
        return {
            key: policy
            for key, policy in self._watched.policies.snapshot().items()
            if policy is not None and is_own(policy.labels, policy.name)
        }

    def _is_orphan(self, own: Policy) -> bool:
        """Whether no policy is left that a shadow leans on: it isolates by itself."""
        there = self._watched.policies.snapshot().values()
        return not {p.uid for p in there if p is not None} & set(own.owners)

    def _attempt(self, act: Callable[[], None], failed: list[ClusterError]) -> None:
        """One namespace that refuses must not keep the others waiting."""
        if not self._means.may_act():
            return
        try:
            act()
        except ClusterError as error:
            failed.append(error)

    def _delete(self, key: Key, uid: str) -> None:
        only = Precondition(uid=uid)
        try:
            self._means.resources.delete(
                NETWORK_POLICY, key.name, key.namespace, only=only
            )
        except (NotFound, Conflict):
            return  # it went by itself, or another one has its name: the watch tells
        self._watched.policies.forget(key)
        self._tell("egress-policy-deleted", key)

    def _write(self, own: OwnPolicy, existing: Policy | None) -> None:
        # An object of this name that is not ours must stay as it is.
        body = self._means.resources.apply(
            NETWORK_POLICY, own.manifest(), force=existing is not None
        )
        self._watched.policies.remember(body)
        self._tell("egress-policy-applied", Key(own.namespace, own.name))

    def _tell(self, event: str, key: Key) -> None:
        self.writes += 1
        fields = {"namespace": key.namespace, "name": key.name}
        self._means.log.line("info", event, fields)


def _is_same(existing: Policy, own: OwnPolicy) -> bool:
    return (
        existing.selector == own.selector
        and existing.directions == {Direction.EGRESS}
        and existing.egress == own.rules
        and set(existing.owners) == {uid for _, uid in own.owners}
    )
