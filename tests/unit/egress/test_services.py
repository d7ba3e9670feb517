"""Services, endpoints and nodes as any served API server gives them."""

from typing import Any

import pytest

from tests.unit.egress.sketch import ips
from webhook.egress.network_policy import Protocol
from webhook.egress.selector import Selector
from webhook.egress.services import (
    EndpointSlice,
    Service,
    ServiceIndex,
    ServicePort,
    node_addresses,
)


def body(**spec: Any) -> dict[str, Any]:
    """A Service."""
    return {"metadata": {"name": "mlflow", "namespace": "ml"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"clusterIP": "010.0.0.20"}, ips("10.0.0.20")),
        (
            {"clusterIPs": ["10.0.0.20", "fd00::20"]},
            ips("10.0.0.20", "fd00::20"),
        ),
        ({"clusterIPs": ["10.0.0.20", "odd", None, 7]}, ips("10.0.0.20")),
        ({"clusterIP": "None"}, ()),
        ({"clusterIP": ""}, ()),
        ({"clusterIP": None, "clusterIPs": None}, ()),
        ({"clusterIP": "10.0.0.20", "externalIPs": ["010.0.0.1"]}, ips("10.0.0.20")),
    ],
)
def test_an_address_that_cannot_be_read_costs_no_service(
    spec: dict[str, Any], expected: tuple[object, ...]
) -> None:
    """Whatever older API servers took is still stored."""
    assert Service.parse(body(**spec)).cluster_ips == expected


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": {"name": 7}},
        {"metadata": {"name": "x", "namespace": []}},
        {"spec": {"externalName": 7}},
        {"spec": {"ports": [{"port": "80"}]}},
        {"spec": {"ports": [{"port": 80, "name": 1}]}},
        {"spec": {"ports": [{"port": 80, "targetPort": []}]}},
        {"spec": {"ports": [{"port": 80, "protocol": "ICMP"}]}},
    ],
)
def test_a_service_of_other_types_is_not_filed_among_the_others(
    odd: dict[str, Any],
) -> None:
    """All are sorted and compared together: one would cost every namespace its plan."""
    with pytest.raises(ValueError, match=r"instead of|ICMP"):
        Service.parse(body() | odd)


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": {"labels": {"kubernetes.io/service-name": []}}},
        {"metadata": {"namespace": 7}},
        {"ports": [{"port": 80, "name": 7}]},
    ],
)
def test_endpoints_of_other_types_are_not_filed_among_the_others(
    odd: dict[str, Any],
) -> None:
    """As with Services."""
    with pytest.raises(ValueError, match=r"instead of|ICMP"):
        EndpointSlice.parse({"metadata": {"name": "x"}} | odd)


@pytest.mark.parametrize("name", [None, ""])
def test_an_empty_external_name_is_none(name: str | None) -> None:
    """It stands for nothing."""
    assert Service.parse(body(externalName=name)).external_name is None


def test_endpoints_with_odd_addresses_keep_the_others() -> None:
    """Ready or not."""
    raw = {
        "metadata": {"name": "x", "labels": {"kubernetes.io/service-name": "mlflow"}},
        "endpoints": [
            {"addresses": ["010.244.0.7", "odd", 3]},
            {"addresses": None, "conditions": None},
            {"conditions": {"ready": False}, "addresses": ["10.244.0.8"]},
        ],
        "ports": [{"port": 80}, {"name": "any", "port": None}],
    }
    read = EndpointSlice.parse(raw)

    assert read.addresses == ips("10.244.0.7", "10.244.0.8")
    assert read.ready == ips("10.244.0.7")


def test_a_nodes_addresses_are_those_that_are_addresses() -> None:
    """Not its names."""
    given = [
        {"type": "InternalIP", "address": "192.0.2.2"},
        {"type": "ExternalIP", "address": "192.0.2.1"},
        {"type": "Hostname", "address": "192.0.2.3"},
        {"type": "InternalIP", "address": "odd"},
        {},
    ]

    assert node_addresses({"status": {"addresses": given}}) == ips(
        "192.0.2.1", "192.0.2.2"
    )
    assert node_addresses({}) == ()


def a_service(namespace: str, name: str, *addresses: str, alias: str = "") -> Service:
    """A Service; headless without addresses."""
    return Service(
        namespace=namespace,
        name=name,
        cluster_ips=ips(*addresses),
        selector=Selector.labels({"app": name}),
        external_name=alias or None,
    )


NAMED = ServiceIndex.of(
    [
        a_service("mlops", "mlflow", "10.0.0.20"),
        a_service("mlops", "head"),
        a_service("team-a", "head"),
        a_service("team-a", "plain", "10.0.0.21"),
        a_service("head", "mlflow-0", "10.0.0.22"),
        a_service("plain", "mlflow-0", "10.0.0.23"),
        a_service("mlops", "alias", alias="t.example"),
    ]
)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("head", "team-a/head pods"),
        ("plain", "team-a/plain"),
        ("mlflow.mlops", "mlops/mlflow"),
        ("mlflow.mlops.svc", "mlops/mlflow"),
        ("mlflow.mlops.svc.cluster.local", "mlops/mlflow"),
        ("mlflow-0.head.mlops.svc.cluster.local", "mlops/head pods"),
        ("mlflow-0.head.mlops.svc", "mlops/head pods"),
        ("mlflow-0.head.mlops", "mlops/head pods"),
        ("10-0-1-5.head.mlops.svc", "mlops/head pods"),
        ("mlflow-0.mlflow.mlops.svc", "mlops/mlflow pods"),
        ("mlflow-0.head", "team-a/head pods"),
        ("mlflow-0.plain", "plain/mlflow-0"),
        ("mlflow-0.head.svc", "head/mlflow-0"),
        ("mlflow-0.alias.mlops.svc", None),
        ("mlflow-0.none.mlops.svc", None),
        ("a.mlflow-0.head.mlops.svc", None),
        ("10-0-1-5.mlops.pod.cluster.local", None),
        ("head.other", None),
        ("mlflow.mlops.svc.other.domain", None),
        ("none", None),
    ],
)
def test_a_name_means_what_the_clusters_dns_makes_of_it(
    host: str, expected: str | None
) -> None:
    """With the search list of a pod of team-a; a pod's own name dials pods."""
    found = NAMED.named(host, "team-a")
    told = found and f"{found.namespace}/{found.name}"

    assert (told if not found or found.cluster_ips else f"{told} pods") == expected


def dns(
    namespace: str, name: str, *addresses: str, port: int = 53, protocol: str = "UDP"
) -> Service:
    """A Service that may be DNS."""
    ports = (ServicePort(port=port, protocol=Protocol(protocol)),)
    return Service(
        namespace=namespace, name=name, cluster_ips=ips(*addresses), ports=ports
    )


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ([dns("kube-system", "kube-dns", "10.0.0.10")], ["10.0.0.10"]),
        (
            [dns("kube-system", "kube-dns", "10.0.0.10", "fd00::a")],
            ["10.0.0.10", "fd00::a"],
        ),
        ([dns("openshift-dns", "dns-default", "172.30.0.10")], ["172.30.0.10"]),
        (
            [dns("kube-system", "rke2-coredns-rke2-coredns", "10.43.0.10")],
            ["10.43.0.10"],
        ),
        ([dns("kube-system", "coredns", "10.152.183.10")], ["10.152.183.10"]),
        (
            [
                dns("kube-system", "kube-dns", "10.0.0.10"),
                dns("kube-system", "kube-dns-upstream", "10.0.0.11"),
            ],
            ["10.0.0.10"],
        ),
        (
            [
                dns("kube-system", "a", "10.0.0.11"),
                dns("openshift-dns", "b", "10.0.0.12"),
            ],
            ["10.0.0.11", "10.0.0.12"],
        ),
        ([dns("tenant", "kube-dns", "10.0.0.66")], []),
        ([dns("kube-system", "metrics", "10.0.0.12", port=443)], []),
        ([dns("kube-system", "coredns", "10.0.0.13", protocol="TCP")], []),
        ([dns("kube-system", "headless")], []),
        ([], []),
    ],
)
def test_the_clusters_dns_is_found_where_distributions_place_it(
    services: list[Service], expected: list[str]
) -> None:
    """And nowhere a tenant could place one."""
    assert [str(a) for a in ServiceIndex.of(services).nameservers] == expected
