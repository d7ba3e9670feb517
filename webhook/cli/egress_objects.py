"""Reads the objects that egress depends on as values, from lists of a cluster or files.

The same projections as the companion's read them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from webhook.cli.document import BadInputError
from webhook.cli.output import say
from webhook.cluster.errors import Forbidden
from webhook.cluster.resources import (
    ENDPOINT_SLICE,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD,
    SERVICE,
    ResourceType,
)
from webhook.companion.projections import (
    ComputeNamespace,
    UnreadablePolicy,
    compute_namespace,
    network_policy,
)
from webhook.egress.addresses import Address, read_address
from webhook.egress.engines.detect import DetectedEngines
from webhook.egress.network_policy import NetworkPolicy, Pod, Protocol
from webhook.egress.plan import EgressWorld
from webhook.egress.reasons import Finding
from webhook.egress.rules import NAMESPACE_NAME_LABEL
from webhook.egress.services import (
    EndpointSlice,
    Service,
    ServiceIndex,
    node_addresses,
)

T = TypeVar("T")
Json = dict[str, Any]

KINDS: Final = {
    (kind.group, kind.name): kind
    for kind in (NAMESPACE, NETWORK_POLICY, SERVICE, ENDPOINT_SLICE, NODE, POD)
}
"""What is read, by API group and the name of the kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReader:
    """Objects as lists of a kind give them.

    Attributes:
        list_: All of a kind.
        strict: One that cannot be read is an error, and not passed over.
    """

    list_: Callable[[ResourceType], list[Json]]
    strict: bool

    def namespaces(self) -> Mapping[str, ComputeNamespace]:
        """Return all namespaces by name."""
        found = self._each(NAMESPACE, compute_namespace)
        return {one.name: one for one in found}

    def world(
        self,
        domain: str,
        known: Mapping[str, tuple[Address, ...]],
        dns_findings: Mapping[str, tuple[Finding, ...]],
        engines: DetectedEngines,
    ) -> EgressWorld:
        """Return all that plans are made from, as the companion would have it."""
        parse = NetworkPolicy.parse if self.strict else network_policy

        def placed(body: Json) -> tuple[str, NetworkPolicy | UnreadablePolicy]:
            return body["metadata"].get("namespace", "default"), parse(body)

        policies: dict[str, list[NetworkPolicy]] = {}
        unreadable: dict[str, list[str]] = {}
        for namespace, policy in self._each(NETWORK_POLICY, placed):
            if isinstance(policy, NetworkPolicy):
                policies.setdefault(namespace, []).append(policy)
            else:
                unreadable.setdefault(namespace, []).append(policy.problem)
        index = ServiceIndex.of(
            self._each(SERVICE, Service.parse),
            self._each(ENDPOINT_SLICE, EndpointSlice.parse),
            domain,
            self._nodes(),
        )
        return EgressWorld(
            index=index,
            addresses=known,
            dns_findings=dns_findings,
            # A companion waits for the first lookup for seconds: not worth telling.
            resolved=lambda _: True,
            policies=policies,
            unreadable=unreadable,
            engines=engines,
        )

    def pods(self) -> Sequence[Pod]:
        """Return all pods."""
        labels = {name: one.labels for name, one in self.namespaces().items()}
        return self._each(POD, lambda body: _pod(body, labels))

    def _nodes(self) -> frozenset[Address] | None:
        """Return all nodes' addresses; None where there are no nodes to be seen."""
        try:
            found = self._each(NODE, node_addresses)
        except Forbidden:
            return None
        return frozenset(a for one in found for a in one) if found else None

    def _each(self, kind: ResourceType, parse: Callable[[Json], T]) -> list[T]:
        values = []
        for body in self.list_(kind):
            try:
                values.append(parse(body))
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                name = (body.get("metadata") or {}).get("name", "without a name")
                message = f"{kind.name} {name} cannot be read: {error}."
                if self.strict:
                    raise BadInputError(message) from error
                say(message, err=True)
        return values


def _pod(body: Json, labels: Mapping[str, Mapping[str, str]]) -> Pod:
    meta, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    name = meta.get("namespace", "default")
    found = (read_address(one.get("ip")) for one in status.get("podIPs") or ())
    ports = (p for c in spec["containers"] for p in c.get("ports") or ())
    return Pod(
        namespace=name,
        name=meta["name"],
        labels=meta.get("labels") or {},
        namespace_labels=labels.get(name, {NAMESPACE_NAME_LABEL: name}),
        addresses=tuple(address for address in found if address is not None),
        ports=tuple(
            (p["name"], p["containerPort"], Protocol(p.get("protocol") or "TCP"))
            for p in ports
            if p.get("name")
        ),
        host_network=bool(spec.get("hostNetwork")),
    )
