"""Short ways to write the objects that egress tests speak of."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import yaml

from webhook.egress.addresses import Address
from webhook.egress.dns_cache import DnsAnswer, DnsOutcome
from webhook.egress.network_policy import NetworkPolicy, Pod, Protocol, Rule
from webhook.egress.services import EndpointSlice, Service

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INJECTED = {"tracking.michelangelo-ai.org/injected": "true"}
INGRESS = "Ingress"
EGRESS = "Egress"


def policy(spec: str, name: str = "deny", namespace: str = "team-a") -> NetworkPolicy:
    """A NetworkPolicy with the spec given as YAML; its uid follows from its name."""
    meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    return NetworkPolicy.parse({"metadata": meta, "spec": yaml.safe_load(spec)})


def rule(text: str) -> Rule:
    """An egress rule given as YAML."""
    spec = {"policyTypes": [EGRESS], "egress": [yaml.safe_load(text)]}
    return NetworkPolicy.parse({"metadata": {"name": "x"}, "spec": spec}).egress[0]


def pod(
    labels: dict[str, str] | None = None,
    namespace: str = "team-a",
    ports: tuple[tuple[str, int, Protocol], ...] = (),
    host_network: bool = False,
    at: str = "10.244.0.9",
) -> Pod:
    """A pod whose namespace carries the label that every namespace carries."""
    named = {"kubernetes.io/metadata.name": namespace}
    return Pod(
        namespace=namespace,
        name="p",
        labels=labels or {},
        namespace_labels=named,
        addresses=(ip_address(at),),
        ports=ports,
        host_network=host_network,
    )


def service(spec: str, name: str = "mlflow", namespace: str = "ml") -> Service:
    """A Service with spec and status given as YAML."""
    body = yaml.safe_load(spec)
    meta = {"name": name, "namespace": namespace}
    return Service.parse({"metadata": meta, **body})


def endpoints(
    addresses: Iterable[str],
    ports: Iterable[tuple[str, int]],
    name: str = "mlflow",
    namespace: str = "ml",
    protocol: str = "TCP",
) -> EndpointSlice:
    """An EndpointSlice of a Service."""
    return EndpointSlice.parse(
        {
            "metadata": {
                "name": f"{name}-1",
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": list(addresses)}],
            "ports": [{"name": n, "port": p, "protocol": protocol} for n, p in ports],
        }
    )


def ips(*texts: str) -> tuple[Address, ...]:
    """Addresses."""
    return tuple(ip_address(t) for t in texts)


def answer(*texts: str, after: float = 0, ttl: float = 60) -> DnsAnswer:
    """A lookup that succeeded, seconds after `NOW`."""
    at = NOW + timedelta(seconds=after)
    return DnsAnswer(at, DnsOutcome.NOERROR, ips(*texts), timedelta(seconds=ttl))


def failure(outcome: DnsOutcome, after: float = 0) -> DnsAnswer:
    """A lookup that failed, seconds after `NOW`."""
    return DnsAnswer(NOW + timedelta(seconds=after), outcome)


def rendered(rules: Iterable[Rule]) -> list[Any]:
    """Rules as the API takes them."""
    return [r.render() for r in rules]
