"""Views of all NetworkPolicies by namespace, over the informer's cache."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from webhook.cluster.informer import Informer
from webhook.companion.projections import UnreadablePolicy
from webhook.egress.network_policy import NetworkPolicy

T = TypeVar("T")
Policies: TypeAlias = Informer[NetworkPolicy | UnreadablePolicy]


class PolicyView(Mapping[str, Sequence[T]]):
    """What is asked of a namespace's policies, as they are when it is asked."""

    def __init__(
        self, policies: Policies, ask: Callable[[Policies, str], Sequence[T]]
    ) -> None:
        """Take the cache and the question."""
        self._policies, self._ask = policies, ask

    def __getitem__(self, namespace: str) -> Sequence[T]:
        """Return the answer; empty where there are no policies."""
        return self._ask(self._policies, namespace)

    def __iter__(self) -> Iterator[str]:
        """Return the namespaces that have policies."""
        return iter({key.namespace for key in self._policies.items()})

    def __len__(self) -> int:
        """Return how many namespaces have policies."""
        return len(set(self))


def readable(policies: Policies, namespace: str) -> Sequence[NetworkPolicy]:
    """Return the policies that can be read, by name."""
    there = sorted(policies.items(namespace).items())
    return [policy for _, policy in there if isinstance(policy, NetworkPolicy)]


def problems(policies: Policies, namespace: str) -> Sequence[str]:
    """Return why the others cannot be read."""
    there = sorted(policies.items(namespace).items())
    unread = [one.problem for _, one in there if isinstance(one, UnreadablePolicy)]
    failed = sorted(policies.unprojected(namespace).items())
    return [
        *unread,
        *(f"NetworkPolicy {key} cannot be read: {error}" for key, error in failed),
    ]
