"""The policy that closes a namespace's injected pods to all but what is declared."""

from collections.abc import Iterable

from webhook.egress.network_policy import Rule
from webhook.egress.normalize import normalize
from webhook.egress.own_policy import INJECTED, ISOLATING_NAME, OwnPolicy


def isolate(namespace: str, rules: Iterable[Rule]) -> OwnPolicy:
    """Return the one policy that permits these rules and nothing else."""
    return OwnPolicy(
        namespace=namespace,
        name=ISOLATING_NAME,
        selector=INJECTED,
        rules=normalize(rules),
    )
