"""Random worlds: namespaces, pods and policies as the API server would send them.

The vocabulary is small on purpose, so that selectors meet pods, rules meet packets
and policies meet each other.
"""

import copy
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from hypothesis import strategies as st

from webhook.egress.network_policy import NetworkPolicy, Pod, Protocol
from webhook.injection.names import INJECTED_LABEL

Json = dict[str, Any]

NAMESPACES = ("a", "b")
OUTSIDE = ("203.0.113.7", "203.0.113.200", "198.51.100.1", "2001:db8::7")
KINDS = (
    (53, Protocol.UDP),
    (80, Protocol.TCP),
    (80, Protocol.SCTP),
    (443, Protocol.TCP),
    (443, Protocol.UDP),
    (8080, Protocol.TCP),
)
"""The packets that are sent: every way a port can be told apart from another."""
_KEYS = ("app", "tier", INJECTED_LABEL)
_VALUES = ("true", "x", "y")
_NAMED = (
    ("http", 80, "TCP"),
    ("alt", 8080, "TCP"),
    ("dns", 53, "UDP"),
    ("s", 80, "SCTP"),
)
_TYPES = (None, ["Ingress"], ["Egress"], ["Ingress", "Egress"])
_CIDRS = (
    "0.0.0.0/0",
    "203.0.113.0/24",
    "203.0.113.7/32",
    "10.244.0.0/16",
    "10.244.0.1/32",
    "192.0.2.0/24",
    "::/0",
    "2001:db8::/32",
)
_HOLES = {
    "0.0.0.0/0": ["203.0.113.0/24", "10.244.0.0/30"],
    "203.0.113.0/24": ["203.0.113.128/25"],
    "10.244.0.0/16": ["10.244.0.2/32"],
    "::/0": ["2001:db8::/64", "fd00::/8"],
}


@dataclass(frozen=True, slots=True)
class World:
    """A cluster as an oracle sees it.

    Attributes:
        pods: The last may be on the host's network.
    """

    namespaces: list[Json]
    pods: list[Json]
    policies: list[Json]

    def read_policies(self) -> list[NetworkPolicy]:
        """As our code reads them."""
        return [NetworkPolicy.parse(p) for p in self.policies]

    def read_pods(self) -> list[Pod]:
        """As our code sees them."""
        metas = [n["metadata"] for n in self.namespaces]
        labels = {meta["name"]: meta["labels"] for meta in metas}
        return [_pod(p, labels[p["metadata"]["namespace"]]) for p in self.pods]


def _pod(raw: Json, namespace_labels: dict[str, str]) -> Pod:
    ports = raw["spec"]["containers"][0]["ports"]
    return Pod(
        namespace=raw["metadata"]["namespace"],
        name=raw["metadata"]["name"],
        labels=raw["metadata"]["labels"],
        namespace_labels=namespace_labels,
        addresses=tuple(ip_address(i["ip"]) for i in raw["status"]["podIPs"]),
        ports=tuple(
            (p["name"], p["containerPort"], Protocol(p["protocol"])) for p in ports
        ),
        host_network=raw["spec"].get("hostNetwork", False),
    )


def labels() -> st.SearchStrategy[dict[str, str]]:
    """Labels of a pod or a namespace."""
    return st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES), max_size=3)


def selectors() -> st.SearchStrategy[Json]:
    """Label selectors, the empty one among them."""
    expressions = st.one_of(
        st.fixed_dictionaries(
            {
                "key": st.sampled_from(_KEYS),
                "operator": st.sampled_from(["In", "NotIn"]),
                "values": st.lists(
                    st.sampled_from(_VALUES), min_size=1, max_size=2, unique=True
                ),
            }
        ),
        st.fixed_dictionaries(
            {
                "key": st.sampled_from(_KEYS),
                "operator": st.sampled_from(["Exists", "DoesNotExist"]),
            }
        ),
    )
    return st.one_of(
        st.just({}),
        st.fixed_dictionaries(
            {},
            optional={
                "matchLabels": labels(),
                "matchExpressions": st.lists(expressions, max_size=2),
            },
        ),
    )


def _blocks() -> st.SearchStrategy[Json]:
    def block(cidr: str) -> st.SearchStrategy[Json]:
        holes = st.lists(
            st.sampled_from(_HOLES.get(cidr, [""])), max_size=2, unique=True
        )
        return holes.map(
            lambda chosen: {
                "ipBlock": {"cidr": cidr} | ({"except": chosen} if any(chosen) else {})
            }
        )

    return st.sampled_from(_CIDRS).flatmap(block)


def _peers() -> st.SearchStrategy[Json]:
    return st.one_of(
        _blocks(),
        st.fixed_dictionaries({"podSelector": selectors()}),
        st.fixed_dictionaries({"namespaceSelector": selectors()}),
        st.fixed_dictionaries(
            {"podSelector": selectors(), "namespaceSelector": selectors()}
        ),
    )


def _ports() -> st.SearchStrategy[Json]:
    protocols = st.sampled_from(["TCP", "UDP", "SCTP"])
    return st.one_of(
        st.fixed_dictionaries({}, optional={"protocol": protocols}),
        st.fixed_dictionaries(
            {"port": st.sampled_from((53, 80, 443, 8080))},
            optional={"protocol": protocols},
        ),
        st.fixed_dictionaries(
            {
                "port": st.sampled_from([1, 80, 400]),
                "endPort": st.sampled_from([443, 9000]),
            },
            optional={"protocol": protocols},
        ),
        st.sampled_from(_NAMED).map(lambda n: {"port": n[0], "protocol": n[2]}),
    )


def _rules(peers: str) -> st.SearchStrategy[list[Json]]:
    rule = st.fixed_dictionaries(
        {},
        optional={
            peers: st.lists(_peers(), max_size=2),
            "ports": st.lists(_ports(), max_size=2),
        },
    )
    return st.lists(rule, max_size=2)


@st.composite
def policies(
    draw: st.DrawFn, index: int, namespaces: tuple[str, ...] = NAMESPACES
) -> Json:
    """A NetworkPolicy that the API server accepts."""
    types = draw(st.sampled_from(_TYPES))
    spec: Json = {"podSelector": draw(selectors())}
    if types is not None:
        spec["policyTypes"] = types
    if types is None or "Ingress" in types:
        spec["ingress"] = draw(_rules("from"))
    if types is None or "Egress" in types:
        rules = draw(_rules("to"))
        # The analyzer takes an empty list for a rule: see test_disagreements.
        if rules or types:
            spec["egress"] = rules
    meta = {"name": f"policy-{index}", "namespace": draw(st.sampled_from(namespaces))}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": spec,
    }


@st.composite
def pods(
    draw: st.DrawFn,
    index: int,
    host_network: bool = False,
    namespaces: tuple[str, ...] = NAMESPACES,
) -> Json:
    """A running pod with an address of each family."""
    named = draw(st.lists(st.sampled_from(_NAMED), max_size=2, unique=True))
    own = (
        (f"192.0.2.{index + 1}",)
        if host_network
        else (
            f"10.244.0.{index + 1}",
            f"fd00::{index + 1}",
        )
    )
    ports = [{"name": n, "containerPort": p, "protocol": x} for n, p, x in named]
    spec = {"nodeName": "node", "containers": [{"name": "c", "ports": ports}]}
    return {
        "metadata": {
            "name": f"pod-{index}",
            "namespace": draw(st.sampled_from(namespaces)),
            "labels": draw(labels()),
        },
        "spec": spec | ({"hostNetwork": True} if host_network else {}),
        "status": {"podIP": own[0], "podIPs": [{"ip": ip} for ip in own]},
    }


@st.composite
def worlds(
    draw: st.DrawFn,
    host_network: bool = True,
    namespaces: tuple[str, ...] = NAMESPACES,
) -> World:
    """Some namespaces and pods, one perhaps on the host's network, some policies."""
    named = [
        {
            "metadata": {
                "name": name,
                "labels": {**draw(labels()), "kubernetes.io/metadata.name": name},
            }
        }
        for name in namespaces
    ]
    count = draw(st.integers(1, 4))
    made = [draw(pods(index, namespaces=namespaces)) for index in range(count)]
    if host_network and draw(st.booleans()):
        made.append(draw(pods(count, host_network=True)))
    numbers = range(draw(st.integers(0, 4)))
    rules = [draw(policies(index, namespaces)) for index in numbers]
    return World(named, made, rules)


def for_analyzer(policies: list[Json]) -> list[Json]:
    """The same policies without what the analyzer reads in its own way.

    In a peer with a namespaceSelector it looks for a mere key in the policy's own
    namespace only (`test_disagreements` has the smallest world). No label here has
    another value than these, so that naming them all says the same.
    """
    said = copy.deepcopy(policies)
    for policy in said:
        for rules, side in (("egress", "to"), ("ingress", "from")):
            for rule in policy["spec"].get(rules) or ():
                for peer in rule.get(side) or ():
                    if "namespaceSelector" in peer and "podSelector" in peer:
                        _name_values(peer["podSelector"])
    return said


def _name_values(selector: Json) -> None:
    operators = {"Exists": "In", "DoesNotExist": "NotIn"}
    for expression in selector.get("matchExpressions") or ():
        if expression["operator"] in operators:
            expression["operator"] = operators[expression["operator"]]
            expression["values"] = list(_VALUES)
