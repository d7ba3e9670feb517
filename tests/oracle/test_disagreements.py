"""Where implementations differ, in the smallest world that shows it, and who is right.

Random worlds keep clear of exactly these, and of nothing else.
"""

from ipaddress import ip_address
from typing import Any

import pytest

from tests.oracle.judges import Judge
from webhook.egress.evaluate import Target, egress
from webhook.egress.network_policy import NetworkPolicy, Pod, Protocol

NAMESPACE = {"metadata": {"name": "a", "labels": {}}}
OUTSIDE = "203.0.113.7"


def pod(name: str, address: str) -> dict[str, Any]:
    """A pod without labels or ports."""
    return {
        "metadata": {"name": name, "namespace": "a", "labels": {}},
        "spec": {"nodeName": "node", "containers": [{"name": "c", "ports": []}]},
        "status": {"podIP": address, "podIPs": [{"ip": address}]},
    }


PODS = [pod("p", "10.244.0.1"), pod("q", "10.244.0.2")]


def policy(**spec: Any) -> dict[str, Any]:
    """A policy for every pod of the namespace."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "policy", "namespace": "a"},
        "spec": {"podSelector": {}, **spec},
    }


def ours(policy: dict[str, Any], destination: str) -> bool:
    """Whether pod p may dial an address on 80, by our reading."""
    target = Target(ip_address(destination))
    source = Pod(namespace="a", name="p", addresses=(ip_address("10.244.0.1"),))
    return egress(
        [NetworkPolicy.parse(policy)], source, target, 80, Protocol.TCP
    ).allowed


def engines(judge: Judge, policy: dict[str, Any], destination: str, as_is: bool) -> Any:
    """The same, by kindnet's engine."""
    packet = {
        "source": "10.244.0.1",
        "destination": destination,
        "port": 80,
        "protocol": "TCP",
    }
    return judge.ask(
        {
            "namespaces": [NAMESPACE],
            "pods": PODS,
            "policies": [policy],
            "packets": [packet],
            "asIs": as_is,
        }
    )[0]


def analyzers(judge: Judge, policy: dict[str, Any], target: str) -> bool:
    """The same, by the analyzer."""
    said = judge.ask(
        {
            "namespaces": [NAMESPACE],
            "pods": PODS,
            "before": [policy],
            "after": [],
            "declared": [],
            "expected": [],
            "targets": [f"{OUTSIDE}/32"],
            "ports": [80],
        }
    )
    return ["a/p", target, 80, "TCP"] in said["passing"]


def test_an_empty_list_without_types_isolates_for_the_analyzer_only(
    engine: Judge, analyzer: Judge
) -> None:
    """The API server adds Egress to the types when there are rules, not a list."""
    empty = policy(egress=[])

    assert ours(empty, OUTSIDE)
    assert engines(engine, empty, OUTSIDE, as_is=False)
    assert not analyzers(analyzer, empty, f"{OUTSIDE}/32")


def test_an_empty_list_permits_everything_for_kindnets_engine_as_it_stands(
    engine: Judge, analyzer: Judge
) -> None:
    """It never meets one: what the API server stores knows no empty list."""
    closed = policy(policyTypes=["Egress"], egress=[])

    assert not ours(closed, OUTSIDE)
    assert not analyzers(analyzer, closed, f"{OUTSIDE}/32")
    assert not engines(engine, closed, OUTSIDE, as_is=False)
    assert engines(engine, closed, OUTSIDE, as_is=True)


def test_a_block_matches_a_pods_address_for_kindnets_engine_only(
    engine: Judge, analyzer: Judge
) -> None:
    """The API leaves it open; we can say both (see `evaluate.Target`)."""
    block = [{"ipBlock": {"cidr": "10.244.0.0/16"}}]
    allowed = policy(policyTypes=["Egress"], egress=[{"to": block}])

    assert ours(allowed, "10.244.0.2")
    assert engines(engine, allowed, "10.244.0.2", as_is=False)
    assert not analyzers(analyzer, allowed, "a/q")


@pytest.mark.parametrize(
    ("expression", "analyzer_sees_it"),
    [
        ({"operator": "Exists"}, False),
        ({"operator": "In", "values": ["x"]}, True),
    ],
)
def test_a_mere_key_is_looked_for_in_the_policys_own_namespace_by_the_analyzer_only(
    engine: Judge, analyzer: Judge, expression: dict[str, Any], analyzer_sees_it: bool
) -> None:
    """The API says: pods by their labels, in the namespaces that are selected."""
    other = {"metadata": {"name": "b", "labels": {}}}
    there = pod("r", "10.244.0.3")
    there["metadata"] |= {"namespace": "b", "labels": {"app": "x"}}
    pods = {"matchExpressions": [{"key": "app", **expression}]}
    peer = {"podSelector": pods, "namespaceSelector": {}}
    allowed = policy(policyTypes=["Egress"], egress=[{"to": [peer]}])
    world = {"namespaces": [NAMESPACE, other], "pods": [*PODS, there]}
    said = analyzer.ask(
        world
        | {"before": [allowed], "after": [], "declared": [], "expected": []}
        | {"targets": [], "ports": [80]}
    )
    packet = {"source": "10.244.0.1", "destination": "10.244.0.3"}
    judged = engine.ask(
        world
        | {"policies": [allowed], "asIs": False}
        | {"packets": [{**packet, "port": 80, "protocol": "TCP"}]}
    )
    source = Pod(namespace="a", name="p", addresses=(ip_address("10.244.0.1"),))
    target = Target(
        ip_address("10.244.0.3"), Pod(namespace="b", name="r", labels={"app": "x"})
    )
    ours_says = egress([NetworkPolicy.parse(allowed)], source, target, 80, Protocol.TCP)

    assert ours_says.allowed
    assert judged == [True]
    assert (["a/p", "b/r", 80, "TCP"] in said["passing"]) is analyzer_sees_it


@pytest.mark.parametrize("spec", [{"policyTypes": ["Ingress"]}, {}])
def test_ingress_only_is_no_matter_of_dispute(
    engine: Judge, analyzer: Judge, spec: dict[str, Any]
) -> None:
    """The three do speak of the same thing."""
    open_ = policy(**spec)

    assert ours(open_, OUTSIDE)
    assert engines(engine, open_, OUTSIDE, as_is=False)
    assert analyzers(analyzer, open_, f"{OUTSIDE}/32")
