"""Traces a pod's way to all that it should reach, policy by policy. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from webhook.egress.evaluate import Target, egress, ingress
from webhook.egress.network_policy import (
    IpBlock,
    NetworkPolicy,
    Peer,
    Pod,
    Port,
    Rule,
)
from webhook.egress.selector import Operator, Selector


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One peer and port that has to be open.

    Attributes:
        to: The other end, for people.
        is_open: The pod's own policies let the packet out, and those there let it in.
        why: Which policies decide, in one phrase.
    """

    to: str
    is_open: bool
    why: str


def trace(
    policies: Sequence[NetworkPolicy],
    pods: Sequence[Pod],
    pod: Pod,
    rules: Iterable[Rule],
) -> Iterator[Hop]:
    """Yield every peer and port of the rules that a pod should be permitted.

    Args:
        policies: All of the cluster.
        pods: All of the cluster; the first that a selector matches stands for it.
        pod: Where the way begins.
        rules: What it should be permitted.
    """
    for rule in rules:
        for peer in rule.peers:
            for port in rule.ports:
                yield _hop(policies, _target(pods, peer), pod, (peer, port))


def _hop(
    policies: Sequence[NetworkPolicy],
    target: Target,
    pod: Pod,
    wanted: tuple[Peer, Port],
) -> Hop:
    peer, port = wanted
    number = port.port if isinstance(port.port, int) else 0
    to = f"{_named(peer)} {port.protocol}/{number}"
    out = egress(policies, pod, target, number, port.protocol)
    if not out.allowed:
        isolated = ", ".join(out.isolated_by)
        why = f"isolated by {isolated}; no rule permits it"
        return Hop(to=to, is_open=False, why=why)
    why = "nothing isolates the pod"
    if out.allowed_by is not None:
        why = f"permitted by rule {out.allowed_by[1] + 1} of {out.allowed_by[0]}"
    if target.pod is not None:
        source = Target(next(iter(pod.addresses), None), pod)
        entry = ingress(policies, target.pod, source, number, port.protocol)
        if not entry.allowed:
            closed, where = ", ".join(entry.isolated_by), target.pod.namespace
            why = f"DestinationIngressBlocked: {closed} in {where}"
            return Hop(to=to, is_open=False, why=why)
    return Hop(to=to, is_open=True, why=why)


def _target(pods: Sequence[Pod], peer: Peer) -> Target:
    """Return a pod there is, else one as the selector describes it."""
    if isinstance(peer, IpBlock):
        return Target(peer.network.network_address)
    for pod in pods:
        spaces = peer.namespaces or Selector()
        if peer.pods.matches(pod.labels) and spaces.matches(pod.namespace_labels):
            return Target(next(iter(pod.addresses), None), pod)
    space = _labels(peer.namespaces or Selector())
    name = next(iter(space.values()), "default")
    described = Pod(
        namespace=name,
        name="any",
        labels=_labels(peer.pods),
        namespace_labels=space,
    )
    return Target(None, described)


def _labels(selector: Selector) -> dict[str, str]:
    single = (r for r in selector.requirements if r.operator is Operator.IN)
    return {r.key: r.values[0] for r in single}


def _named(peer: Peer) -> str:
    if isinstance(peer, IpBlock):
        return str(peer.network)
    space = ",".join(_labels(peer.namespaces or Selector()).values())
    labels = ",".join(f"{k}={v}" for k, v in _labels(peer.pods).items())
    return f"pods {labels or '*'} in {space or 'the same namespace'}"
