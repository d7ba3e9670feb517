"""Services and their endpoints, as far as a policy has to name them.

A Service's address is rewritten to a pod's before some engines look at a packet and
after others do. What a catalog answers therefore always has both forms.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from webhook.egress.addresses import Address, address_key, read_address
from webhook.egress.network_policy import Protocol
from webhook.egress.selector import Json, Selector

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """A port of a Service.

    Attributes:
        name: Empty when the Service has one port only.
        target: The container's port, by number or name; `None` means `port`.
    """

    name: str = ""
    port: int
    protocol: Protocol = Protocol.TCP
    target: int | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A Service.

    Load balancers' and external addresses are left out: whoever may write a Service
    may claim any of them.

    Attributes:
        cluster_ips: Empty for a headless Service and for an ExternalName.
        selector: `None` when its endpoints are kept by hand.
        external_name: The DNS name an ExternalName stands for.
    """

    namespace: str
    name: str
    cluster_ips: tuple[Address, ...] = ()
    selector: Selector | None = None
    ports: tuple[ServicePort, ...] = ()
    external_name: str | None = None

    @classmethod
    def parse(cls, raw: Json) -> "Service":
        """Read a Service as the API gives it.

        Raises:
            ValueError: A name or a number is something else: all Services are filed
                together, and one must not cost the others.
        """
        meta, spec = raw["metadata"], raw.get("spec") or {}
        given = spec.get("clusterIPs") or [spec.get("clusterIP")]
        labels = spec.get("selector")
        return cls(
            namespace=_text(meta.get("namespace", "default")),
            name=_text(meta["name"]),
            cluster_ips=_addresses(given),
            selector=Selector.labels(labels) if labels else None,
            ports=tuple(_service_port(p) for p in spec.get("ports") or ()),
            external_name=_text(spec.get("externalName") or "") or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice:
    """Some of the endpoints of a Service.

    Attributes:
        ports: By the Service port's name: number and protocol.
        addresses: Ready or not: a pod that becomes ready must not wait for a policy.
        ready: Those of them that are ready now.
    """

    namespace: str
    service: str
    addresses: tuple[Address, ...] = ()
    ports: tuple[tuple[str, int, Protocol], ...] = ()
    ready: tuple[Address, ...] = ()

    @classmethod
    def parse(cls, raw: Json) -> "EndpointSlice":
        """Read a discovery.k8s.io/v1 EndpointSlice as the API gives it.

        Raises:
            ValueError: A name or a number is something else.
        """
        meta = raw["metadata"]
        # Slices of type FQDN hold names.
        held = () if raw.get("addressType") == "FQDN" else raw.get("endpoints") or ()
        ready = [
            e for e in held if (e.get("conditions") or {}).get("ready") is not False
        ]
        ports = (
            (_text(p.get("name") or ""), p["port"], _protocol(p))
            for p in raw.get("ports") or ()
            if isinstance(p.get("port"), int)
        )
        return cls(
            namespace=_text(meta.get("namespace", "default")),
            service=_text((meta.get("labels") or {}).get(SERVICE_NAME_LABEL, "")),
            addresses=_addresses(a for e in held for a in e.get("addresses") or ()),
            ports=tuple(ports),
            ready=_addresses(a for e in ready for a in e.get("addresses") or ()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceIndex:
    """The Services of a cluster, by name and by cluster IP.

    Attributes:
        domain: The cluster's DNS domain.
        nodes: Addresses of nodes; None where they may not be seen.
    """

    services: Mapping[tuple[str, str], Service] = field(default_factory=dict)
    slices: Mapping[tuple[str, str], tuple[EndpointSlice, ...]] = field(
        default_factory=dict
    )
    owners: Mapping[Address, Service] = field(default_factory=dict)
    domain: str = "cluster.local"
    nodes: frozenset[Address] | None = None

    @classmethod
    def of(
        cls,
        services: Iterable[Service],
        slices: Iterable[EndpointSlice] = (),
        domain: str = "cluster.local",
        nodes: Iterable[Address] | None = None,
    ) -> "ServiceIndex":
        """File Services and slices under the names and addresses they have."""
        by_name = {(s.namespace, s.name): s for s in services}
        grouped: dict[tuple[str, str], list[EndpointSlice]] = {}
        for item in slices:
            grouped.setdefault((item.namespace, item.service), []).append(item)
        owners = {
            address: service
            for _, service in sorted(by_name.items())
            for address in service.cluster_ips
        }
        return cls(
            services=by_name,
            slices={key: tuple(value) for key, value in grouped.items()},
            owners=owners,
            domain=domain,
            nodes=None if nodes is None else frozenset(nodes),
        )

    @property
    def families(self) -> frozenset[int]:
        """Return the IP versions that Services of this cluster have."""
        return frozenset(
            a.version for service in self.services.values() for a in service.cluster_ips
        )

    def named(self, host: str, namespace: str) -> Service | None:
        """Return the Service that a host name means to a pod of a namespace.

        Understands `svc`, `svc.ns`, `svc.ns.svc` and `svc.ns.svc.<domain>`, and a pod's
        name in front: that dials the pods themselves, as a headless Service's name
        does. An absolute name, in no namespace, has to end in the domain.
        """
        if not namespace and not host.endswith(f".svc.{self.domain}"):
            return None
        qualified = host.removesuffix(f".{self.domain}")
        labels = qualified.removesuffix(".svc").split(".")
        short = len(labels) == 2 and qualified.count(".") == 1
        found = self.services.get((namespace, labels[-1] if short else ""))
        if found and found.external_name is None and not found.cluster_ips:
            return found  # the search list begins with the pod's own namespace
        match labels:
            case [name]:
                return self.services.get((namespace, name))
            case [name, other]:
                return self.services.get((other, name))
            case [_, name, other]:
                found = self.services.get((other, name))
                is_alias = found is None or found.external_name is not None
                return None if is_alias or not found else replace(found, cluster_ips=())
            case _:
                return None

    @property
    def nameservers(self) -> tuple[Address, ...]:
        """Return the addresses of the cluster's DNS, as distributions place it."""
        there = [
            service
            for (namespace, _), service in sorted(self.services.items())
            if namespace in ("kube-system", "openshift-dns")
            and any((p.port, p.protocol) == (53, Protocol.UDP) for p in service.ports)
        ]
        named = [service for service in there if service.name == "kube-dns"]
        return tuple(a for service in named or there for a in service.cluster_ips)

    def slices_of(self, service: Service) -> tuple[EndpointSlice, ...]:
        """Return the endpoints of a Service."""
        return self.slices.get((service.namespace, service.name), ())

    def inside(self, host: str) -> bool:
        """Return whether a name can only be one of this cluster's."""
        return host.endswith((".svc", f".svc.{self.domain}"))

    def endpoint_ports(self, service: Service, port: ServicePort) -> tuple[int, ...]:
        """Return the port numbers behind a Service's port, sorted.

        Without endpoints, a numeric target still tells the number.
        """
        numbers = {
            number
            for item in self.slices_of(service)
            for name, number, protocol in item.ports
            if (name, protocol) == (port.name, port.protocol)
        }
        if not numbers and not isinstance(port.target, str):
            numbers = {port.target or port.port}
        return tuple(sorted(numbers))

    def endpoint_addresses(self, service: Service) -> tuple[Address, ...]:
        """Return the addresses of a Service's endpoints, sorted."""
        found = {a for item in self.slices_of(service) for a in item.addresses}
        return tuple(sorted(found, key=address_key))


def node_addresses(raw: Json) -> tuple[Address, ...]:
    """Read the addresses of a Node that a Service may lead to, sorted."""
    given = (raw.get("status") or {}).get("addresses") or ()
    found = (a.get("address") for a in given if str(a.get("type")).endswith("IP"))
    return tuple(sorted(_addresses(found), key=address_key))


def _addresses(given: Iterable[Any]) -> tuple[Address, ...]:
    """Return those that can be read; one that cannot must not cost the object."""
    found = map(read_address, given)
    return tuple(address for address in found if address is not None)


def _service_port(raw: Mapping[str, Any]) -> ServicePort:
    target = raw.get("targetPort")
    return ServicePort(
        name=_text(raw.get("name") or ""),
        port=_number(raw["port"]),
        protocol=_protocol(raw),
        target=target if target is None or isinstance(target, str) else _number(target),
    )


def _protocol(raw: Mapping[str, Any]) -> Protocol:
    return Protocol(raw.get("protocol") or "TCP")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        message = f"{type(value).__name__} instead of a text"
        raise ValueError(message)  # noqa: TRY004 - what cannot be read is one error
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int):
        message = f"{type(value).__name__} instead of a number"
        raise ValueError(message)  # noqa: TRY004 - what cannot be read is one error
    return value
