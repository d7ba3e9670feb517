"""Decides which egress policies every labeled namespace should have, and why.

It reads what is followed and asks nobody; `plan_namespace` decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from webhook.cluster.interface import ObjectKey
from webhook.companion.egress.elsewhere import Elsewhere
from webhook.companion.egress.names import Names
from webhook.companion.egress.needs import Needs
from webhook.companion.egress.seen import Watched
from webhook.egress.mode import EgressMode
from webhook.egress.options import EgressOptions
from webhook.egress.own_policy import OwnPolicy
from webhook.egress.plan import (
    EgressWorld,
    NamespaceInput,
    NamespacePlan,
    plan_namespace,
)
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.rules import dns_servers
from webhook.mirror.decide import NamespaceFilter, ProfileContent


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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
    held: frozenset[str]
    waiting: bool
    report: Mapping[str, EgressReport]
    pause: float | None = None


class Judge:
    """Decides."""

    def __init__(
        self,
        watched: Watched,
        names: Names,
        elsewhere: Elsewhere,
        *,
        scope: NamespaceFilter,
        options: EgressOptions,
    ) -> None:
        """Takes what is followed, what is known of names and of other engines."""
        self._watched, self._names, self._elsewhere = watched, names, elsewhere
        self._scope, self._options = scope, options
        self.home = names.home
        """The ConfigMap of addresses, at which is told what concerns all namespaces."""
        self._needs = Needs(options.extra, options.limits.grace)

    def judge(self, supplies: Mapping[str, ProfileContent], now: datetime) -> Verdicts:
        """What should be now, by what each profile gives."""
        needs = {
            name: self._needs.of(name, one.content, now)
            for name, one in supplies.items()
            if one.content is not None
        }
        world, plans = self._look_around(), dict[str, NamespacePlan]()
        for key, place in sorted(self._watched.places.items().items()):
            if place.terminating or self._scope.exclusion(key.name) is not None:
                continue
            need = needs.get(place.profile)
            namespace = NamespaceInput(
                name=key.name,
                labels=place.labels,
                egress_label=place.label,
                destinations=None if need is None else need.destinations,
                findings=() if need is None else need.findings,
            )
            plans[key.name] = plan_namespace(world, namespace, self._options)
        names = frozenset[str]().union(*(plan.names for plan in plans.values()))
        self._names.want(names, dns_servers(self._options.nameservers, world.index))
        return Verdicts(
            wanted={
                ObjectKey(own.namespace, own.name): own
                for plan in plans.values()
                for own in plan.desired
            },
            held=frozenset(name for name, plan in plans.items() if plan.hold),
            waiting=any(plan.waiting for plan in plans.values()),
            report={
                name: EgressReport(
                    mode=plan.mode,
                    reason=plan.reason,
                    findings=plan.findings,
                    policies=len(plan.policies),
                    shared=plan.shared,
                )
                for name, plan in plans.items()
            },
            pause=self._needs.pause(now),
        )

    def _look_around(self) -> EgressWorld:
        return EgressWorld(
            index=self._watched.catalog(self._options.domain),
            addresses=self._names.known(),
            dns_findings=self._names.findings(),
            resolved=self._names.is_settled,
            policies=self._watched.by_namespace(),
            unreadable=self._watched.unreadable(),
            engines=self._elsewhere.others,
        )
