"""Packets between a world's pods, and what each judge says of them."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from tests.oracle.judges import Json, Judge
from tests.oracle.worlds import KINDS, OUTSIDE, World, for_analyzer
from webhook.egress.addresses import Address
from webhook.egress.evaluate import Target, egress, ingress
from webhook.egress.network_policy import NetworkPolicy, Pod, Protocol


@dataclass(frozen=True, slots=True)
class Packet:
    """A first packet of a connection.

    Attributes:
        pod: Whose address the destination is; `None` for the outside.
    """

    source: Pod
    destination: Address
    pod: Pod | None
    port: int
    protocol: Protocol

    @property
    def source_address(self) -> Address:
        """The sender's, in the family of the destination."""
        family = self.destination.version
        return next(a for a in self.source.addresses if a.version == family)

    def __str__(self) -> str:
        """For a failing test's report."""
        there = self.pod.name if self.pod else self.destination
        where = f"{self.destination} {self.port}/{self.protocol}"
        return f"{self.source.name} → {there} ({where})"


def passes(
    policies: list[NetworkPolicy], packet: Packet, blocks_match_pods: bool
) -> bool:
    """Whether both ends let a packet pass, in either reading of `ipBlock`."""
    inside = packet.pod is not None and not blocks_match_pods
    there = Target(None if inside else packet.destination, packet.pod)
    here = Target(None if inside else packet.source_address, packet.source)
    port, protocol = packet.port, packet.protocol
    leaves = egress(policies, packet.source, there, port, protocol)
    if packet.pod is None:
        return leaves.allowed
    return (
        leaves.allowed and ingress(policies, packet.pod, here, port, protocol).allowed
    )


def packets(world: World) -> Iterator[Packet]:
    """Every pod to every other pod and to the outside, in both families."""
    pods = world.read_pods()
    senders = [p for p in pods if not p.host_network]
    for source, (port, protocol) in itertools.product(senders, KINDS):
        for other in pods:
            for address in other.addresses if other.name != source.name else ():
                yield Packet(source, address, other, port, protocol)
        for text in OUTSIDE:
            yield Packet(source, ip_address(text), None, port, protocol)


def for_engine(packet: Packet) -> Json:
    """A packet as the engine reads it."""
    return {
        "source": str(packet.source_address),
        "destination": str(packet.destination),
        "port": packet.port,
        "protocol": str(packet.protocol),
    }


def as_analyzed(packet: Packet) -> list[str | int]:
    """A packet as the analyzer writes it."""
    pod = packet.pod
    outside = f"{packet.destination}/{packet.destination.max_prefixlen}"
    return [
        f"{packet.source.namespace}/{packet.source.name}",
        f"{pod.namespace}/{pod.name}" if pod else outside,
        packet.port,
        str(packet.protocol),
    ]


def disagreements(
    asked: list[Packet], ours: list[bool], theirs: list[bool]
) -> list[str]:
    """The packets about which we and they differ, for people."""
    answers = zip(asked, ours, theirs, strict=True)
    return [f"{packet}: {we}, not {they}" for packet, we, they in answers if we != they]


def by_engine(
    engine: Judge, world: World, sent: list[Packet], policies: list[Json]
) -> list[bool]:
    """The verdicts of kindnet's engine."""
    answer: list[bool] = engine.ask(
        {
            "namespaces": world.namespaces,
            "pods": world.pods,
            "policies": policies,
            "packets": [for_engine(packet) for packet in sent],
        }
    )
    return answer


def by_analyzer(
    analyzer: Judge, world: World, sent: list[Packet], policies: list[Json]
) -> list[bool]:
    """The analyzer's verdicts."""
    said = analyzer.ask(
        {
            "namespaces": world.namespaces,
            "pods": [p for p in world.pods if not p["spec"].get("hostNetwork")],
            "before": for_analyzer(policies),
            "after": [],
            "declared": [],
            "expected": [],
            "targets": [f"{a}/{a.max_prefixlen}" for a in map(ip_address, OUTSIDE)],
            "ports": sorted({port for port, _ in KINDS}),
        }
    )
    passing = {tuple(packet) for packet in said["passing"]}
    return [tuple(as_analyzed(packet)) in passing for packet in sent]
