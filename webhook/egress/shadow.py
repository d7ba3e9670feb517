"""Which NetworkPolicies a namespace should have from us.

A NetworkPolicy cannot permit without isolating. A *shadow* therefore selects only
pods that another policy isolates already: the other policy's own selector, and our
label. Whatever it permits comes on top, and it takes nothing away, by construction:
selected(shadow) is a subset of selected(policy) for every pod there can be.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.egress.coverage import RequiredRules
from webhook.egress.network_policy import Direction, NetworkPolicy, Rule
from webhook.egress.normalize import normalize
from webhook.egress.reasons import EgressReason
from webhook.egress.selector import Requirement, Selector
from webhook.injection.names import (
    INJECTED_LABEL,
    INJECTED_TRUE,
    MANAGED_BY,
    MANAGED_BY_LABEL,
)

NAME_PREFIX: Final = "mti-egress-"
ISOLATING_NAME: Final = "mti-egress-isolate"
INJECTED: Final = Selector.labels({INJECTED_LABEL: INJECTED_TRUE})
"""Selects the pods that the webhook has handled."""

_LABELS: Final = {MANAGED_BY_LABEL: MANAGED_BY, "app.kubernetes.io/component": "egress"}


@dataclass(frozen=True, slots=True)
class OwnPolicy:
    """A NetworkPolicy of ours.

    Attributes:
        rules: Egress; each has peers and ports.
        owners: Name and uid of the policies it shadows; it is garbage-collected with
            the last of them. Sorted.
    """

    namespace: str
    name: str
    selector: Selector
    rules: tuple[Rule, ...]
    owners: tuple[tuple[str, str], ...] = ()

    def manifest(self) -> dict[str, Any]:
        """The object as the API takes it; equal policies give equal bytes.

        Owners without a uid, as manifests have them, cannot be referred to.
        """
        metadata: dict[str, Any] = {
            "name": self.name,
            "namespace": self.namespace,
            "labels": dict(_LABELS),
        }
        references = [
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "name": name,
                "uid": uid,
            }
            for name, uid in self.owners
            if uid
        ]
        if references:
            metadata["ownerReferences"] = references
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": {
                "podSelector": self.selector.render(),
                "policyTypes": [str(Direction.EGRESS)],
                "egress": [rule.render() for rule in self.rules],
            },
        }


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """What a namespace should have from us, and why.

    Attributes:
        policies: By name.
        reason: Why these.
    """

    namespace: str
    reason: EgressReason
    policies: tuple[OwnPolicy, ...] = ()


def is_own(labels: Mapping[str, str], name: str) -> bool:
    """Whether a policy is ours to change: by its label and by its name, both."""
    return labels.get(MANAGED_BY_LABEL) == MANAGED_BY and name.startswith(NAME_PREFIX)


def additive(
    namespace: str, policies: Iterable[NetworkPolicy], rules: tuple[Rule, ...]
) -> PolicyPlan:
    """Shadows of the policies that isolate, carrying what those do not permit.

    Args:
        namespace: Whose policies these are.
        policies: All of the namespace's; ours are passed over.
        rules: What every injected pod should be permitted.
    """
    isolating: list[NetworkPolicy] = []
    groups: dict[Selector, list[NetworkPolicy]] = {}
    for policy in policies:
        if Direction.EGRESS not in policy.directions:
            continue
        both = policy.selector & INJECTED
        if both.contradictory or is_own(policy.labels, policy.name):
            continue
        isolating.append(policy)
        groups.setdefault(both, []).append(policy)
    if not isolating:
        return PolicyPlan(namespace, EgressReason.NOT_ISOLATED)
    if not rules:
        return PolicyPlan(namespace, EgressReason.UNRESOLVED)
    # What selects every injected pod is isolation enough to lean on.
    if INJECTED in groups:
        groups = {INJECTED: groups[INJECTED]}
    given, wanted = _Given(isolating), RequiredRules(rules)
    shadows = (
        _shadow(namespace, both, group, wanted, given) for both, group in groups.items()
    )
    kept = sorted((s for s in shadows if s.rules), key=lambda shadow: shadow.name)
    return PolicyPlan(namespace, EgressReason.EGRESS_READY, tuple(kept))


def isolate(namespace: str, rules: Iterable[Rule]) -> PolicyPlan:
    """One policy that closes injected pods to everything but these rules."""
    closed = OwnPolicy(namespace, ISOLATING_NAME, INJECTED, normalize(rules))
    return PolicyPlan(namespace, EgressReason.EGRESS_READY, (closed,))


class _Given:
    """The policies that permit something, found by one requirement of each.

    A namespace may have hundreds, and most say nothing about most shadows.
    """

    def __init__(self, policies: Iterable[NetworkPolicy]) -> None:
        self._everywhere: list[NetworkPolicy] = []
        self._by_first: dict[Requirement, list[NetworkPolicy]] = {}
        for policy in policies:
            if not policy.egress:
                continue
            requirements = policy.selector.requirements
            found = self._everywhere
            if requirements:
                found = self._by_first.setdefault(requirements[0], [])
            found.append(policy)

    def to(self, selector: Selector) -> Iterator[tuple[NetworkPolicy, Rule]]:
        """The rules that hold for every pod that a selector selects."""
        candidates = list(self._everywhere)
        for requirement in selector.requirements:
            candidates += self._by_first.get(requirement, ())
        for policy in candidates:
            if selector.implies(policy.selector):
                yield from ((policy, rule) for rule in policy.egress)


def _shadow(
    namespace: str,
    both: Selector,
    group: list[NetworkPolicy],
    wanted: RequiredRules,
    given: _Given,
) -> OwnPolicy:
    return OwnPolicy(
        namespace,
        NAME_PREFIX + _digest(both),
        both,
        wanted.subtract(given.to(both)),
        tuple(sorted({(p.name, p.uid) for p in group})),
    )


def _digest(selector: Selector) -> str:
    text = "\n".join(
        f"{r.key} {r.operator} {' '.join(r.values)}" for r in selector.requirements
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]
