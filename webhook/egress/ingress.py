"""Whether the other end lets task pods in, as far as that can be told for certain.

Nothing here sees the server's pods, only its Service; so a policy counts as closing
the door when it is sure to select them, and as opening it when it might.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from webhook.egress.destinations import Destination
from webhook.egress.network_policy import (
    Direction,
    IpBlock,
    NetworkPolicy,
    Peer,
    Port,
    Protocol,
    Rule,
)
from webhook.egress.own_policy import INJECTED
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.services import Service, ServiceIndex


@dataclass(frozen=True, slots=True)
class ClientNamespace:
    """The task pods of a namespace.

    Attributes:
        labels: Of the namespace.
    """

    namespace: str
    labels: Mapping[str, str]


Policies = Mapping[str, Sequence[NetworkPolicy]]
"""All policies by their namespace."""


def blocked_destinations(
    destinations: Iterable[Destination],
    caller: ClientNamespace,
    catalog: ServiceIndex,
    policies: Policies,
) -> tuple[Finding, ...]:
    """Return a finding for each destination in this cluster that lets no task pod in.

    Args:
        destinations: What task pods dial; those outside the cluster are passed over.
        caller: Whose task pods.
        catalog: The cluster's Services.
        policies: By namespace, ours too.
    """
    found = []
    for place in destinations:
        service = _service(place, caller.namespace, catalog)
        closing = _closing(service, place, caller, catalog, policies)
        if service and closing:
            names, where = ", ".join(closing), service.namespace
            message = (
                f"no rule of {names} in namespace {where} lets task pods of"
                f" {caller.namespace} reach {place.host}"
            )
            reason = EgressReason.DESTINATION_INGRESS_BLOCKED
            found.append(Finding(reason, place.host, message))
    return tuple(found)


def server_namespaces(
    destinations: Iterable[Destination], namespace: str, catalog: ServiceIndex
) -> frozenset[str]:
    """Return the namespaces whose policies decide who gets in.

    Args:
        destinations: What task pods dial; those outside the cluster are passed over.
        namespace: Of the task pods.
        catalog: The cluster's Services.
    """
    services = (_service(place, namespace, catalog) for place in destinations)
    return frozenset(service.namespace for service in services if service)


def _service(
    place: Destination, namespace: str, catalog: ServiceIndex
) -> Service | None:
    network = place.network
    if network is not None:
        return catalog.owners.get(network.network_address)
    return catalog.named(place.host, namespace)


def _closing(
    service: Service | None,
    place: Destination,
    caller: ClientNamespace,
    catalog: ServiceIndex,
    policies: Policies,
) -> tuple[str, ...]:
    """Return the policies that let nobody in; none when one might."""
    selector = service.selector if service else None
    if service is None or selector is None:
        return ()
    there = [
        p
        for p in policies.get(service.namespace, ())
        if Direction.INGRESS in p.directions
    ]
    sure = tuple(sorted(p.name for p in there if selector.implies(p.selector)))
    if not sure:
        return ()
    numbers = set(_numbers(service, place.port, catalog))
    opened = any(
        _may_admit(rule, policy, caller, numbers)
        for policy in there
        if not (policy.selector & selector).contradictory
        for rule in policy.ingress
    )
    return () if opened else sure


def _numbers(service: Service, number: int, catalog: ServiceIndex) -> Iterator[int]:
    """Yield the ports that the server's pods listen on for it; none when unknown."""
    if not service.cluster_ips:
        yield number
    for port in service.ports:
        if port.port == number and port.protocol is Protocol.TCP:
            yield from catalog.endpoint_ports(service, port)


def _may_admit(
    rule: Rule, policy: NetworkPolicy, caller: ClientNamespace, numbers: set[int]
) -> bool:
    ports = not rule.ports or any(_may_be(port, numbers) for port in rule.ports)
    peers = not rule.peers or any(_may_match(p, policy, caller) for p in rule.peers)
    return ports and peers


def _may_be(port: Port, numbers: set[int]) -> bool:
    if port.protocol is not Protocol.TCP:
        return False
    # What a name means is for the server's containers to say.
    if not isinstance(port.port, int) or not numbers:
        return True
    return any(port.port <= n <= (port.end or port.port) for n in numbers)


def _may_match(peer: Peer, policy: NetworkPolicy, caller: ClientNamespace) -> bool:
    if isinstance(peer, IpBlock):
        return True  # where the callers' addresses lie is not known here
    if (peer.pods & INJECTED).contradictory:
        return False
    if peer.namespaces is None:
        return policy.namespace == caller.namespace
    return peer.namespaces.matches(caller.labels)
