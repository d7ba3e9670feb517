"""Destinations → the egress rules that reach them.

Every rule that leaves this module has at least one peer and at least one port: what
is not known yet has no rule, because an empty list in a rule means *anything*.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from webhook.egress.destinations import Destination
from webhook.egress.network_policy import (
    Address,
    IpBlock,
    Peer,
    PodPeer,
    Port,
    Protocol,
    Rule,
)
from webhook.egress.normalize import normalize
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.selector import Selector
from webhook.egress.services import Service, ServiceIndex, ServicePort, address_key

NAMESPACE_NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""On every namespace, set by the API server: its name."""

_MAX_HOPS: Final = 8
_DNS: Final = (Port(Protocol.TCP, 53), Port(Protocol.UDP, 53))


@dataclass(frozen=True, slots=True)
class EgressRules:
    """How destinations are reached.

    Attributes:
        rules: In canonical order.
        findings: Sorted.
        names: Host names for which pods will ask DNS.
    """

    rules: tuple[Rule, ...] = ()
    findings: tuple[Finding, ...] = ()
    names: tuple[str, ...] = ()


def rules_for(
    destinations: Iterable[Destination],
    namespace: str,
    catalog: ServiceIndex,
    known: Mapping[str, tuple[Address, ...]],
    nameservers: Iterable[Address],
) -> EgressRules:
    """The rules for a namespace's destinations, and for DNS if a name is among them.

    Args:
        destinations: As derived from the namespace's keys.
        namespace: Of the pods that dial; short names are relative to it.
        catalog: The cluster's Services.
        known: Addresses by host name, as remembered from lookups.
        nameservers: As in a task pod's resolv.conf.
    """
    rules: list[Rule] = []
    findings: list[Finding] = []
    names: list[str] = []
    for destination in destinations:
        found, notes = _destination(destination, namespace, catalog, known, _MAX_HOPS)
        rules += found
        findings += notes
        names += [] if destination.network else [destination.host]
    if names:
        rules += dns_rules(nameservers, catalog)
    return EgressRules(
        normalize(rules), tuple(sorted(set(findings))), tuple(sorted(set(names)))
    )


def names_to_look_up(
    destinations: Iterable[Destination], namespace: str, catalog: ServiceIndex
) -> frozenset[str]:
    """The names of destinations that only DNS can tell the addresses of."""
    names = set()
    for destination in destinations:
        host, home = destination.host, namespace
        for _ in range(_MAX_HOPS):
            service = catalog.named(host, home)
            if service is None or service.external_name is None:
                break
            host, home = canonical_name(service.external_name), service.namespace
        else:
            continue
        literal = Destination(host, 1, "").network is not None
        if service is None and not literal and not catalog.inside(host):
            names.add(host)
    return frozenset(names)


def canonical_name(name: str) -> str:
    """A DNS name as it is remembered: lower case, without a trailing dot."""
    return name.lower().removesuffix(".")


def dns_rules(nameservers: Iterable[Address], catalog: ServiceIndex) -> list[Rule]:
    """DNS as task pods see it: the nameserver itself, and the pods behind its Service.

    The address is right where policies are applied before it is rewritten and where
    a cache on the node answers for it; the pods are right everywhere else.
    """
    rules: list[Rule] = []
    for address in nameservers:
        rules.append(Rule((_block(address),), _DNS))
        service = catalog.owners.get(address)
        for port in service.ports if service else ():
            if service and port.port == 53:
                rules += _behind(service, port, catalog)
    return rules


def dns_servers(
    nameservers: Iterable[Address], catalog: ServiceIndex
) -> tuple[tuple[Address, int], ...]:
    """Whom to ask: the nameservers, and every ready replica behind their Services.

    Each replica has a cache of its own, and a pod may be answered by any of them.
    """
    servers: set[tuple[Address, int]] = set()
    for address in nameservers:
        servers.add((address, 53))
        service = catalog.owners.get(address)
        if service is None:
            continue
        names = {p.name for p in service.ports if p.port == 53}
        for item in catalog.slices_of(service):
            listens = (n for name, n, x in item.ports if name in names and x == "UDP")
            servers.update(itertools.product(item.ready, listens))
    return tuple(sorted(servers, key=lambda server: (address_key(server[0]), server)))


def _destination(
    destination: Destination,
    namespace: str,
    catalog: ServiceIndex,
    known: Mapping[str, tuple[Address, ...]],
    hops: int,
) -> tuple[list[Rule], list[Finding]]:
    if destination.network is not None:
        network = destination.network
        if network.num_addresses > 1:
            return [Rule((IpBlock(network),), (Port(port=destination.port),))], []
        return _by_address(destination, (network.network_address,), catalog)
    service = catalog.named(destination.host, namespace)
    if service is None:
        return _by_address(destination, known.get(destination.host, ()), catalog)
    if service.external_name is None:
        return _service(destination, service, catalog)
    if hops == 0:
        return [], [_unresolved(destination.host, "its ExternalNames form a loop")]
    target = canonical_name(service.external_name)
    behind = Destination(target, destination.port, destination.origin)
    rules, notes = _destination(behind, service.namespace, catalog, known, hops - 1)
    if destination.port == 443:
        message = (
            f"{destination.host} stands for {target}, whose certificate it will show"
        )
        notes = [
            *notes,
            Finding(EgressReason.TLS_NAME_MISMATCH, destination.host, message),
        ]
    return rules, notes


def _by_address(
    destination: Destination, addresses: tuple[Address, ...], catalog: ServiceIndex
) -> tuple[list[Rule], list[Finding]]:
    """Addresses as they are, and what stands behind those that this cluster owns."""
    if not addresses:
        inside = catalog.inside(destination.host)
        why = "there is no such Service" if inside else "no lookup has answered yet"
        return [], [_unresolved(destination.host, why)]
    rules = [Rule(tuple(_block(a) for a in addresses), (Port(port=destination.port),))]
    findings = []
    for address in addresses:
        service = catalog.owners.get(address)
        port = _port_of(service, destination.port) if service else None
        if service and port:
            rules += _behind(service, port, catalog)
        if address in catalog.nodes:
            findings.append(_on_node(destination.host))
    families = {a.version for a in addresses}
    if catalog.families and not families & catalog.families:
        message = f"{destination.host} has no address of this cluster's IP family"
        findings.append(
            Finding(EgressReason.ENFORCEMENT_UNKNOWN, destination.host, message)
        )
    return rules, findings


def _service(
    destination: Destination, service: Service, catalog: ServiceIndex
) -> tuple[list[Rule], list[Finding]]:
    headless = not service.cluster_ips
    port = (
        ServicePort(service.ports[0].name if service.ports else "", destination.port)
        if headless
        else _port_of(service, destination.port)
    )
    if port is None or (headless and not _listens(service, destination.port, catalog)):
        where = f"{service.namespace}/{service.name}"
        message = f"Service {where} has nothing on port {destination.port}"
        return [], [Finding(EgressReason.PORT_MISMATCH, destination.host, message)]
    if headless:
        rules = _pods_or_addresses(service, port, (destination.port,), catalog)
    else:
        rules = _behind(service, port, catalog)
        blocks = tuple(_block(a) for a in service.cluster_ips)
        rules.append(Rule(blocks, (Port(port=port.port),)))
    findings = []
    if not any(_reaches_backend(rule, service) for rule in rules):
        findings.append(_unresolved(destination.host, "its Service has no endpoints"))
    if set(_endpoint_addresses(service, catalog)) & catalog.nodes:
        findings.append(_on_node(destination.host))
    return rules, findings


def _behind(service: Service, port: ServicePort, catalog: ServiceIndex) -> list[Rule]:
    """What a Service's port leads to."""
    _, numbers = catalog.endpoints(service, port)
    return _pods_or_addresses(service, port, numbers, catalog)


def _pods_or_addresses(
    service: Service, port: ServicePort, numbers: tuple[int, ...], catalog: ServiceIndex
) -> list[Rule]:
    ports = tuple(Port(port.protocol, n) for n in numbers)
    addresses = _endpoint_addresses(service, catalog)
    if service.selector is None:
        peers: tuple[Peer, ...] = tuple(_block(a) for a in addresses)
    else:
        # Identical to the Service's selector: AWS finds the cluster IP by it.
        home = Selector.labels({NAMESPACE_NAME_LABEL: service.namespace})
        # No selector matches a pod on the host's network, but its address does.
        hosts = (_block(a) for a in addresses if a in catalog.nodes)
        peers = (PodPeer(service.selector, home), *hosts)
    return [Rule(peers, ports)] if peers and ports else []


def _endpoint_addresses(service: Service, catalog: ServiceIndex) -> list[Address]:
    slices = catalog.slices_of(service)
    return sorted({a for s in slices for a in s.addresses}, key=address_key)


def _listens(service: Service, number: int, catalog: ServiceIndex) -> bool:
    """Whether pods of a headless Service listen on a port, as far as is known."""
    slices = catalog.slices_of(service)
    numbers = {n for s in slices for _, n, _ in s.ports}
    return not numbers or number in numbers


def _reaches_backend(rule: Rule, service: Service) -> bool:
    own = {_block(a) for a in service.cluster_ips}
    return any(peer not in own for peer in rule.peers)


def _port_of(service: Service, number: int) -> ServicePort | None:
    ports = (p for p in service.ports if p.protocol is Protocol.TCP)
    return next((p for p in ports if p.port == number), None)


def _unresolved(host: str, why: str) -> Finding:
    return Finding(EgressReason.UNRESOLVED, host, f"{host} has no rule: {why}")


def _on_node(host: str) -> Finding:
    message = f"{host} is on a node's address; Cilium needs policyCIDRMatchMode: nodes"
    return Finding(EgressReason.NODE_ADDRESS, host, message)


def _block(address: Address) -> IpBlock:
    return IpBlock(ip_network(address))
