"""Whether rules that exist already permit what another rule would.

Read off the text, not off today's pods: what is covered stays covered for every pod
to come. When the text does not tell, the answer is *no*; a rule too many adds
nothing, a rule too few would be missed.
"""

from collections.abc import Iterable

from webhook.egress.network_policy import (
    IpBlock,
    NetworkPolicy,
    Peer,
    PodPeer,
    Port,
    Rule,
)
from webhook.egress.rules import NAMESPACE_NAME_LABEL
from webhook.egress.selector import Operator


def subtract(
    rules: Iterable[Rule], existing: Iterable[tuple[NetworkPolicy, Rule]]
) -> tuple[Rule, ...]:
    """Return what is left of rules without the peers that are permitted anyway.

    Args:
        rules: Egress rules with peers and ports.
        existing: Egress rules, each with the policy it is part of.
    """
    given = list(existing)
    blocks = [one for one in given if _speaks_of(one[1], IpBlock)]
    pods = [one for one in given if _speaks_of(one[1], PodPeer)]
    left = []
    for rule in rules:
        peers = rule.peers
        # Rules may list thousands of addresses, where most policies speak of pods.
        if blocks or (pods and _speaks_of(rule, PodPeer)):
            peers = tuple(
                peer
                for peer in rule.peers
                if not _permitted(
                    peer, rule.ports, blocks if isinstance(peer, IpBlock) else pods
                )
            )
        if peers:
            left.append(Rule(peers, rule.ports))
    return tuple(left)


def _speaks_of(rule: Rule, kind: type[Peer]) -> bool:
    return not rule.peers or any(isinstance(peer, kind) for peer in rule.peers)


def _permitted(
    peer: Peer, ports: tuple[Port, ...], given: list[tuple[NetworkPolicy, Rule]]
) -> bool:
    reaching = [rule for policy, rule in given if _reaches(policy, rule, peer)]
    if not reaching:
        return False
    return all(
        any(
            not r.ports or any(_covers_port(p, port) for p in r.ports) for r in reaching
        )
        for port in ports
    )


def _reaches(policy: NetworkPolicy, rule: Rule, peer: Peer) -> bool:
    return not rule.peers or any(_covers(p, peer, policy) for p in rule.peers)


def _covers(wide: Peer, narrow: Peer, policy: NetworkPolicy) -> bool:
    if isinstance(wide, IpBlock):
        return isinstance(narrow, IpBlock) and _contains(wide, narrow)
    if isinstance(narrow, IpBlock) or not narrow.pods.implies(wide.pods):
        return False
    if wide.namespaces is None:
        return _is_in(narrow, policy.namespace)
    return narrow.namespaces is not None and narrow.namespaces.implies(wide.namespaces)


def _contains(wide: IpBlock, narrow: IpBlock) -> bool:
    outer, inner = wide.network, narrow.network
    if outer.version != inner.version:
        return False
    inside = inner.subnet_of(outer)  # type: ignore[arg-type] # the same version
    return inside and not any(inner.overlaps(hole) for hole in wide.excepts)


def _is_in(peer: PodPeer, namespace: str) -> bool:
    """Return whether every pod of a peer is in the namespace."""
    return peer.namespaces is not None and any(
        r.key == NAMESPACE_NAME_LABEL
        and r.operator is Operator.IN
        and r.values == (namespace,)
        for r in peer.namespaces.requirements
    )


def _covers_port(wide: Port, narrow: Port) -> bool:
    if wide.protocol is not narrow.protocol:
        return False
    if wide.port is None:
        return True
    if isinstance(wide.port, str) or not isinstance(narrow.port, int):
        return wide.port == narrow.port
    return wide.port <= narrow.port and (narrow.end or narrow.port) <= (
        wide.end or wide.port
    )
