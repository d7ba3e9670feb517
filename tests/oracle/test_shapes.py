"""Clusters as people have them: what is planned from manifests and keys, judged.

DNS stands where a distribution puts it, the tracking server is a Service, one pod of a
headless one, the end of a chain of ExternalNames, a database or a host behind a proxy,
and other engines' objects of Kubernetes' own kinds lie in the same folder. All of it is
read as the command line reads it; what should pass is written down here, from the wish.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.additions import NONE, differences, selected, service
from tests.oracle.judges import Json, Judge
from tests.oracle.test_additions import CLUSTER_IP, NAMESERVER
from tests.oracle.worlds import NAMESPACES, World, labels, worlds
from webhook.cli.egress_input import EgressInput, Flags, from_manifests
from webhook.egress.plan import NamespacePlan, plan_namespace
from webhook.egress.reasons import EgressReason
from webhook.injection.names import INJECTED_LABEL, INJECTED_TRUE

_DNS_LABELS = {"app": "x"}
_OUTSIDE = "203.0.113.7"
_PROXY = "198.51.100.1"
_PROXIES = {
    "HTTPS_PROXY": "http://proxy.example:3128",
    "http_proxy": "proxy.example:3128",
}

DNS = (
    ("kube-system", "kube-dns", 53),
    ("kube-system", "coredns", 53),
    ("kube-system", "rke2-coredns-rke2-coredns", 53),
    ("openshift-dns", "dns-default", 5353),
)
"""Namespace, name and port of the pods, as distributions have it."""

BEHIND_SERVICE = (
    "http://tracker.b{port}",
    "http://tracker.b.svc{port}",
    "http://tracker.b.svc.cluster.local{port}/api",
    "http://alias.b{port}",
    "http://alias.b.svc.cluster.local.{port}",
    "http://alias-of-alias.a{port}",
)
"""Each dials the Service `b/tracker`: on 80, or its pods on 8080 if it is headless."""
ONE_POD = ("http://p0.tracker.b:8080", "http://p0.tracker.b.svc.cluster.local:8080")
"""Each dials a pod of it, as a headless Service's names do."""
ELSEWHERE = (
    ("https://t.example", 443, True),
    ("https://u:p%23@t.example:8443/#/experiments/1", 8443, True),
    ("https://outside.b", 443, True),
    ("postgresql://u:p@/db?host=t.example&port=5433", 5433, False),
    ("mysql+pymysql://u:p@t.example/db", 3306, False),
)
"""Each dials `t.example` on a port, through a proxy if there is one and it is HTTP."""

FOREIGN: tuple[Json, ...] = (
    {
        "apiVersion": "crd.antrea.io/v1beta1",
        "kind": "NetworkPolicy",
        "spec": {"appliedTo": [{"podSelector": {}}], "egress": [{"action": "Drop"}]},
    },
    {
        "apiVersion": "crd.projectcalico.org/v1",
        "kind": "NetworkPolicy",
        "spec": {"types": ["Egress"], "egress": [{"action": "Deny"}]},
    },
    {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkPolicy",
        "spec": {"selector": "all()", "egress": [{"action": "Allow"}]},
    },
    {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": {}},
    {"apiVersion": "example.com/v1", "kind": "Namespace"},
    {"apiVersion": "v1", "kind": "Secret"},
)
"""Objects of others: none of them is Kubernetes' object of its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A cluster's services, and what its tasks dial.

    Attributes:
        uri: The tracking URI.
        dns: Where DNS is.
        selector: Labels of the tracking server's pods.
        headless: Whether its Service has no cluster IP.
        slices: Whether endpoints are known.
        resolved: Whether `t.example` has an address.
        proxied: Whether the keys name proxies.
        exempt: `NO_PROXY`: nothing, or something that exempts `t.example`.
        foreign: Objects of other engines and products, by their place in `FOREIGN`.
    """

    uri: str
    dns: tuple[str, str, int]
    selector: dict[str, str]
    headless: bool
    slices: bool
    resolved: bool
    proxied: bool
    exempt: str
    foreign: tuple[int, ...]

    @property
    def keys(self) -> dict[str, str]:
        """The tracking keys."""
        proxies = _PROXIES if self.proxied else {}
        uri = self.uri.format(port=":8080" if self.headless else "")
        return {"TRACKING_URI": uri, "NO_PROXY": self.exempt, **proxies}


WISHES = st.builds(
    Wish,
    uri=st.sampled_from([*BEHIND_SERVICE, *ONE_POD, *(one for one, _, _ in ELSEWHERE)]),
    dns=st.sampled_from(DNS),
    selector=labels().filter(bool),
    headless=st.booleans(),
    slices=st.booleans(),
    resolved=st.booleans(),
    proxied=st.booleans(),
    exempt=st.sampled_from(["", "*", "t.example", ".example,10.0.0.0/8"]),
    foreign=st.lists(st.sampled_from(range(len(FOREIGN))), max_size=3, unique=True).map(
        tuple
    ),
)


def staged(world: World, wish: Wish) -> World:
    """The world with a task pod in each namespace, and pods behind both Services.

    Without ingress: whom its own namespace lets in is not what is planned.
    """
    cast = (
        *((name, {INJECTED_LABEL: INJECTED_TRUE}) for name in NAMESPACES),
        (wish.dns[0], _DNS_LABELS),
        ("b", wish.selector),
    )
    pods = [
        {
            "metadata": {"name": f"cast-{i}", "namespace": name, "labels": labels},
            "spec": {"nodeName": "node", "containers": [{"name": "c", "ports": []}]},
            "status": {
                "podIP": f"10.244.1.{i}",
                "podIPs": [{"ip": f"10.244.1.{i}"}, {"ip": f"fd00::1:{i}"}],
            },
        }
        for i, (name, labels) in enumerate(cast)
    ]
    policies = [
        one | {"spec": one["spec"] | {"policyTypes": ["Egress"]}}
        for one in world.policies
        if "egress" in one["spec"]
    ]
    for one in policies:
        one["spec"].pop("ingress", None)
    return World(world.namespaces, [*world.pods, *pods], policies)


def manifests(world: World, wish: Wish) -> Json:
    """The cluster as a list of its objects, others' among them."""
    dns_namespace, dns_name, dns_port = wish.dns
    dns_ports = [(53, dns_port, "UDP"), (53, dns_port, "TCP")]
    address = "None" if wish.headless else CLUSTER_IP
    # Ports of a headless Service are those of its pods.
    front = 8080 if wish.headless else 80
    found = [
        *({"apiVersion": "v1", "kind": "Namespace"} | one for one in world.namespaces),
        *world.policies,
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}},
        service(dns_namespace, dns_name, NAMESERVER, _DNS_LABELS, dns_ports),
        service("b", "tracker", address, wish.selector, [(front, 8080, "TCP")]),
        _alias("b", "alias", "tracker.b.svc.cluster.local"),
        _alias("a", "alias-of-alias", "alias.b.svc.cluster.local"),
        _alias("b", "outside", "t.example"),
        *({**FOREIGN[i], "metadata": _named(i)} for i in wish.foreign),
    ]
    if wish.slices:
        found.append(_slice(world, wish))
    return {"apiVersion": "v1", "kind": "List", "items": found}


def _named(index: int) -> Json:
    """A name that one of Kubernetes' own objects has, too."""
    return {"name": ("tracker", "policy-0")[index % 2], "namespace": "b"}


def _alias(namespace: str, name: str, target: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "ExternalName", "externalName": target},
    }


def _slice(world: World, wish: Wish) -> Json:
    port = 8080 if wish.headless else 80
    endpoints = [
        {"addresses": [pod["status"]["podIP"]], "hostname": pod["metadata"]["name"]}
        for pod in world.pods
        if f"b/{pod['metadata']['name']}" in selected(world, "b", wish.selector)
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "tracker-1",
            "namespace": "b",
            "labels": {"kubernetes.io/service-name": "tracker"},
        },
        "addressType": "IPv4",
        "ports": [{"name": f"{port}-tcp", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    }


def planned(world: World, wish: Wish) -> dict[str, NamespacePlan]:
    """What both namespaces get, read and planned as `egress plan` does."""
    known = {"proxy.example": (ip_address(_PROXY),)}
    if wish.resolved:
        known["t.example"] = (ip_address(_OUTSIDE),)
    file = io.BytesIO(json.dumps(manifests(world, wish)).encode())
    file.name = "cluster.json"
    flags = Flags(known=known, keys=wish.keys)
    given: EgressInput = from_manifests([file], "default", flags)
    return {
        name: plan_namespace(given.world, given.of(name), given.options)
        for name in NAMESPACES
    }


def ways(world: World, wish: Wish) -> list[Json] | None:
    """Where every injected pod gets to; None where the wish cannot be had."""
    namespace, _, dns_port = wish.dns
    behind = selected(world, namespace, _DNS_LABELS)
    targets = list(_target(world, wish))
    for protocol in ("UDP", "TCP"):
        targets.append(([f"{NAMESERVER}/32"], 53, protocol))
        targets.append((behind, dns_port, protocol))
    if len(targets) == 4:
        return None
    injected = [
        f"{p['metadata']['namespace']}/{p['metadata']['name']}"
        for p in world.pods
        if p["metadata"]["labels"].get(INJECTED_LABEL) == INJECTED_TRUE
        and p["metadata"]["namespace"] in NAMESPACES
    ]
    return [
        {"sources": injected, "targets": where, "port": port, "protocol": protocol}
        for where, port, protocol in targets
    ]


def _target(world: World, wish: Wish) -> Iterator[tuple[list[str], int, str]]:
    """Yield what is dialed, and on which port."""
    elsewhere = {uri: (port, http) for uri, port, http in ELSEWHERE}
    port, http = elsewhere.get(wish.uri, (80, True))
    # `outside.b` itself is not exempt, whatever it stands for.
    exempt = wish.exempt == "*" or (bool(wish.exempt) and "t.example" in wish.uri)
    if http and wish.proxied and not exempt:
        yield [f"{_PROXY}/32"], 3128, "TCP"
    elif wish.uri in elsewhere:
        if wish.resolved:
            yield [f"{_OUTSIDE}/32"], port, "TCP"
    else:
        yield selected(world, "b", wish.selector), 8080, "TCP"
        if wish.uri in BEHIND_SERVICE and not wish.headless:
            yield [f"{CLUSTER_IP}/32"], 80, "TCP"


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    world=worlds(
        host_network=False, namespaces=(*NAMESPACES, "kube-system", "openshift-dns")
    ),
    wish=WISHES,
)
def test_what_is_planned_from_manifests_opens_what_the_keys_need(
    analyzer: Judge, world: World, wish: Wish
) -> None:
    """And nothing else; what has no way is not called ready."""
    world = staged(world, wish)
    plans, wanted = planned(world, wish), ways(world, wish)
    reasons = {plan.reason for plan in plans.values()}
    if wanted is None:
        assert EgressReason.EGRESS_READY not in reasons
        return
    assert reasons <= {EgressReason.EGRESS_READY, EgressReason.NOT_ISOLATED}
    after = [p.manifest() for plan in plans.values() for p in plan.desired]
    gained = differences(analyzer, world, after, declared=wanted, expected=wanted)

    assert NONE == gained
