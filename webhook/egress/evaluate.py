"""Whether Kubernetes NetworkPolicies let a packet pass, and which of them decides.

The API's own semantics: a pod that no policy selects for a direction may do anything
in it; one that is selected may do what at least one rule of a selecting policy
permits. An `ipBlock` is compared with the packet's address, whoever has it: that is
how kindnet and Calico read it. Cilium and some analyzers let it match addresses
outside the cluster only; a `Target` without `address` gives their reading.
"""

from collections.abc import Callable, Iterable
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
        """Return the pod as policies see it; on the host's network it is an address."""
        return None if self.pod is None or self.pod.host_network else self.pod


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """Return whether a policy isolates a pod for a direction."""
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
    """Return whether a pod may open a connection, as far as its own side goes."""

    def permits(policy: NetworkPolicy, rule: Rule) -> bool:
        ports = permits_port(rule, port, protocol, target.seen)
        return ports and _peers(rule, target, policy)

    return _verdict(policies, pod, Direction.EGRESS, permits)


def ingress(
    policies: Iterable[NetworkPolicy],
    pod: Pod,
    source: Target,
    port: int,
    protocol: Protocol,
) -> PacketVerdict:
    """Return whether a pod may receive a connection, as far as its own side goes."""

    def permits(policy: NetworkPolicy, rule: Rule) -> bool:
        return permits_port(rule, port, protocol, pod) and _peers(rule, source, policy)

    return _verdict(policies, pod, Direction.INGRESS, permits)


def _verdict(
    policies: Iterable[NetworkPolicy],
    pod: Pod,
    direction: Direction,
    permits: Callable[[NetworkPolicy, Rule], bool],
) -> PacketVerdict:
    isolating = [p for p in policies if selects(p, pod, direction)]
    names = tuple(sorted(p.name for p in isolating))
    for policy in isolating:
        rules = policy.egress if direction is Direction.EGRESS else policy.ingress
        for index, rule in enumerate(rules):
            if permits(policy, rule):
                return PacketVerdict(
                    allowed=True, isolated_by=names, allowed_by=(policy.name, index)
                )
    return PacketVerdict(allowed=not isolating, isolated_by=names)


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


def permits_port(
    rule: Rule, number: int, protocol: Protocol, receiver: Pod | None
) -> bool:
    """Return whether a rule is about a port, whoever its peers are."""
    return not rule.ports or any(
        _port(p, number, protocol, receiver) for p in rule.ports
    )


def _port(port: Port, number: int, protocol: Protocol, receiver: Pod | None) -> bool:
    """Return whether a port is meant; a name is what the receiver's containers say."""
    if port.protocol is not protocol:
        return False
    if port.port is None:
        return True
    if isinstance(port.port, str):
        return receiver is not None and (port.port, number, protocol) in receiver.ports
    return port.port <= number <= (port.end or port.port)
