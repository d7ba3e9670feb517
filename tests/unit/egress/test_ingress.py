"""Whether the tracking server's own namespace lets task pods in."""

import pytest

from tests.unit.egress.sketch import endpoints, ips, policy, service
from webhook.egress.destinations import Destination
from webhook.egress.ingress import (
    ClientNamespace,
    blocked_destinations,
    server_namespaces,
)
from webhook.egress.reasons import EgressReason
from webhook.egress.services import ServiceIndex

MLFLOW = service(
    "spec: {clusterIP: 10.0.7.7, selector: {app: mlflow},"
    " ports: [{port: 80, targetPort: http}]}"
)
HEADLESS = service("spec: {clusterIP: None, selector: {app: mlflow}}", "headless")
BY_HAND = service("spec: {clusterIP: 10.0.7.8, ports: [{port: 80}]}", "by-hand")
CATALOG = ServiceIndex.of(
    [MLFLOW, HEADLESS, BY_HAND], [endpoints(["10.244.0.5"], [("", 5000)])]
)
CALLER = ClientNamespace(
    "team-a", {"kubernetes.io/metadata.name": "team-a", "tier": "compute"}
)
INGRESS = "podSelector: {matchLabels: {app: mlflow}}, policyTypes: [Ingress]"


def closed(*specs: str, host: str = "mlflow.ml", port: int = 80) -> list[str]:
    """Whom the findings name, for policies in the server's namespace."""
    there = [policy(spec, f"p{n}", "ml") for n, spec in enumerate(specs)]
    places = [Destination(host, port, "k")]
    found = blocked_destinations(places, CALLER, CATALOG, {"ml": there})
    assert all(f.reason is EgressReason.DESTINATION_INGRESS_BLOCKED for f in found)
    return [f.message for f in found]


def test_a_door_that_opens_for_nobody_is_reported() -> None:
    """With the policy that closes it, the namespace and the caller."""
    (message,) = closed(f"{{{INGRESS}}}")

    assert message == (
        "no rule of p0 in namespace ml lets task pods of team-a reach mlflow.ml"
    )


@pytest.mark.parametrize("host", ["mlflow.ml", "10.0.7.7", "headless.ml"])
def test_the_server_may_be_named_in_every_way(host: str) -> None:
    """By its Service, by its address, without one."""
    assert len(closed("{policyTypes: [Ingress]}", host=host, port=5000)) == 1


@pytest.mark.parametrize("host", ["mlflow.example.com", "203.0.113.7", "by-hand.ml"])
def test_what_is_outside_or_kept_by_hand_is_passed_over(host: str) -> None:
    """Nobody knows which pods it is."""
    assert closed("{policyTypes: [Ingress]}", host=host) == []


def test_without_policies_every_door_is_open() -> None:
    """Egress policies do not close it either."""
    assert closed() == closed("{policyTypes: [Egress]}") == []


def test_a_policy_that_may_not_select_the_server_closes_nothing() -> None:
    """The server's pods may have a label that its Service does not ask for."""
    assert (
        closed("{podSelector: {matchLabels: {app: x}}, policyTypes: [Ingress]}") == []
    )
    more = "{podSelector: {matchLabels: {app: mlflow, v: two}}, policyTypes: [Ingress]}"
    assert closed(more) == []


@pytest.mark.parametrize(
    "rule",
    [
        "{}",
        "{from: [{namespaceSelector: {matchLabels: {tier: compute}}}]}",
        "{from: [{namespaceSelector: {}}], ports: [{port: 5000}]}",
        "{from: [{namespaceSelector: {}}], ports: [{port: 4000, endPort: 6000}]}",
        "{from: [{namespaceSelector: {}}], ports: [{port: http}]}",
        "{from: [{namespaceSelector: {}}], ports: [{protocol: TCP}]}",
        "{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}",
    ],
)
def test_a_rule_that_may_let_them_in_is_enough(rule: str) -> None:
    """Where it cannot be told for certain, nothing is claimed."""
    assert closed(f"{{{INGRESS}, ingress: [{rule}]}}") == []


@pytest.mark.parametrize(
    "rule",
    [
        "{from: [{podSelector: {}}]}",
        "{from: [{namespaceSelector: {matchLabels: {tier: web}}}]}",
        "{from: [{namespaceSelector: {}}], ports: [{port: 80}]}",
        "{from: [{namespaceSelector: {}}], ports: [{port: 5000, protocol: UDP}]}",
        "{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key:"
        " tracking.michelangelo-ai.org/injected, operator: DoesNotExist}]}}]}",
    ],
)
def test_a_rule_for_others_is_not(rule: str) -> None:
    """Its own namespace, another one, another port, other pods."""
    assert len(closed(f"{{{INGRESS}, ingress: [{rule}]}}")) == 1


def test_another_policy_may_open_what_one_closes() -> None:
    """Even one that is not sure to select the server."""
    more = (
        "{podSelector: {matchLabels: {app: mlflow, v: two}}, policyTypes: [Ingress],"
        " ingress: [{}]}"
    )

    assert closed(f"{{{INGRESS}}}", more) == []


def test_a_caller_in_the_servers_own_namespace_is_let_in_by_its_pods_rule() -> None:
    """A peer without a namespace means the policy's own."""
    there = [
        policy(
            f"{{{INGRESS}, ingress: [{{from: [{{podSelector: {{}}}}]}}]}}", "p", "ml"
        )
    ]
    places = [Destination("mlflow", 80, "k")]
    home = ClientNamespace("ml", {"kubernetes.io/metadata.name": "ml"})

    assert blocked_destinations(places, home, CATALOG, {"ml": there}) == ()


def test_an_unknown_port_number_is_no_reason() -> None:
    """A named target without endpoints."""
    bare = ServiceIndex.of([MLFLOW])
    there = [policy(f"{{{INGRESS}, ingress: [{{ports: [{{port: 1}}]}}]}}", "p", "ml")]
    places = [Destination("mlflow.ml", 80, "k")]

    assert blocked_destinations(places, CALLER, bare, {"ml": there}) == ()
    assert ips("10.0.7.7") == MLFLOW.cluster_ips


def test_a_server_stands_where_its_service_is() -> None:
    """One outside of the cluster stands nowhere."""
    hosts = ("mlflow.ml", "10.0.7.8/32", "mlflow.example.com", "203.0.113.7/32")
    places = [Destination(host, 80, "k") for host in hosts]

    assert server_namespaces(places, "team-a", CATALOG) == {"ml"}
    assert server_namespaces(places[2:], "team-a", CATALOG) == frozenset()
