"""Kubernetes NetworkPolicy, read into values.

Reading loses nothing that decides about a packet: two policies that read to equal
values permit the same packets. Reading and rendering are each other's inverse up to
the order of lists and to the forms that the API declares equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from webhook.egress.addresses import Address, Network, read_network
from webhook.egress.selector import EVERYTHING, Json, Selector


class Protocol(StrEnum):
    """The protocols that a NetworkPolicy can name."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class Direction(StrEnum):
    """The two values of `policyTypes`."""

    EGRESS = "Egress"
    INGRESS = "Ingress"


@dataclass(frozen=True, slots=True)
class IpBlock:
    """A range of addresses, with holes."""

    network: Network
    excepts: tuple[Network, ...] = ()

    def contains(self, address: Address) -> bool:
        """Return whether an address is in the range and in none of its holes."""
        return address in self.network and not any(address in e for e in self.excepts)


@dataclass(frozen=True, slots=True)
class PodPeer:
    """Pods by their labels and their namespace's labels.

    Attributes:
        namespaces: `None` means the policy's own namespace.
        pods: Selects everything when empty.
    """

    pods: Selector = EVERYTHING
    namespaces: Selector | None = None


Peer = IpBlock | PodPeer


@dataclass(frozen=True, slots=True)
class Port:
    """A port, a range of ports, or a whole protocol.

    Attributes:
        protocol: TCP, UDP or SCTP.
        port: A number, the name of a container's port, or `None` for every port.
        end: The last port of a range that begins at `port`.
    """

    protocol: Protocol = Protocol.TCP
    port: int | str | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Permits every peer on every port; an empty list means *any*."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[Port, ...] = ()

    def render(self) -> dict[str, Any]:
        """Return the egress rule as the API takes it."""
        return ({"to": [_peer(p) for p in self.peers]} if self.peers else {}) | (
            {"ports": [_port(p) for p in self.ports]} if self.ports else {}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicy:
    """A NetworkPolicy.

    Attributes:
        directions: What it isolates, after the API's own defaulting.
        labels: Of the policy object itself.
        owners: Identities (uid) of the objects that own it.
    """

    namespace: str
    name: str
    uid: str = ""
    selector: Selector = EVERYTHING
    directions: frozenset[Direction] = frozenset()
    egress: tuple[Rule, ...] = ()
    ingress: tuple[Rule, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[str, ...] = ()

    @classmethod
    def parse(cls, raw: Json) -> "NetworkPolicy":
        """Read a NetworkPolicy as the API or a manifest gives it.

        A missing `policyTypes` is filled as the API server fills it: always
        Ingress, and Egress when there are egress rules.

        Raises:
            ValueError: The object is not one the API server would have accepted.
        """
        meta, spec = raw["metadata"], raw.get("spec") or {}
        where = f"{meta.get('namespace', 'default')}/{meta['name']}"
        try:
            egress = tuple(_rule(r, "to") for r in spec.get("egress") or ())
            ingress = tuple(_rule(r, "from") for r in spec.get("ingress") or ())
            types = spec.get("policyTypes") or [
                "Ingress",
                *(["Egress"] if egress else []),
            ]
            return cls(
                namespace=meta.get("namespace", "default"),
                name=meta["name"],
                uid=meta.get("uid", ""),
                selector=Selector.parse(spec.get("podSelector") or {}),
                directions=frozenset(Direction(t) for t in types),
                egress=egress,
                ingress=ingress,
                labels=meta.get("labels") or {},
                owners=tuple(o["uid"] for o in meta.get("ownerReferences") or ()),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"NetworkPolicy {where} cannot be read: {error}"
            raise ValueError(message) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """What a policy can see of a pod.

    Attributes:
        ports: Of its containers: name, number, protocol.
        host_network: It shares the node's address; policies see the node instead.
    """

    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    ports: tuple[tuple[str, int, Protocol], ...] = ()
    host_network: bool = False


def _rule(raw: Json, peers: str) -> Rule:
    return Rule(
        tuple(_read_peer(p) for p in raw.get(peers) or ()),
        tuple(_read_port(p) for p in raw.get("ports") or ()),
    )


def _read_peer(raw: Json) -> Peer:
    block = raw.get("ipBlock")
    if block is not None:
        excepts = tuple(read_network(e) for e in block.get("except") or ())
        return IpBlock(read_network(block["cidr"]), excepts)
    pods, namespaces = raw.get("podSelector"), raw.get("namespaceSelector")
    if pods is None and namespaces is None:
        raise ValueError("a peer names neither pods nor namespaces nor an ipBlock")
    return PodPeer(
        Selector.parse(pods or {}),
        None if namespaces is None else Selector.parse(namespaces),
    )


def _read_port(raw: Json) -> Port:
    return Port(
        Protocol(raw.get("protocol") or "TCP"), raw.get("port"), raw.get("endPort")
    )


def _peer(peer: Peer) -> dict[str, Any]:
    if isinstance(peer, IpBlock):
        holes = [str(e) for e in peer.excepts]
        block = {"cidr": str(peer.network)} | ({"except": holes} if holes else {})
        return {"ipBlock": block}
    if peer.namespaces is None:
        return {"podSelector": peer.pods.render()}
    rendered = {"namespaceSelector": peer.namespaces.render()}
    return rendered | (
        {"podSelector": peer.pods.render()} if peer.pods.requirements else {}
    )


def _port(port: Port) -> dict[str, Any]:
    rendered: dict[str, Any] = {"protocol": str(port.protocol)}
    if port.port is not None:
        rendered["port"] = port.port
    if port.end is not None:
        rendered["endPort"] = port.end
    return rendered
