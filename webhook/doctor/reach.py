"""Whether policies let anybody reach the webhook's port, told from their text."""

from collections.abc import Iterable

from webhook.egress.evaluate import permits_port, selects
from webhook.egress.network_policy import Direction, NetworkPolicy, Pod, Protocol


def closing_policies(
    policies: Iterable[NetworkPolicy], pod: Pod, port: int
) -> tuple[str, ...]:
    """Return the policies that isolate a pod and between them open the port to nobody.

    Where API servers call from differs by platform, so a rule about the port counts as
    one for them, whoever its peers are.
    """
    isolating = [p for p in policies if selects(p, pod, Direction.INGRESS)]
    opened = any(
        permits_port(rule, port, Protocol.TCP, pod)
        for policy in isolating
        for rule in policy.ingress
    )
    return () if opened else tuple(sorted(f"{p.namespace}/{p.name}" for p in isolating))
