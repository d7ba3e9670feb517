"""Rules in canonical form: byte for byte the same, whatever the order they came in.

The same permissions always give the same object, so that nothing is written when
nothing changed.
"""

from collections.abc import Iterable, Iterator
from ipaddress import collapse_addresses

from webhook.egress.network_policy import IpBlock, Peer, Port, Rule


def normalize(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the same permissions in canonical form, whatever the order.

    Rules with the same peers share a line, then rules with the same ports do. Ranges
    that together are exactly a larger one become that one; never a wider one.
    """
    by_peer: dict[Peer, set[Port]] = {}
    for rule in rules:
        for peer in rule.peers:
            by_peer.setdefault(peer, set()).update(rule.ports)
    by_ports: dict[tuple[Port, ...], list[Peer]] = {}
    for peer, ports in by_peer.items():
        key = tuple(sorted(ports, key=_port_key))
        by_ports.setdefault(key, []).append(peer)
    ordered = sorted(by_ports.items(), key=lambda item: [_port_key(p) for p in item[0]])
    return tuple(
        Rule(tuple(sorted(_joined(peers), key=_peer_key)), k) for k, peers in ordered
    )


def _joined(peers: Iterable[Peer]) -> Iterator[Peer]:
    """Yield the same peers with adjacent ranges as one: a pool often has whole runs."""
    ranges = []
    for peer in peers:
        if isinstance(peer, IpBlock) and not peer.excepts:
            ranges.append(peer.network)
        else:
            yield peer
    for version in (4, 6):
        family = (network for network in ranges if network.version == version)
        # One family at a time, which is more than its type can say.
        yield from (IpBlock(n) for n in collapse_addresses(family))  # type: ignore[type-var]


def _port_key(port: Port) -> tuple[str, int, str]:
    number = port.port if isinstance(port.port, int) else 0
    return str(port.protocol), number, str(port)


def _peer_key(peer: Peer) -> tuple[int, int, int, str]:
    if isinstance(peer, IpBlock):
        return 0, peer.network.version, int(peer.network.network_address), str(peer)
    return 1, 0, 0, str(peer)
