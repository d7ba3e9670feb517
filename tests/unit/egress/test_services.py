"""Services, endpoints and nodes as any served API server gives them."""

from typing import Any

import pytest

from tests.unit.egress.sketch import ips
from webhook.egress.services import EndpointSlice, Service, node_addresses


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
