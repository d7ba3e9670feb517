"""The NetworkPolicies that are ours: how they are named, recognized and written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from webhook.egress.network_policy import Direction, NetworkPolicy, Rule
from webhook.egress.normalize import normalize
from webhook.egress.selector import Selector
from webhook.injection.names import (
    INJECTED_LABEL,
    INJECTED_TRUE,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RELEASE_LABEL,
)

NAME_PREFIX: Final = "mti-egress-"
ISOLATING_NAME: Final = "mti-egress-isolate"
INJECTED: Final = Selector.labels({INJECTED_LABEL: INJECTED_TRUE})
"""Selects the pods that the webhook has handled."""

_LABELS: Final = {MANAGED_BY_LABEL: MANAGED_BY, "app.kubernetes.io/component": "egress"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPolicy:
    """A NetworkPolicy of ours.

    Attributes:
        namespace: Where it is written.
        name: Begins with `NAME_PREFIX`.
        selector: The pods it selects; never others than injected ones.
        rules: Egress; each has peers and ports.
        owners: Name and uid of the policies it shadows; it is garbage-collected with
            the last of them. Sorted.
    """

    namespace: str
    name: str
    selector: Selector
    rules: tuple[Rule, ...]
    owners: tuple[tuple[str, str], ...] = ()

    def manifest(self, release: str = MANAGED_BY) -> dict[str, Any]:
        """Return a release's object as the API takes it; equal ones give equal bytes.

        Owners without a uid, as manifests have them, cannot be referred to.
        """
        metadata: dict[str, Any] = {
            "name": self.name,
            "namespace": self.namespace,
            "labels": {**_LABELS, RELEASE_LABEL: release},
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

    def keeping(self, existing: NetworkPolicy, at_most: int) -> "OwnPolicy":
        """Return it with what the existing object permits besides.

        Args:
            existing: The object of this name that is in the cluster.
            at_most: Peers to keep; a pool that rotates would add to them for ever.
        """
        new = {(peer, port) for r in self.rules for peer in r.peers for port in r.ports}
        kept = [
            Rule((peer,), rule.ports)
            for rule in existing.egress
            for peer in rule.peers
            if not new.issuperset((peer, port) for port in rule.ports)
        ]
        if not kept:
            return self
        return replace(self, rules=normalize((*self.rules, *kept[:at_most])))


def isolate(namespace: str, rules: Iterable[Rule]) -> OwnPolicy:
    """Return the policy that closes injected pods to all but what these permit."""
    return OwnPolicy(
        namespace=namespace,
        name=ISOLATING_NAME,
        selector=INJECTED,
        rules=normalize(rules),
    )


def is_own(labels: Mapping[str, str], name: str) -> bool:
    """Return whether a release made this policy: by its label and by its name, both."""
    return labels.get(MANAGED_BY_LABEL) == MANAGED_BY and name.startswith(NAME_PREFIX)
