"""Destinations → the egress rules that reach them.

Every rule that leaves this module has at least one peer and at least one port: what
is not known yet has no rule, because an empty list in a rule means *anything*.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from webhook.egress.addresses import Address, address_key
from webhook.egress.destinations import Destination
from webhook.egress.network_policy import IpBlock, Peer, PodPeer, Port, Protocol, Rule
from webhook.egress.normalize import normalize
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.selector import Selector
from webhook.egress.services import Service, ServiceIndex, ServicePort
from webhook.uri import MalformedUriError, canonical_host

NAMESPACE_NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""On every namespace, set by the API server: its name."""

_MAX_HOPS: Final = 8
_DNS: Final = (Port(Protocol.TCP, 53), Port(Protocol.UDP, 53))


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRules:
    """How destinations are reached.

    Attributes:
        rules: In canonical order.
        findings: Sorted.
        names: Host names that only DNS can tell the addresses of.
    """

    rules: tuple[Rule, ...] = ()
    findings: tuple[Finding, ...] = ()
    names: frozenset[str] = frozenset()


def rules_for(
    destinations: Iterable[Destination],
    namespace: str,
    index: ServiceIndex,
    known: Mapping[str, tuple[Address, ...]],
    nameservers: Iterable[Address],
) -> EgressRules:
    """Return the rules for a namespace's destinations, and for DNS if one has a name.

    Args:
        destinations: As derived from the namespace's keys.
        namespace: Of the pods that dial; short names are relative to it.
        index: The cluster's Services.
        known: Addresses by host name, as remembered from lookups.
        nameservers: As in a task pod's resolv.conf.
    """
    builder = _Builder(index=index, known=known)
    asks_dns = False
    for destination in destinations:
        builder.add(destination, namespace, _MAX_HOPS)
        asks_dns |= destination.network is None
    dns = dns_rules(nameservers, index) if asks_dns else []
    return EgressRules(
        rules=normalize((*builder.rules, *dns)),
        findings=tuple(sorted(set(builder.findings))),
        names=frozenset(builder.names),
    )


def dns_rules(nameservers: Iterable[Address], index: ServiceIndex) -> list[Rule]:
    """Return DNS as task pods see it: the nameserver, and the pods behind its Service.

    The address is right where policies are applied before it is rewritten and where
    a cache on the node answers for it; the pods are right everywhere else.
    """
    rules: list[Rule] = []
    for address in nameservers:
        rules.append(Rule((_block(address),), _DNS))
        service = index.owners.get(address)
        for port in service.ports if service else ():
            if service and port.port == 53:
                rules += _behind(service, port, index)
    return rules


def dns_servers(
    nameservers: Iterable[Address], index: ServiceIndex
) -> tuple[tuple[Address, int], ...]:
    """Return whom to ask: nameservers, and every ready replica behind their Services.

    Each replica has a cache of its own, and a pod may be answered by any of them.
    """
    servers: set[tuple[Address, int]] = set()
    for address in nameservers:
        servers.add((address, 53))
        service = index.owners.get(address)
        if service is None:
            continue
        names = {p.name for p in service.ports if p.port == 53}
        for item in index.slices_of(service):
            listens = (n for name, n, x in item.ports if name in names and x == "UDP")
            servers.update(itertools.product(item.ready, listens))
    return tuple(sorted(servers, key=lambda server: (address_key(server[0]), server)))


@dataclass(slots=True, kw_only=True)
class _Builder:
    """Gathers rules, findings and names, one destination after the other."""

    index: ServiceIndex
    known: Mapping[str, tuple[Address, ...]]
    rules: list[Rule] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def add(self, destination: Destination, namespace: str, hops: int) -> None:
        """Add a destination; names of Services are followed at most `hops` times."""
        network = destination.network
        if network is not None:
            if network.num_addresses > 1:
                self._permit((IpBlock(network),), destination.port)
            else:
                self._addresses(destination, (network.network_address,))
            return
        service = self.index.named(destination.host, namespace)
        if service is None:
            self._name(destination)
        elif service.external_name is None:
            self._service(destination, service)
        elif hops == 0:
            self._unresolved(destination, "its ExternalNames form a loop")
        else:
            self._external_name(destination, service, hops)

    def _external_name(
        self, destination: Destination, service: Service, hops: int
    ) -> None:
        try:
            target = canonical_host(service.external_name or "")
        except MalformedUriError:
            # API servers take labels of any length; DNS takes 63 characters.
            message = f"{destination.host} stands for a name that DNS cannot have"
            self._find(EgressReason.MALFORMED_URI, destination, message)
            return
        behind = Destination(target, destination.port, destination.origin)
        self.add(behind, "", hops - 1)  # DNS has no search list for it
        if destination.port == 443:
            message = (
                f"{destination.host} stands for {target}, whose certificate it will"
                " show"
            )
            self._find(EgressReason.TLS_NAME_MISMATCH, destination, message)

    def _name(self, destination: Destination) -> None:
        inside = self.index.inside(destination.host)
        if not inside:
            self.names.add(destination.host)
        addresses = self.known.get(destination.host, ())
        if addresses:
            self._addresses(destination, addresses)
        elif inside:
            self._unresolved(destination, "there is no such Service")
        else:
            self._unresolved(destination, "no lookup has answered yet")

    def _addresses(
        self, destination: Destination, addresses: tuple[Address, ...]
    ) -> None:
        """Permit addresses, and what stands behind those that are cluster IPs."""
        index = self.index
        self._permit(tuple(_block(a) for a in addresses), destination.port)
        for address in addresses:
            service = index.owners.get(address)
            port = _port_of(service, destination.port) if service else None
            if service and port:
                self.rules += _behind(service, port, index)
        self._note_nodes(destination, addresses)
        if index.families and not {a.version for a in addresses} & index.families:
            message = f"{destination.host} has no address of this cluster's IP family"
            self._find(EgressReason.ENFORCEMENT_UNKNOWN, destination, message)

    def _service(self, destination: Destination, service: Service) -> None:
        index, number = self.index, destination.port
        headless = not service.cluster_ips
        port = ServicePort(port=number) if headless else _port_of(service, number)
        if port is None or (headless and not _listens(service, number, index)):
            where = f"{service.namespace}/{service.name}"
            message = f"Service {where} has nothing on port {number}"
            self._find(EgressReason.PORT_MISMATCH, destination, message)
            return
        if headless:
            behind = _pods_or_addresses(service, port, (number,), index)
        else:
            behind = _behind(service, port, index)
            self._permit(tuple(_block(a) for a in service.cluster_ips), number)
        self.rules += behind
        if not behind:
            self._unresolved(destination, "its Service has no endpoints")
        self._note_nodes(destination, index.endpoint_addresses(service))

    def _permit(self, peers: tuple[Peer, ...], port: int) -> None:
        self.rules.append(Rule(peers, (Port(port=port),)))

    def _note_nodes(
        self, destination: Destination, addresses: Iterable[Address]
    ) -> None:
        if self.index.nodes and not self.index.nodes.isdisjoint(addresses):
            message = (
                f"{destination.host} is on a node's address; Cilium needs"
                " policyCIDRMatchMode: nodes"
            )
            self._find(EgressReason.NODE_ADDRESS, destination, message)

    def _unresolved(self, destination: Destination, why: str) -> None:
        message = f"{destination.host} has no rule: {why}"
        self._find(EgressReason.UNRESOLVED, destination, message)

    def _find(
        self, reason: EgressReason, destination: Destination, message: str
    ) -> None:
        self.findings.append(Finding(reason, destination.host, message))


def _behind(service: Service, port: ServicePort, index: ServiceIndex) -> list[Rule]:
    """Return rules for what a Service's port leads to."""
    numbers = index.endpoint_ports(service, port)
    return _pods_or_addresses(service, port, numbers, index)


def _pods_or_addresses(
    service: Service, port: ServicePort, numbers: tuple[int, ...], index: ServiceIndex
) -> list[Rule]:
    ports = tuple(Port(port.protocol, n) for n in numbers)
    addresses = index.endpoint_addresses(service)
    if service.selector is None:
        peers: tuple[Peer, ...] = tuple(_block(a) for a in addresses)
    else:
        # Identical to the Service's selector: AWS finds the cluster IP by it.
        home = Selector.labels({NAMESPACE_NAME_LABEL: service.namespace})
        # No selector matches a pod on the host's network, but its address does. Where
        # nodes may not be seen, any endpoint may be on one.
        nodes = index.nodes
        hosts = (_block(a) for a in addresses if nodes is None or a in nodes)
        peers = (PodPeer(service.selector, home), *hosts)
    return [Rule(peers, ports)] if peers and ports else []


def _listens(service: Service, number: int, index: ServiceIndex) -> bool:
    """Return whether pods of a headless Service listen on a port, as far as known."""
    numbers = {n for item in index.slices_of(service) for _, n, _ in item.ports}
    return not numbers or number in numbers


def _port_of(service: Service, number: int) -> ServicePort | None:
    ports = (p for p in service.ports if p.protocol is Protocol.TCP)
    return next((p for p in ports if p.port == number), None)


def _block(address: Address) -> IpBlock:
    return IpBlock(ip_network(address))
