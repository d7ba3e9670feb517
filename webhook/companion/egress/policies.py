"""Views of all NetworkPolicies by namespace, over the informer's cache."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from webhook.cluster.informer import Informer
from webhook.companion.projections import UnreadablePolicy
from webhook.egress.network_policy import NetworkPolicy

T = TypeVar("T")
Policies: TypeAlias = Informer[NetworkPolicy | UnreadablePolicy]


class PolicyView(Mapping[str, Sequence[T]]):
    """What is picked from each policy of a namespace, as it is now."""

    def __init__(
        self,
        policies: Policies,
        pick: Callable[[NetworkPolicy | UnreadablePolicy], T | None],
    ) -> None:
        """Take the cache, and what is picked; None passes a policy over."""
        self._policies, self._pick = policies, pick

    def __getitem__(self, namespace: str) -> Sequence[T]:
        """Return a namespace's, by the policies' names; empty where there are none."""
        there = sorted(self._policies.items(namespace).items())
        picked = (self._pick(policy) for _, policy in there)
        return tuple(one for one in picked if one is not None)

    def __iter__(self) -> Iterator[str]:
        """Return the namespaces that have policies."""
        return iter({key.namespace for key in self._policies.items()})

    def __len__(self) -> int:
        """Return how many namespaces have policies."""
        return len(set(self))


def readable(policies: Policies) -> PolicyView[NetworkPolicy]:
    """Return the policies that can be read."""
    return PolicyView(policies, lambda p: p if isinstance(p, NetworkPolicy) else None)


def unreadable(policies: Policies) -> PolicyView[str]:
    """Return why the others cannot be."""
    return PolicyView(
        policies, lambda p: p.problem if isinstance(p, UnreadablePolicy) else None
    )
