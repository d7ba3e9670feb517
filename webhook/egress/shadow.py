"""Shadows: policies that add permissions and can take none away.

A NetworkPolicy cannot permit without isolating. A *shadow* therefore selects only
pods that another policy isolates already: the other policy's own selector, and our
label. Whatever it permits comes on top, by construction: selected(shadow) is a subset
of selected(policy) for every pod there can be.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from webhook.egress.coverage import subtract
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
    permitting = _by_requirement(policies)
    made = (
        OwnPolicy(
            namespace=namespace,
            name=NAME_PREFIX + _digest(both),
            selector=both,
            rules=subtract(rules, _given(both, permitting)),
            owners=tuple(sorted({(p.name, p.uid) for p in group})),
        )
        for both, group in groups.items()
    )
    return tuple(sorted((s for s in made if s.rules), key=lambda shadow: shadow.name))


def _by_requirement(
    policies: Iterable[NetworkPolicy],
) -> dict[Requirement | None, list[NetworkPolicy]]:
    """Group the policies that permit something by one requirement of each.

    A namespace may have hundreds, and most say nothing about most shadows.
    """
    found: dict[Requirement | None, list[NetworkPolicy]] = defaultdict(list)
    for policy in policies:
        if policy.egress:
            found[next(iter(policy.selector.requirements), None)].append(policy)
    return found


def _given(
    selector: Selector, policies: Mapping[Requirement | None, Sequence[NetworkPolicy]]
) -> Iterator[tuple[NetworkPolicy, Rule]]:
    """Yield the rules that hold for every pod that a selector selects."""
    for requirement in (None, *selector.requirements):
        for policy in policies.get(requirement, ()):
            if selector.implies(policy.selector):
                yield from ((policy, rule) for rule in policy.egress)


def _digest(selector: Selector) -> str:
    text = "\n".join(
        f"{r.key} {r.operator} {' '.join(r.values)}" for r in selector.requirements
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]
