"""Everything that egress of a namespace depends on, from manifests or a cluster."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import IO, Any, TypeVar

from webhook.cli.document import BadInputError
from webhook.cli.manifests import read
from webhook.cluster.interface import Discovery, KubeClient, ListOptions
from webhook.cluster.resources import (
    ENDPOINT_SLICE,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    SERVICE,
    ResourceType,
)
from webhook.companion.egress.elsewhere import Others, look, others_among
from webhook.egress.network_policy import Address, NetworkPolicy, Pod, Protocol
from webhook.egress.rules import NAMESPACE_NAME_LABEL
from webhook.egress.services import EndpointSlice, Service, ServiceIndex
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL

T = TypeVar("T")
Json = dict[str, Any]

_KINDS = {
    kind.name: kind
    for kind in (NAMESPACE, NETWORK_POLICY, SERVICE, ENDPOINT_SLICE, POD)
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is.

    Attributes:
        labels: Of each namespace, by its name.
        others: Engines that restrict egress with objects of their own.
    """

    policies: tuple[NetworkPolicy, ...]
    catalog: ServiceIndex
    pods: tuple[Pod, ...]
    labels: Mapping[str, Mapping[str, str]]
    others: Others

    def policies_of(self, namespace: str) -> list[NetworkPolicy]:
        """The policies of one namespace."""
        return [p for p in self.policies if p.namespace == namespace]

    def by_namespace(self) -> Mapping[str, Sequence[NetworkPolicy]]:
        """All policies."""
        found: dict[str, list[NetworkPolicy]] = {}
        for policy in self.policies:
            found.setdefault(policy.namespace, []).append(policy)
        return found

    def compute(self) -> list[str]:
        """The labeled namespaces in order; all that are known where none is."""
        labeled = [
            name
            for name, labels in self.labels.items()
            if labels.get(INJECT_LABEL) == INJECT_ENABLED
        ]
        everywhere = {p.namespace for p in self.policies} | set(self.labels)
        return sorted(labeled or everywhere)

    def nameservers(self) -> tuple[Address, ...]:
        """The address of the cluster's DNS, where its Service is there."""
        dns = self.catalog.services.get(("kube-system", "kube-dns"))
        return dns.cluster_ips if dns else ()

    def pod(self, namespace: str, name: str) -> Pod | None:
        """One pod."""
        found = (p for p in self.pods if (p.namespace, p.name) == (namespace, name))
        return next(found, None)


def from_manifests(files: Iterable[IO[bytes]], namespace: str) -> Scene:
    """Reads manifests; objects that have no part in it are passed over.

    Args:
        files: YAML or JSON.
        namespace: Of what names none.

    Raises:
        BadInputError: A file is no manifest, or an object cannot be read.
    """
    found: dict[str, list[Json]] = {name: [] for name in _KINDS}
    rest: list[Json] = []
    for file in files:
        for document in read(file):
            listed = document.content.get("kind") == "List"
            for body in document.content["items"] if listed else [document.content]:
                kind = _KINDS.get(body.get("kind", ""))
                if kind is None:
                    rest.append(body)
                    continue
                if kind.namespaced:
                    body.setdefault("metadata", {}).setdefault("namespace", namespace)
                found[kind.name].append(body)
    return _scene(lambda kind: found[kind.name], others_among(rest, namespace))


def from_cluster(resources: KubeClient, discovery: Discovery) -> Scene:
    """Lists what there is.

    Raises:
        ClusterError: It cannot be listed.
    """

    def listed(kind: ResourceType) -> list[Json]:
        listing = resources.list(ListOptions(kind), dict)
        return [body for _, body in listing.items.values()]

    return _scene(listed, look(resources, discovery))


def _scene(listed: Callable[[ResourceType], list[Json]], others: Others) -> Scene:
    labels = {
        body["metadata"]["name"]: {
            **(body["metadata"].get("labels") or {}),
            NAMESPACE_NAME_LABEL: body["metadata"]["name"],
        }
        for body in listed(NAMESPACE)
    }
    return Scene(
        policies=tuple(_each(NETWORK_POLICY, listed, NetworkPolicy.parse)),
        catalog=ServiceIndex.of(
            _each(SERVICE, listed, Service.parse),
            _each(ENDPOINT_SLICE, listed, EndpointSlice.parse),
        ),
        pods=tuple(_each(POD, listed, lambda body: _pod(body, labels))),
        labels=labels,
        others=others,
    )


def _each(
    kind: ResourceType,
    listed: Callable[[ResourceType], list[Json]],
    parse: Callable[[Json], T],
) -> list[T]:
    values = []
    for body in listed(kind):
        try:
            values.append(parse(body))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            name = (body.get("metadata") or {}).get("name", "without a name")
            message = f"{kind.name} {name} cannot be read: {error}."
            raise BadInputError(message) from error
    return values


def _pod(body: Json, labels: Mapping[str, Mapping[str, str]]) -> Pod:
    meta, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    name = meta.get("namespace", "default")
    ports = (p for c in spec["containers"] for p in c.get("ports") or ())
    return Pod(
        namespace=name,
        name=meta["name"],
        labels=meta.get("labels") or {},
        namespace_labels=labels.get(name, {NAMESPACE_NAME_LABEL: name}),
        addresses=tuple(ip_address(i["ip"]) for i in status.get("podIPs") or ()),
        ports=tuple(
            (p["name"], p["containerPort"], Protocol(p.get("protocol") or "TCP"))
            for p in ports
            if p.get("name")
        ),
        host_network=bool(spec.get("hostNetwork")),
    )
