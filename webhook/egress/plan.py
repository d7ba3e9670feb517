"""Which policies a namespace should have from us, and why.

The companion and the command line call the one function, `plan_namespace`, with what
they know of the cluster.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from webhook.egress.destinations import Destination
from webhook.egress.engines.detect import DetectedEngines
from webhook.egress.ingress import ClientNamespace, blocked_destinations
from webhook.egress.isolate import isolate
from webhook.egress.mode import EgressMode, is_known, narrowed
from webhook.egress.network_policy import Address, NetworkPolicy
from webhook.egress.options import EgressOptions
from webhook.egress.own_policy import OwnPolicy, is_own
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.rules import EgressRules, dns_rules, names_to_look_up, rules_for
from webhook.egress.services import ServiceIndex
from webhook.egress.shadow import isolating, shadows
from webhook.injection.names import EGRESS_LABEL

_WITHOUT_RULE: Final = (
    EgressReason.UNRESOLVED,
    EgressReason.PORT_MISMATCH,
    EgressReason.MALFORMED_URI,
)
"""Findings of destinations that have no rule, the one to say first in front."""
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
    _needs: dict[object, "_Needs"] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceInput:
    """A namespace to plan for.

    Attributes:
        name: Of the namespace.
        labels: All of them: other namespaces' policies may ask for any.
        egress_label: The value of its egress label; None without one.
        destinations: What its pods dial; None while nothing is known of its keys.
        findings: What is to be said of its keys.
    """

    name: str
    labels: Mapping[str, str]
    egress_label: str | None = None
    destinations: tuple[Destination, ...] | None
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
    raise NotImplementedError  # in the next commit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """What pods should reach; the same for all namespaces that differ in nothing."""

    rules: EgressRules
    names: frozenset[str]
