"""What a tenant writes changes nothing that other namespaces' pods may reach.

Each world is planned twice, without and with the tenant's objects. What the pods of
other namespaces may do then is asked of our model and of both oracles.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.judges import Json, Judge
from tests.oracle.packets import (
    Packet,
    by_analyzer,
    by_engine,
    disagreements,
    packets,
    passes,
)
from tests.oracle.test_additions import (
    CLUSTER_IP,
    NAMESERVER,
    Wish,
    needed,
    wishes,
)
from tests.oracle.worlds import (
    NAMESPACES,
    OUTSIDE,
    World,
    labels,
    pods,
    policies,
    worlds,
)
from webhook.egress.addresses import Address, read_address
from webhook.egress.baseline import parse_baseline
from webhook.egress.engines.detect import DetectedEngines
from webhook.egress.mode import EgressMode
from webhook.egress.network_policy import NetworkPolicy
from webhook.egress.options import EgressOptions
from webhook.egress.plan import EgressWorld, NamespaceInput, plan_namespace
from webhook.egress.rules import dns_servers
from webhook.egress.services import (
    SERVICE_NAME_LABEL,
    EndpointSlice,
    Service,
    ServiceIndex,
)
from webhook.injection.names import (
    INJECTED_LABEL,
    INJECTED_TRUE,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RELEASE_LABEL,
)

TENANT: Final = "t"
"""Where the tenant has `edit`, and nowhere else."""
BASELINE: Final = (
    '{"peers": "namespace", "apiServer": ["198.51.100.1:443"],'
    ' "storage": ["dns.b:8080"], "michelangelo": []}'
)
_CLAIMED: Final = (*OUTSIDE, NAMESERVER, CLUSTER_IP, "10.244.0.1", "10.0.0.77")
"""Addresses that are others', or nobody's."""
_GIVEN: Final = ("10.0.0.100", "10.0.0.101", "10.0.0.102", "fd00:1::7")
"""Cluster IPs that an API server gives to the tenant: nobody else has them."""
_NAMES: Final = ("tracker", "dns", "kube-dns", "alias", "t", "example", "p0")
_EXTERNAL: Final = ("tracker.b.svc.cluster.local", "t.example", "alias.t", "dns.b")
_SPELLED: Final = (
    *("tracker", "tracker.b", "tracker.b.svc", "tracker.b.svc.cluster.local"),
    *("alias", "alias.b", "p0.tracker.b", "p0.tracker.b.svc.cluster.local"),
)
_OURS: Final = {MANAGED_BY_LABEL: MANAGED_BY, RELEASE_LABEL: MANAGED_BY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the tenant wrote."""

    services: tuple[Json, ...] = ()
    slices: tuple[Json, ...] = ()
    policies: tuple[Json, ...] = ()


def _meta(name: str) -> Json:
    return {"name": name, "namespace": TENANT}


@st.composite
def services(draw: st.DrawFn, index: int) -> Json:
    """A Service as an API server stores it; it gives each its cluster IP."""
    claimed = st.lists(st.sampled_from(_CLAIMED), max_size=2, unique=True)
    port = st.fixed_dictionaries(
        {"port": st.sampled_from((53, 80, 443, 8080))},
        optional={
            "targetPort": st.sampled_from((22, 5353, 8080, "http")),
            "protocol": st.sampled_from(("TCP", "UDP")),
            "name": st.sampled_from(("", "http", "53-udp", "53-tcp")),
        },
    )
    spec: Json = {
        "type": draw(st.sampled_from(("ClusterIP", "LoadBalancer", "ExternalName"))),
        "ports": draw(st.lists(port, max_size=2)),
        "externalIPs": draw(claimed),
    }
    if draw(st.booleans()):
        spec["selector"] = draw(labels())
    if draw(st.booleans()):
        spec["loadBalancerIP"] = draw(st.sampled_from(_CLAIMED))
    if spec["type"] == "ExternalName":
        spec["externalName"] = draw(st.sampled_from(_EXTERNAL))
    else:
        given_ip = draw(st.sampled_from((_GIVEN[index], "None")))
        spec |= {"clusterIP": given_ip, "clusterIPs": [given_ip]}
    seen = [{"ip": one} for one in draw(claimed)]
    name = draw(st.sampled_from(_NAMES))
    status = {"loadBalancer": {"ingress": seen}}
    return {"metadata": _meta(name), "spec": spec, "status": status}


def slices() -> st.SearchStrategy[Json]:
    """An EndpointSlice, which may say that it belongs to any Service."""
    anywhere = st.lists(st.sampled_from(_CLAIMED), min_size=1, max_size=2)
    return st.builds(
        lambda name, of, addresses, port, protocol: {
            "metadata": _meta(name) | {"labels": {SERVICE_NAME_LABEL: of}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": addresses}],
            "ports": [{"name": "", "port": port, "protocol": protocol}],
        },
        st.sampled_from(_NAMES),
        st.sampled_from(_NAMES),
        anywhere,
        st.sampled_from((53, 8080)),
        st.sampled_from(("TCP", "UDP")),
    )


@st.composite
def tenants_policies(draw: st.DrawFn, index: int) -> Json:
    """A NetworkPolicy of any shape, that may say that it is the release's."""
    made: Json = draw(policies(index))
    meta = made["metadata"] | {"namespace": TENANT, "name": f"tenant-{index}"}
    if draw(st.booleans()):
        meta |= {"name": f"mti-egress-{index}", "labels": _OURS}
        owner = {"kind": "NetworkPolicy", "name": "policy-0", "uid": "policy-0"}
        meta["ownerReferences"] = [owner]
    return {**made, "metadata": meta}


@st.composite
def written(draw: st.DrawFn) -> Written:
    """Some objects of the tenant's."""
    return Written(
        services=tuple(draw(services(n)) for n in range(draw(st.integers(0, 3)))),
        slices=tuple(draw(st.lists(slices(), max_size=2))),
        policies=tuple(
            draw(tenants_policies(n)) for n in range(draw(st.integers(0, 2)))
        ),
    )


@st.composite
def tenanted(draw: st.DrawFn) -> World:
    """A world with the tenant's namespace in it, and pods there."""
    world = draw(worlds())
    home = {
        "metadata": {
            "name": TENANT,
            "labels": {**draw(labels()), "kubernetes.io/metadata.name": TENANT},
        }
    }
    there = [draw(pods(n)) for n in range(40, 40 + draw(st.integers(0, 2)))]
    for one in there:
        one["metadata"]["namespace"] = TENANT
    # The one on the host's network stays the last.
    return World([*world.namespaces, home], [*there, *world.pods], world.policies)


def spelled_wishes() -> st.SearchStrategy[Wish]:
    """Any mix of destinations, the tracker's name short or long."""
    return st.builds(
        lambda wish, spelled: replace(wish, spelled=spelled),
        wishes(),
        st.sampled_from(_SPELLED),
    )


def cluster(world: World, wish: Wish, tenant: Written) -> EgressWorld:
    """What the companion knows when all of that is there."""
    own, _ = needed(wish)
    index = ServiceIndex.of(
        [*own, *map(Service.parse, tenant.services)],
        map(EndpointSlice.parse, tenant.slices),
    )
    read = [NetworkPolicy.parse(p) for p in (*world.policies, *tenant.policies)]
    by_namespace = {
        name: [p for p in read if p.namespace == name] for name in (*NAMESPACES, TENANT)
    }
    return EgressWorld(
        index=index,
        addresses={"t.example": tuple(map(ip_address, wish.resolved))},
        dns_findings={},
        resolved=lambda _: True,
        policies=by_namespace,
        unreadable={},
        engines=DetectedEngines(enforced=True),
    )


def planned(
    world: World, wish: Wish, tenant: Written, mode: EgressMode
) -> dict[str, list[Json]]:
    """The release's policies by namespace; the tenant's is labeled too."""
    _, destinations = needed(wish)
    options = EgressOptions(
        mode=mode,
        baseline=parse_baseline(BASELINE, "baseline"),
        nameservers=(ip_address(NAMESERVER),),
    )
    known = cluster(world, wish, tenant)
    return {
        one["metadata"]["name"]: [
            policy.manifest()
            for policy in plan_namespace(
                known,
                NamespaceInput(
                    name=one["metadata"]["name"],
                    labels=one["metadata"]["labels"],
                    destinations=tuple(destinations),
                ),
                options,
            ).desired
        ]
        for one in world.namespaces
    }


def others(by_namespace: dict[str, list[Json]]) -> list[Json]:
    """The policies outside of the tenant's namespace."""
    return [p for name in NAMESPACES for p in by_namespace[name]]


def asked(world: World) -> list[Packet]:
    """Every packet that pods of other namespaces may send."""
    return [one for one in packets(world) if one.source.namespace != TENANT]


def changes(sent: list[Packet], before: list[bool], after: list[bool]) -> list[str]:
    """What changed; the tenant may close its own pods to others, not open others' way.

    A packet to one of the tenant's pods may be lost, by the tenant's own ingress.
    """
    kept = [
        old and not new and one.pod is not None and one.pod.namespace == TENANT
        for one, old, new in zip(sent, before, after, strict=True)
    ]
    now = [old if ok else new for old, new, ok in zip(before, after, kept, strict=True)]
    return disagreements(sent, now, before)


def by_our_model(sent: list[Packet], policies: list[Json]) -> list[bool]:
    """Our own verdicts."""
    read = [NetworkPolicy.parse(p) for p in policies]
    return [passes(read, packet, blocks_match_pods=True) for packet in sent]


@settings(
    max_examples=2000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    world=tenanted(),
    wish=spelled_wishes(),
    tenant=written(),
    mode=st.sampled_from((EgressMode.ADDITIVE, EgressMode.ISOLATE)),
)
def test_a_tenants_objects_change_nothing_of_others(
    engine: Judge,
    analyzer: Judge,
    world: World,
    wish: Wish,
    tenant: Written,
    mode: EgressMode,
) -> None:
    """No policy, no permission, and nobody whom the companion asks for names."""
    without, with_ = (planned(world, wish, t, mode) for t in (Written(), tenant))
    old, new = (cluster(world, wish, t).index for t in (Written(), tenant))
    nameservers = [ip_address(NAMESERVER)]

    assert others(without) == others(with_)
    assert dns_servers(nameservers, old) == dns_servers(nameservers, new)
    before = [*world.policies, *others(without), *without[TENANT]]
    after = [*world.policies, *tenant.policies, *others(with_), *with_[TENANT]]
    assert not any(judged(engine, analyzer, world, before, after).values())


def judged(
    engine: Judge,
    analyzer: Judge,
    world: World,
    before: list[Json],
    after: list[Json],
) -> dict[str, list[str]]:
    """What each of the three judges says has changed for others' pods."""
    sent = asked(world)
    # The analyzer knows nothing of the host's network.
    seen = [p for p in sent if p.pod is None or not p.pod.host_network]
    return {
        "model": changes(sent, *(by_our_model(sent, p) for p in (before, after))),
        "engine": changes(
            sent, *(by_engine(engine, world, sent, p) for p in (before, after))
        ),
        "analyzer": changes(
            seen, *(by_analyzer(analyzer, world, seen, p) for p in (before, after))
        ),
    }


def _claims(raw: Json) -> Iterable[Address]:
    spec = raw.get("spec") or {}
    seen = ((raw.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    texts = (*spec.get("externalIPs", ()), *(one["ip"] for one in seen))
    return (address for address in map(read_address, texts) if address is not None)


def test_each_judge_sees_a_service_that_owns_what_it_claims(
    engine: Judge, analyzer: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was once: `externalIPs` of the tracker opened other tenants' pods."""
    parse = Service.parse

    def believing(raw: Json) -> Service:
        read = parse(raw)
        return replace(read, cluster_ips=(*read.cluster_ips, *_claims(raw)))

    monkeypatch.setattr(Service, "parse", believing)
    spec = {
        "ports": [{"port": 443, "targetPort": 8080}],
        "selector": {"app": "x"},
        "externalIPs": ["203.0.113.7"],
    }
    tenant = Written(services=({"metadata": _meta("evil"), "spec": spec},))
    wish, world = Wish(("203.0.113.7",), (), None), _isolated()
    without, with_ = (
        planned(world, wish, t, EgressMode.ADDITIVE) for t in (Written(), tenant)
    )
    before, after = ([*world.policies, *others(made)] for made in (without, with_))

    assert all(judged(engine, analyzer, world, before, after).values())


def _isolated() -> World:
    """An isolated task pod in namespace a, and a pod of the tenant's."""
    meta = {"name": "deny", "namespace": "a"}
    deny = {"podSelector": {}, "policyTypes": ["Egress"], "egress": []}
    there = [
        _pod("a", 1, {INJECTED_LABEL: INJECTED_TRUE}),
        _pod(TENANT, 2, {"app": "x"}),
    ]
    named = [
        {"metadata": {"name": n, "labels": {"kubernetes.io/metadata.name": n}}}
        for n in (*NAMESPACES, TENANT)
    ]
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    return World(named, there, [{**kind, "metadata": meta, "spec": deny}])


def _pod(namespace: str, number: int, labels: dict[str, str]) -> Json:
    both = [{"ip": f"10.244.0.{number}"}, {"ip": f"fd00::{number}"}]
    return {
        "metadata": {"name": f"pod-{number}", "namespace": namespace, "labels": labels},
        "spec": {"nodeName": "node", "containers": [{"name": "c", "ports": []}]},
        "status": {"podIP": both[0]["ip"], "podIPs": both},
    }
