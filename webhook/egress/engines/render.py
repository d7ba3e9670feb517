"""The rule that the owner of another engine has to add, as objects of that engine.

Names stay names where the engine resolves them by itself; elsewhere the addresses of
now are written, and go stale like any address. What is written only adds: it names
no default deny, or says by the engine's own words that there is none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from webhook.egress.engines.detect import Engine
from webhook.egress.network_policy import IpBlock, PodPeer, Port, Protocol, Rule
from webhook.egress.own_policy import INJECTED
from webhook.egress.rules import NAMESPACE_NAME_LABEL
from webhook.egress.selector import Operator, Selector

Json = dict[str, Any]
T = TypeVar("T")
NAME: Final = "tracking-injector"
_LISTED: Final = 25
"""Peers, or networks or names of one peer, in a rule of a ClusterNetworkPolicy."""
_CALICO_NETS: Final = 256
"""Networks in one rule of Calico's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressNeed:
    """What injected pods of a namespace should reach.

    Attributes:
        named: Host and port of what only DNS can tell the addresses of.
        fixed: Rules for everything else: DNS itself, Services, plain addresses.
        rules: Rules for all, with the addresses that names have now.
    """

    namespace: str
    named: tuple[tuple[str, int], ...]
    fixed: tuple[Rule, ...]
    rules: tuple[Rule, ...]


def render(engine: Engine, need: EgressNeed) -> list[Json]:
    """Return the objects to add; for OVN, rules to put first into the one there is."""
    return _WRITERS[engine](need)


def _cilium(need: EgressNeed) -> list[Json]:
    egress: list[Json] = []
    for rule in need.fixed:
        to_ports: list[Json] = [{"ports": [_text(p) for p in rule.ports]}]
        blocks = [str(p.network) for p in rule.peers if isinstance(p, IpBlock)]
        if blocks:
            egress.append({"toCIDR": blocks, "toPorts": to_ports})
        pods = [_cilium_labels(p) for p in _pods(rule)]
        if pods and any(p.protocol is Protocol.UDP for p in rule.ports):
            # Without seeing the answers it knows no name's addresses.
            to_ports = [to_ports[0] | {"rules": {"dns": [{"matchPattern": "*"}]}}]
        if pods:
            egress.append({"toEndpoints": pods, "toPorts": to_ports})
    for port, hosts in _by_port(need.named):
        names = [{"matchName": host} for host in hosts]
        ports = [{"ports": [_text(Port(port=port))]}]
        egress.append({"toFQDNs": names, "toPorts": ports})
    spec = {
        "endpointSelector": INJECTED.render(),
        "enableDefaultDeny": {"egress": False, "ingress": False},
        "egress": egress,
    }
    return [_object("cilium.io/v2", "CiliumNetworkPolicy", need.namespace, spec)]


def _cilium_labels(peer: PodPeer) -> Json:
    labels = {f"k8s:{k}": v for k, v in _labels(peer.pods).items()}
    space = _labels(peer.namespaces or Selector()).get(NAMESPACE_NAME_LABEL)
    where = {"k8s:io.kubernetes.pod.namespace": space} if space else {}
    return {"matchLabels": labels | where}


def _text(port: Port) -> Json:
    return {"port": str(port.port), "protocol": str(port.protocol)}


def _calico(need: EgressNeed) -> list[Json]:
    """Return a policy, and its own tier, which passes on what it does not permit."""
    egress: list[Json] = []
    for rule in need.rules:
        for protocol, numbers in _by_protocol(rule.ports):
            base = {"action": "Allow", "protocol": protocol}
            nets = [str(p.network) for p in rule.peers if isinstance(p, IpBlock)]
            for some in _batches(nets, _CALICO_NETS):
                egress.append(base | {"destination": {"nets": some, "ports": numbers}})
            for peer in _pods(rule):
                there = {
                    "selector": _expression(peer.pods),
                    "namespaceSelector": _expression(peer.namespaces or Selector()),
                    "ports": numbers,
                }
                egress.append(base | {"destination": there})
    api = "projectcalico.org/v3"
    tier = _object(api, "Tier", "", {"order": 100, "defaultAction": "Pass"})
    spec = {
        "tier": NAME,
        "selector": _expression(INJECTED),
        "types": ["Egress"],
        "egress": egress,
    }
    policy = _object(api, "NetworkPolicy", need.namespace, spec)
    policy["metadata"]["name"] = f"{NAME}.egress"
    return [tier, policy]


def _expression(selector: Selector) -> str:
    return " && ".join(f"{k} == '{v}'" for k, v in _labels(selector).items()) or "all()"


def _antrea(need: EgressNeed) -> list[Json]:
    egress = [{"action": "Allow", **rule.render()} for rule in need.fixed] + [
        {
            "action": "Allow",
            "to": [{"fqdn": host} for host in hosts],
            "ports": [{"protocol": "TCP", "port": port}],
        }
        for port, hosts in _by_port(need.named)
    ]
    spec = {
        "tier": "application",
        "priority": 5,
        "appliedTo": [{"podSelector": INJECTED.render()}],
        "egress": egress,
    }
    return [_object("crd.antrea.io/v1beta1", "NetworkPolicy", need.namespace, spec)]


def _ovn(need: EgressNeed) -> list[Json]:
    """Return rules for a namespace's one EgressFirewall, which judges what leaves."""
    egress: list[Json] = [
        {"type": "Allow", "to": {"dnsName": host}, "ports": _tcp([port])}
        for port, hosts in _by_port(need.named)
        for host in hosts
    ]
    for rule in need.fixed:
        ports = [{"protocol": str(p.protocol), "port": p.port} for p in rule.ports]
        egress += [
            {"type": "Allow", "to": {"cidrSelector": str(p.network)}, "ports": ports}
            for p in rule.peers
            if isinstance(p, IpBlock)
        ]
    body = _object(
        "k8s.ovn.org/v1", "EgressFirewall", need.namespace, {"egress": egress}
    )
    body["metadata"]["name"] = "default"
    return [body]


def _tcp(ports: Sequence[int]) -> list[Json]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _aws(need: EgressNeed) -> list[Json]:
    egress = [
        {"action": "Accept", "to": [peer], "ports": [_number(p) for p in rule.ports]}
        for rule in need.fixed
        for peer in _wide_peers(rule)
    ] + [
        {
            "action": "Accept",
            "to": [{"domainNames": some}],
            "ports": [_number(Port(port=port))],
        }
        for port, hosts in _by_port(need.named)
        for some in _batches(hosts, _LISTED)
    ]
    return [_wide_policy("networking.k8s.aws/v1alpha1", need.namespace, egress)]


def _number(port: Port) -> Json:
    return {"portNumber": {"protocol": str(port.protocol), "port": port.port}}


def _cluster_network_policy(need: EgressNeed) -> list[Json]:
    egress = [
        {
            "action": "Accept",
            "to": peers,
            "protocols": [
                {p.protocol.lower(): {"destinationPort": {"number": p.port}}}
                for p in rule.ports
            ],
        }
        for rule in need.rules
        for peers in _batches(list(_wide_peers(rule)), _LISTED)
    ]
    return [_wide_policy("policy.networking.k8s.io/v1alpha2", need.namespace, egress)]


def _wide_peers(rule: Rule) -> Iterator[Json]:
    nets = [str(p.network) for p in rule.peers if isinstance(p, IpBlock)]
    for some in _batches(nets, _LISTED):
        yield {"networks": some}
    for peer in _pods(rule):
        spaces = (peer.namespaces or Selector()).render()
        pods = {"namespaceSelector": spaces, "podSelector": peer.pods.render()}
        yield {"pods": pods}


def _wide_policy(api: str, namespace: str, egress: list[Json]) -> Json:
    """Return a cluster-wide policy, whose subject has to name the namespace."""
    home = Selector.labels({NAMESPACE_NAME_LABEL: namespace}).render()
    subject = {"pods": {"namespaceSelector": home, "podSelector": INJECTED.render()}}
    spec = {"tier": "Admin", "priority": 100, "subject": subject, "egress": egress}
    body = _object(api, "ClusterNetworkPolicy", "", spec)
    body["metadata"]["name"] = f"{NAME}-{namespace}"
    return body


def _istio(need: EgressNeed) -> list[Json]:
    """Return entries for what lies outside; Services are in the registry already."""
    hosts: dict[str, list[int]] = {}
    for host, port in need.named:
        hosts.setdefault(host, []).append(port)
    entries = []
    for host, ports in hosts.items():
        spec = {
            "hosts": [host],
            "location": "MESH_EXTERNAL",
            "resolution": "DNS",
            "ports": [
                {
                    "number": n,
                    "name": f"{_WIRE.get(n, 'tcp')}-{n}",
                    "protocol": _WIRE.get(n, "tcp").upper(),
                }
                for n in ports
            ],
        }
        entry = _object("networking.istio.io/v1", "ServiceEntry", need.namespace, spec)
        entry["metadata"]["name"] = f"{NAME}-{host.replace('.', '-')}"
        entries.append(entry)
    return entries


_WIRE: Final = {80: "http", 443: "tls"}


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for first in range(0, len(items), size):
        yield list(items[first : first + size])


def _object(api: str, kind: str, namespace: str, spec: Json) -> Json:
    home = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": NAME, **home},
        "spec": spec,
    }


def _pods(rule: Rule) -> list[PodPeer]:
    return [peer for peer in rule.peers if isinstance(peer, PodPeer)]


def _labels(selector: Selector) -> Mapping[str, str]:
    """Return the single labels that our selectors are made of."""
    return {
        r.key: r.values[0] for r in selector.requirements if r.operator is Operator.IN
    }


def _by_port(
    named: tuple[tuple[str, int], ...],
) -> Iterator[tuple[int, tuple[str, ...]]]:
    for port in sorted({port for _, port in named}):
        yield port, tuple(sorted(host for host, p in named if p == port))


def _by_protocol(ports: tuple[Port, ...]) -> Iterator[tuple[str, list[Any]]]:
    for protocol in sorted({p.protocol for p in ports}):
        yield str(protocol), [p.port for p in ports if p.protocol is protocol]


_WRITERS: Final[Mapping[Engine, Callable[[EgressNeed], list[Json]]]] = {
    Engine.CILIUM: _cilium,
    Engine.CALICO: _calico,
    Engine.ANTREA: _antrea,
    Engine.OVN: _ovn,
    Engine.AWS: _aws,
    Engine.ISTIO: _istio,
    Engine.CLUSTER_NETWORK_POLICY: _cluster_network_policy,
}
