"""Shadows: policies that add permissions and can take none away.

A NetworkPolicy cannot permit without isolating. A *shadow* therefore selects only
pods that another policy isolates already: the other policy's own selector, and our
label. Whatever it permits comes on top, by construction: selected(shadow) is a subset
of selected(policy) for every pod there can be.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from webhook.egress.coverage import RequiredRules
from webhook.egress.network_policy import Direction, NetworkPolicy, Rule
from webhook.egress.own_policy import INJECTED, NAME_PREFIX, OwnPolicy, is_own
from webhook.egress.selector import Requirement, Selector


def isolating(policies: Iterable[NetworkPolicy]) -> list[NetworkPolicy]:
    """Return the policies, ours apart, that isolate an injected pod for egress."""
    return [
        policy
        for policy in policies
        if Direction.EGRESS in policy.directions
        and not (policy.selector & INJECTED).contradictory
        and not is_own(policy.labels, policy.name)
    ]


def shadows(
    namespace: str, policies: Sequence[NetworkPolicy], rules: tuple[Rule, ...]
) -> tuple[OwnPolicy, ...]:
    """Return shadows that carry what the policies themselves do not permit, by name.

    Args:
        namespace: Whose policies these are.
        policies: Those that isolate, as `isolating` found them.
        rules: What every injected pod should be permitted.
    """
    groups: dict[Selector, list[NetworkPolicy]] = {}
    for policy in policies:
        groups.setdefault(policy.selector & INJECTED, []).append(policy)
    # What selects every injected pod is isolation enough to lean on.
    if INJECTED in groups:
        groups = {INJECTED: groups[INJECTED]}
    given, required = _Given(policies), RequiredRules(rules)
    made = (
        OwnPolicy(
            namespace=namespace,
            name=NAME_PREFIX + _digest(both),
            selector=both,
            rules=required.subtract(given.to(both)),
            owners=tuple(sorted({(p.name, p.uid) for p in group})),
        )
        for both, group in groups.items()
    )
    return tuple(sorted((s for s in made if s.rules), key=lambda shadow: shadow.name))


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
        """Yield the rules that hold for every pod that a selector selects."""
        candidates = list(self._everywhere)
        for requirement in selector.requirements:
            candidates += self._by_first.get(requirement, ())
        for policy in candidates:
            if selector.implies(policy.selector):
                yield from ((policy, rule) for rule in policy.egress)


def _digest(selector: Selector) -> str:
    text = "\n".join(
        f"{r.key} {r.operator} {' '.join(r.values)}" for r in selector.requirements
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]
