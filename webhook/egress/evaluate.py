"""Whether Kubernetes NetworkPolicies let a packet pass, and which of them decides.

The API's own semantics: a pod that no policy selects for a direction may do anything
in it; one that is selected may do what at least one rule of a selecting policy
permits. An `ipBlock` is compared with the packet's address, whoever has it: that is
how kindnet and Calico read it. Cilium and some analyzers let it match addresses
outside the cluster only; a `Target` without `address` gives their reading.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from webhook.egress.addresses import Address
from webhook.egress.network_policy import (
    Direction,
    IpBlock,
    NetworkPolicy,
    Peer,
    Pod,
    Port,
    Protocol,
    Rule,
)


@dataclass(frozen=True, slots=True)
class Target:
    """The other end of a connection.

    Attributes:
        address: As it is on the packet when policies look at it.
        pod: The pod that has the address, if one has.
    """

    address: Address | None = None
    pod: Pod | None = None

    @property
    def seen(self) -> Pod | None:
        """The pod as policies see it: one on the host's network is but an address."""
        return None if self.pod is None or self.pod.host_network else self.pod


@dataclass(frozen=True, slots=True)
class PacketVerdict:
    """Whether a packet passes in one direction, and why.

    Attributes:
        allowed: It passes.
        isolated_by: Names of the policies that select the pod for this direction.
        allowed_by: The policy and the index of its rule that permits it; `None` when
            nothing isolates the pod or nothing permits the packet.
    """

    allowed: bool
    isolated_by: tuple[str, ...] = ()
    allowed_by: tuple[str, int] | None = None


def selects(policy: NetworkPolicy, pod: Pod, direction: Direction) -> bool:
    """Whether a policy isolates a pod for a direction."""
    return (
        direction in policy.directions
        and policy.namespace == pod.namespace
        and not pod.host_network
        and policy.selector.matches(pod.labels)
    )


def egress(
    policies: Iterable[NetworkPolicy],
    pod: Pod,
    target: Target,
    port: int,
    protocol: Protocol,
) -> PacketVerdict:
    """Whether a pod may open a connection to a target, as far as its own side goes."""
    isolating = [p for p in policies if selects(p, pod, Direction.EGRESS)]
    for policy in isolating:
        for index, rule in enumerate(policy.egress):
            if _ports(rule, port, protocol, target.seen) and _peers(
                rule, target, policy
            ):
                return PacketVerdict(True, _names(isolating), (policy.name, index))
    return PacketVerdict(not isolating, _names(isolating))


def ingress(
    policies: Iterable[NetworkPolicy],
    pod: Pod,
    source: Target,
    port: int,
    protocol: Protocol,
) -> PacketVerdict:
    """Whether a pod may receive a connection from a source, as far as its side goes."""
    isolating = [p for p in policies if selects(p, pod, Direction.INGRESS)]
    for policy in isolating:
        for index, rule in enumerate(policy.ingress):
            if _ports(rule, port, protocol, pod) and _peers(rule, source, policy):
                return PacketVerdict(True, _names(isolating), (policy.name, index))
    return PacketVerdict(not isolating, _names(isolating))


def _names(policies: Iterable[NetworkPolicy]) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in policies))


def _peers(rule: Rule, target: Target, policy: NetworkPolicy) -> bool:
    return not rule.peers or any(_peer(p, target, policy) for p in rule.peers)


def _peer(peer: Peer, target: Target, policy: NetworkPolicy) -> bool:
    if isinstance(peer, IpBlock):
        return target.address is not None and peer.contains(target.address)
    pod = target.seen
    if pod is None or not peer.pods.matches(pod.labels):
        return False
    if peer.namespaces is None:
        return pod.namespace == policy.namespace
    return peer.namespaces.matches(pod.namespace_labels)


def _ports(rule: Rule, number: int, protocol: Protocol, receiver: Pod | None) -> bool:
    return not rule.ports or any(
        _port(p, number, protocol, receiver) for p in rule.ports
    )


def _port(port: Port, number: int, protocol: Protocol, receiver: Pod | None) -> bool:
    """A port's name means what the receiving pod's containers say it means."""
    if port.protocol is not protocol:
        return False
    if port.port is None:
        return True
    if isinstance(port.port, str):
        return receiver is not None and (port.port, number, protocol) in receiver.ports
    return port.port <= number <= (port.end or port.port)
