"""Destinations become rules, each with peers and ports, on every kind of platform."""

from collections.abc import Iterable

import pytest

from tests.unit.egress.sketch import endpoints, ips, rendered, service
from webhook.egress.addresses import Address
from webhook.egress.destinations import Destination
from webhook.egress.normalize import normalize
from webhook.egress.reasons import EgressReason
from webhook.egress.rules import (
    EgressRules,
    dns_rules,
    dns_servers,
    rules_for,
)
from webhook.egress.services import EndpointSlice, Service, ServiceIndex

KUBE_DNS = service(
    "{spec: {clusterIP: 10.0.0.10, selector: {k8s-app: kube-dns}, ports:"
    " [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53},"
    " {name: metrics, port: 9153}]}}",
    "kube-dns",
    "kube-system",
)
MLFLOW = service(
    "{spec: {clusterIPs: [10.0.0.20], selector: {app: mlflow},"
    " ports: [{name: http, port: 80, targetPort: http}]}}"
)
ML_PODS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ml"}},
    "podSelector": {"matchLabels": {"app": "mlflow"}},
}


def tcp(*ports: int) -> list[dict[str, object]]:
    """Ports as rendered."""
    return [{"protocol": "TCP", "port": p} for p in ports]


def block(cidr: str) -> dict[str, object]:
    """A range as rendered."""
    return {"ipBlock": {"cidr": cidr}}


def go(
    host: str,
    port: int,
    services: Iterable[Service] = (),
    slices: Iterable[EndpointSlice] = (),
    known: tuple[Address, ...] = (),
    nodes: tuple[Address, ...] | None = (),
) -> EgressRules:
    """One destination from namespace team-a, with no nameserver."""
    catalog = ServiceIndex.of(services, slices, nodes=nodes)
    target = Destination(host, port, "TRACKING_URI")
    return rules_for([target], "team-a", catalog, {host: known}, [])


def reasons(reached: EgressRules) -> list[EgressReason]:
    """The findings' words."""
    return [f.reason for f in reached.findings]


def test_both_families_get_single_addresses() -> None:
    """A and AAAA."""
    reached = go("t.example", 443, known=ips("2001:db8::1", "203.0.113.7"))

    assert rendered(reached.rules) == [
        {"to": [block("203.0.113.7/32"), block("2001:db8::1/128")], "ports": tcp(443)}
    ]


def test_an_answer_of_the_other_family_is_written_and_reported() -> None:
    """IPv6 only, in a cluster that has IPv4."""
    reached = go("t.example", 443, [MLFLOW], known=ips("2001:db8::1"))

    assert len(reached.rules) == 1
    assert reasons(reached) == [EgressReason.ENFORCEMENT_UNKNOWN]


def test_a_name_that_never_resolved_has_no_rule() -> None:
    """Never an empty list of peers."""
    reached = go("t.example", 443)

    assert (reached.rules, reasons(reached)) == ((), [EgressReason.UNRESOLVED])
    assert reached.names == {"t.example"}


def test_an_address_or_a_range_needs_no_name() -> None:
    """And so no DNS rule either."""
    catalog = ServiceIndex.of([])
    targets = [
        Destination("203.0.113.7", 80, "k"),
        Destination("198.51.100.0/24", 80, "k"),
    ]
    reached = rules_for(targets, "team-a", catalog, {}, ips("10.0.0.10"))

    assert reached == EgressRules(rules=reached.rules)
    assert rendered(reached.rules) == [
        {"to": [block("198.51.100.0/24"), block("203.0.113.7/32")], "ports": tcp(80)}
    ]


@pytest.mark.parametrize(
    "host", ["mlflow.ml", "mlflow.ml.svc", "mlflow.ml.svc.cluster.local"]
)
def test_a_service_is_reached_by_its_pods_and_by_its_own_address(host: str) -> None:
    """Every port a named target has, and the cluster IP with the Service's."""
    slices = [
        endpoints(["10.244.0.7"], [("http", 5000)]),
        endpoints(["10.244.0.8"], [("http", 5001)]),
    ]
    reached = go(host, 80, [MLFLOW], slices)

    assert rendered(reached.rules) == [
        {"to": [block("10.0.0.20/32")], "ports": tcp(80)},
        {"to": [ML_PODS], "ports": tcp(5000, 5001)},
    ]
    assert reached.findings == ()


def test_changed_endpoints_change_the_ports() -> None:
    """A rollout may move the server."""
    slices = [endpoints(["10.244.0.7"], [("http", 5002)])]
    reached = go("mlflow.ml", 80, [MLFLOW], slices)

    assert rendered(reached.rules)[1]["ports"] == tcp(5002)


def test_a_numeric_target_is_known_before_there_are_endpoints() -> None:
    """The first pod of the server finds its rule waiting."""
    numeric = service(
        "{spec: {clusterIP: 10.0.0.20, selector: {app: mlflow},"
        " ports: [{port: 80, targetPort: 5000}]}}"
    )

    assert rendered(go("mlflow.ml", 80, [numeric]).rules)[1]["ports"] == tcp(5000)


def test_a_named_target_without_endpoints_waits() -> None:
    """Nothing says yet which number the name has."""
    reached = go("mlflow.ml", 80, [MLFLOW])

    assert rendered(reached.rules) == [
        {"to": [block("10.0.0.20/32")], "ports": tcp(80)}
    ]
    assert reasons(reached) == [EgressReason.UNRESOLVED]


def test_a_port_that_the_service_lacks_is_reported() -> None:
    """No rule for it would ever match."""
    reached = go("mlflow.ml", 5000, [MLFLOW])

    assert (reached.rules, reasons(reached)) == ((), [EgressReason.PORT_MISMATCH])


def test_a_short_name_is_the_compute_namespaces() -> None:
    """A Service here, an unknown name there."""
    home = service(
        "{spec: {clusterIP: 10.0.0.20, selector: {app: mlflow},"
        " ports: [{port: 5000}]}}",
        namespace="team-a",
    )
    catalog = ServiceIndex.of([home])
    target = [Destination("mlflow", 5000, "k")]

    assert len(rules_for(target, "team-a", catalog, {}, []).rules) == 1
    assert reasons(rules_for(target, "team-b", catalog, {}, [])) == [
        EgressReason.UNRESOLVED
    ]


def test_a_service_that_is_not_there_is_said_so() -> None:
    """A name under the cluster's domain cannot be anything else."""
    (finding,) = go("gone.ml.svc", 80).findings

    assert finding.message == "gone.ml.svc has no rule: there is no such Service"


def test_a_service_without_selector_is_reached_by_its_endpoints() -> None:
    """Their addresses, and the cluster IP."""
    by_hand = service("{spec: {clusterIP: 10.0.0.20, ports: [{port: 80}]}}")
    slices = [endpoints(["192.0.2.8", "192.0.2.7"], [("", 5000)])]

    assert rendered(go("mlflow.ml", 80, [by_hand], slices).rules) == [
        {"to": [block("10.0.0.20/32")], "ports": tcp(80)},
        {"to": [block("192.0.2.7/32"), block("192.0.2.8/32")], "ports": tcp(5000)},
    ]


def test_a_service_without_selector_and_endpoints_waits() -> None:
    """Only its cluster IP is known."""
    by_hand = service("{spec: {clusterIP: 10.0.0.20, ports: [{port: 80}]}}")

    assert reasons(go("mlflow.ml", 80, [by_hand])) == [EgressReason.UNRESOLVED]


def test_an_external_name_is_followed() -> None:
    """The rule is for what it stands for, and TLS will notice."""
    alias = service("{spec: {type: ExternalName, externalName: T.example.}}")
    catalog = ServiceIndex.of([alias])
    known = {"t.example": ips("203.0.113.7")}
    reached = rules_for(
        [Destination("mlflow.ml", 443, "k")], "team-a", catalog, known, []
    )

    assert rendered(reached.rules)[0]["to"] == [block("203.0.113.7/32")]
    assert reasons(reached) == [EgressReason.TLS_NAME_MISMATCH]


def test_the_name_behind_an_external_name_is_looked_up() -> None:
    """Addresses, Services and names of this cluster are not."""
    alias = service("{spec: {externalName: T.example.}}", "alias")
    there = service("{spec: {externalName: b.ml.svc}}", "a")
    back = service("{spec: {externalName: a.ml.svc}}", "b")
    catalog = ServiceIndex.of([alias, there, back, MLFLOW])
    hosts = "alias.ml", "a.ml", "mlflow.ml", "gone.ml.svc", "8.8.8.8", "s3.example"
    targets = [Destination(host, 443, "k") for host in hosts]

    reached = rules_for(targets, "team-a", catalog, {}, [])

    assert reached.names == {"t.example", "s3.example"}


def test_external_names_in_a_loop_end() -> None:
    """Two Services may name each other."""
    there = service("{spec: {externalName: b.ml.svc.cluster.local}}", "a")
    back = service("{spec: {externalName: a.ml.svc.cluster.local.}}", "b")
    reached = go("a.ml", 80, [there, back])

    assert (reached.rules, reasons(reached)) == ((), [EgressReason.UNRESOLVED])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("b.ml.svc.cluster.local", [("rule", "5000")]),
        ("b.ml.svc.cluster.local.", [("rule", "5000")]),
        ("B.ML.SVC.Cluster.Local", [("rule", "5000")]),
        ("c.ml.svc.cluster.local", [("rule", "5000")]),
        ("mlflow-0.head.ml.svc.cluster.local", [("rule", "80")]),
        ("none.ml.svc.cluster.local", [("Unresolved", "none.ml.svc.cluster.local")]),
        ("b.ml.svc", [("Unresolved", "b.ml.svc")]),
        ("b.ml", [("Unresolved", "b.ml"), ("looked up", "b.ml")]),
        ("b", [("Unresolved", "b"), ("looked up", "b")]),
        (
            "mlflow-0.head.ml",
            [("Unresolved", "mlflow-0.head.ml"), ("looked up", "mlflow-0.head.ml")],
        ),
        ("t.example", [("Unresolved", "t.example"), ("looked up", "t.example")]),
        ("203.0.113.7", [("rule", "80")]),
        ("a.ml.svc.cluster.local", [("Unresolved", "a.ml.svc.cluster.local")]),
        ("-.example", [("MalformedUri", "a.ml")]),
    ],
)
def test_an_external_name_is_absolute(
    target: str, expected: list[tuple[str, str]]
) -> None:
    """No search list makes a Service of it; a chain is followed to its end."""
    there = [
        service(f"{{spec: {{externalName: {target}}}}}", "a"),
        service(
            "{spec: {clusterIP: 10.0.0.20, selector: {app: b},"
            " ports: [{port: 80, targetPort: 5000}]}}",
            "b",
        ),
        service("{spec: {externalName: b.ml.svc.cluster.local}}", "c"),
        service("{spec: {clusterIP: None, selector: {app: h}}}", "head"),
    ]
    reached = go("a.ml", 80, there)
    pods = {
        ("rule", str(port["port"]))
        for one in rendered(reached.rules)
        for port in one["ports"]
        if not any("10.0.0.20/32" in str(peer) for peer in one["to"])
    }

    assert sorted(
        [
            *pods,
            *((str(f.reason), f.subject) for f in reached.findings),
            *(("looked up", name) for name in reached.names),
        ]
    ) == sorted(expected)


HEADLESS = service(
    "{spec: {clusterIP: None, selector: {app: mlflow},"
    " ports: [{name: http, port: 80}]}}"
)


def test_a_headless_service_is_reached_on_the_uris_own_port() -> None:
    """Nothing rewrites it."""
    slices = [endpoints(["10.244.0.7"], [("http", 5000)])]

    assert rendered(go("mlflow.ml", 5000, [HEADLESS], slices).rules) == [
        {"to": [ML_PODS], "ports": tcp(5000)}
    ]


def test_a_headless_service_with_the_wrong_port_is_reported() -> None:
    """Its pods do not listen there."""
    slices = [endpoints(["10.244.0.7"], [("http", 5000)])]

    assert reasons(go("mlflow.ml", 80, [HEADLESS], slices)) == [
        EgressReason.PORT_MISMATCH
    ]


def test_a_headless_service_without_ports_takes_the_uris() -> None:
    """A headless Service need not list any."""
    bare = service("{spec: {clusterIP: None, selector: {app: mlflow}}}")

    assert rendered(go("mlflow.ml", 5000, [bare]).rules) == [
        {"to": [ML_PODS], "ports": tcp(5000)}
    ]


@pytest.mark.parametrize(
    "claim",
    [
        "{spec: {clusterIP: 10.0.0.21, externalIPs: [203.0.113.7], selector: {app: x},"
        " ports: [{port: 443, targetPort: 5000}]}}",
        "{status: {loadBalancer: {ingress: [{hostname: x}, {ip: 203.0.113.7}]}}, spec:"
        " {clusterIP: 10.0.0.21, selector: {app: x}, ports: [{port: 443}]}}",
        "{spec: {clusterIP: None, externalIPs: [10.0.0.10], selector: {app: x},"
        " ports: [{port: 53, protocol: UDP}]}}",
    ],
)
def test_an_address_belongs_to_a_service_by_its_cluster_ip_alone(claim: str) -> None:
    """Whoever may write a Service may claim any other address, DNS's too."""
    index = ServiceIndex.of([service(claim, namespace="tenant")])
    known = {"t.example": ips("203.0.113.7")}
    target = [Destination("t.example", 443, "k")]
    dns = ips("10.0.0.10")
    reached = rules_for(target, "team-a", index, known, dns)

    assert rendered(reached.rules) == [
        {"to": [block("10.0.0.10/32")], "ports": DNS_PORTS},
        {"to": [block("203.0.113.7/32")], "ports": tcp(443)},
    ]
    assert dns_servers(dns, index) == ((dns[0], 53),)


def test_each_of_a_services_cluster_ips_is_its_own() -> None:
    """One for each family."""
    both = service(
        "{spec: {clusterIPs: [10.0.0.20, 'fd00::20'], selector: {app: mlflow},"
        " ports: [{port: 80, targetPort: 5000}]}}"
    )
    index = ServiceIndex.of([both])

    assert [index.owners[a] for a in ips("10.0.0.20", "fd00::20")] == [both, both]


def test_a_cluster_ip_on_another_port_is_only_an_address() -> None:
    """Nothing of the Service stands behind it."""
    assert len(go("10.0.0.20", 443, [MLFLOW]).rules) == 1


def test_a_cluster_ip_leads_to_the_pods_behind_it() -> None:
    """Given as an address, or as what a name outside resolves to."""
    slices = [endpoints(["10.244.0.7"], [("http", 5000)])]
    by_name = go("t.example", 80, [MLFLOW], slices, known=ips("10.0.0.20"))

    assert go("10.0.0.20", 80, [MLFLOW], slices).rules == by_name.rules
    assert rendered(by_name.rules)[1] == {"to": [ML_PODS], "ports": tcp(5000)}


def test_where_nodes_may_not_be_seen_any_endpoint_may_be_on_one() -> None:
    """So its address is permitted beside the selector; nothing is claimed."""
    slices = [endpoints(["192.0.2.1", "10.244.0.7"], [("http", 5000)])]
    reached = go("mlflow.ml", 80, [MLFLOW], slices, nodes=None)

    assert rendered(reached.rules)[1]["to"] == [
        block("10.244.0.7/32"),
        block("192.0.2.1/32"),
        ML_PODS,
    ]
    assert reached.findings == ()


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "", "a..example", "-.example"])
def test_a_name_that_dns_cannot_have_is_a_finding_and_not_looked_up(name: str) -> None:
    """API servers take such an `externalName`; the resolver must not get it."""
    alias = service(f"{{spec: {{externalName: {name or '.'!r}}}}}")
    reached = go("mlflow.ml", 80, [alias])

    assert (reached.rules, reached.names) == ((), frozenset())
    assert [(f.reason, f.subject) for f in reached.findings] == [
        (EgressReason.MALFORMED_URI, "mlflow.ml")
    ]
    assert "a" * 64 not in reached.findings[0].message


def test_a_backend_on_a_nodes_address_is_permitted_and_reported() -> None:
    """Cilium matches no range there by default."""
    node = ips("192.0.2.1")
    slices = [endpoints(["192.0.2.1"], [("http", 5000)])]
    by_service = go("mlflow.ml", 80, [MLFLOW], slices, nodes=node)
    by_name = go("t.example", 30443, known=node, nodes=node)

    assert rendered(by_service.rules)[1]["to"] == [block("192.0.2.1/32"), ML_PODS]
    assert reasons(by_service) == reasons(by_name) == [EgressReason.NODE_ADDRESS]


DNS_PORTS = [{"protocol": "TCP", "port": 53}, {"protocol": "UDP", "port": 53}]


@pytest.mark.parametrize(
    ("nameserver", "services", "slices", "expected"),
    [
        pytest.param(
            "10.0.0.10",
            [KUBE_DNS],
            [],
            [
                {
                    "to": [
                        block("10.0.0.10/32"),
                        {
                            "namespaceSelector": {
                                "matchLabels": {
                                    "kubernetes.io/metadata.name": "kube-system"
                                }
                            },
                            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                        },
                    ],
                    "ports": DNS_PORTS,
                }
            ],
            id="cluster-ip",
        ),
        pytest.param(
            "169.254.20.10",
            [KUBE_DNS],
            [],
            [{"to": [block("169.254.20.10/32")], "ports": DNS_PORTS}],
            id="node-local-cache",
        ),
        pytest.param(
            "169.254.169.254",
            [],
            [],
            [{"to": [block("169.254.169.254/32")], "ports": DNS_PORTS}],
            id="gke-cloud-dns",
        ),
        pytest.param(
            "172.20.0.10",
            [],
            [],
            [{"to": [block("172.20.0.10/32")], "ports": DNS_PORTS}],
            id="eks-auto-mode",
        ),
        pytest.param(
            "172.30.0.10",
            [
                service(
                    "{spec: {clusterIP: 172.30.0.10, selector: {dns: default}, ports:"
                    " [{name: dns, port: 53, protocol: UDP, targetPort: dns},"
                    " {name: dns-tcp, port: 53, targetPort: dns-tcp}]}}",
                    "dns-default",
                    "openshift-dns",
                )
            ],
            [
                endpoints(
                    ["10.128.0.3"],
                    [("dns", 5353)],
                    "dns-default",
                    "openshift-dns",
                    "UDP",
                ),
                endpoints(
                    ["10.128.0.3"], [("dns-tcp", 5353)], "dns-default", "openshift-dns"
                ),
            ],
            [
                {"to": [block("172.30.0.10/32")], "ports": DNS_PORTS},
                {
                    "to": [
                        {
                            "namespaceSelector": {
                                "matchLabels": {
                                    "kubernetes.io/metadata.name": "openshift-dns"
                                }
                            },
                            "podSelector": {"matchLabels": {"dns": "default"}},
                        }
                    ],
                    "ports": [
                        {"protocol": "TCP", "port": 5353},
                        {"protocol": "UDP", "port": 5353},
                    ],
                },
            ],
            id="openshift",
        ),
    ],
)
def test_dns_is_permitted_as_the_platform_has_it(
    nameserver: str,
    services: list[Service],
    slices: list[EndpointSlice],
    expected: list[object],
) -> None:
    """From the pods' own resolv.conf, without knowing the platform."""
    catalog = ServiceIndex.of(services, slices, nodes=())

    assert rendered(normalize(dns_rules(ips(nameserver), catalog))) == expected


def test_every_ready_replica_of_dns_is_asked_besides_the_nameserver() -> None:
    """On the port it listens on, which is not always 53."""
    raw = {
        "metadata": {
            "name": "x",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "endpoints": [
            {"addresses": ["10.244.0.4"], "conditions": {"ready": True}},
            {"addresses": ["10.244.0.3"]},
            {"addresses": ["10.244.0.5"], "conditions": {"ready": False}},
        ],
        "ports": [
            {"name": "dns", "port": 5353, "protocol": "UDP"},
            {"name": "metrics", "port": 9153, "protocol": "TCP"},
        ],
    }
    catalog = ServiceIndex.of([KUBE_DNS], [EndpointSlice.parse(raw)])
    cache, cluster = ips("169.254.20.10", "10.0.0.10")

    assert dns_servers([cache, cluster], catalog) == (
        (cluster, 53),
        *((address, 5353) for address in ips("10.244.0.3", "10.244.0.4")),
        (cache, 53),
    )


def test_a_name_brings_dns_with_it() -> None:
    """Also a name that a Service answers for."""
    catalog = ServiceIndex.of([])
    targets = [Destination("t.example", 443, "k")]
    reached = rules_for(
        targets, "a", catalog, {"t.example": ips("203.0.113.7")}, ips("10.0.0.10")
    )

    assert [r["ports"] for r in rendered(reached.rules)] == [DNS_PORTS, tcp(443)]


def test_an_fqdn_slice_has_no_addresses() -> None:
    """Its endpoints are names."""
    raw = {
        "metadata": {"name": "x"},
        "addressType": "FQDN",
        "endpoints": [{"addresses": ["t.example"]}],
        "ports": [{"name": "any"}],
    }

    assert EndpointSlice.parse(raw) == EndpointSlice(namespace="default", service="")


def test_a_longer_name_is_no_service() -> None:
    """Not `pod.svc.ns`, and not a name outside that begins like one."""
    assert ServiceIndex.of([MLFLOW]).named("mlflow.ml.example.com", "ml") is None
