"""Other engines: what shows them, what of theirs counts, and what to add."""

from typing import Any

import pytest
import yaml

from tests.unit.egress.sketch import rule
from webhook.egress.engines.detect import (
    CONTROLS,
    DetectedEngines,
    Engine,
    is_registry_only,
    present,
    served_controls,
)
from webhook.egress.engines.render import EgressNeed, render

DNS = rule(
    "{to: [{ipBlock: {cidr: 10.0.0.10/32}}, {namespaceSelector: {matchLabels:"
    " {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels:"
    " {k8s-app: kube-dns}}}], ports: [{port: 53}, {port: 53, protocol: UDP}]}"
)
SERVER = rule("{to: [{ipBlock: {cidr: 203.0.113.7/32}}], ports: [{port: 443}]}")
MINIO = rule(
    "{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ml}},"
    " podSelector: {matchLabels: {app: minio}}}], ports: [{port: 9000}]}"
)
NEED = EgressNeed(
    namespace="team-a",
    named=(("mlflow.example.com", 443),),
    fixed=(DNS, MINIO),
    rules=(DNS, MINIO, SERVER),
)
INJECTED = {"matchLabels": {"tracking.michelangelo-ai.org/injected": "true"}}


def test_an_engine_shows_itself_by_its_api() -> None:
    """No right is needed to see it."""
    groups = ["apps", "cilium.io", "k8s.ovn.org"]

    assert present(groups) == {Engine.CILIUM, Engine.OVN}


def test_objects_at_hand_show_engines_too() -> None:
    """Those of other kinds are passed over; Istio's own namespace is the whole mesh."""
    text = """
{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}
---
{apiVersion: k8s.ovn.org/v1, kind: EgressFirewall, metadata: {name: default},
 spec: {egress: [{type: Deny}]}}
---
{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: c},
 spec: {egress: []}}
---
{apiVersion: networking.istio.io/v1, kind: Sidecar,
 metadata: {name: s, namespace: istio-system},
 spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}}
---
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: open}}
"""
    found = DetectedEngines.among(yaml.safe_load_all(text), "team-a")

    assert found.engines == dict.fromkeys((Engine.OVN, Engine.CILIUM, Engine.ISTIO), ())
    assert found.restricting == {
        "team-a": ((Engine.OVN, "EgressFirewall team-a/default"),),
        "": (
            (Engine.CILIUM, "CiliumClusterwideNetworkPolicy c"),
            (Engine.ISTIO, "Sidecar istio-system/s"),
        ),
    }
    assert [f.subject for f in found.findings("team-b")] == ["cilium", "istio"]


CALICO = "{types: [Egress], egress: [{action: Deny}]}"


@pytest.mark.parametrize(
    ("api", "kind", "spec", "expected"),
    [
        ("crd.projectcalico.org/v1", "NetworkPolicy", CALICO, Engine.CALICO),
        ("crd.projectcalico.org/v1", "GlobalNetworkPolicy", CALICO, Engine.CALICO),
        ("projectcalico.org/v3", "NetworkPolicy", CALICO, Engine.CALICO),
        ("projectcalico.org/v3", "GlobalNetworkPolicy", CALICO, Engine.CALICO),
        ("projectcalico.org/v9", "NetworkPolicy", CALICO, Engine.CALICO),
        ("crd.antrea.io/v1beta1", "NetworkPolicy", "{egress: [{}]}", Engine.ANTREA),
        ("crd.antrea.io/v1alpha1", "NetworkPolicy", "{egress: [{}]}", Engine.ANTREA),
        ("cilium.io/v2", "CiliumNetworkPolicy", "{egress: []}", Engine.CILIUM),
        ("cilium.io/v2", "CiliumNetworkPolicy", "7", Engine.CILIUM),
        (
            "cilium.io/v2",
            "CiliumNetworkPolicy",
            "{enableDefaultDeny: 7}",
            Engine.CILIUM,
        ),
        (
            "networking.istio.io/v1alpha3",
            "Sidecar",
            "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}",
            Engine.ISTIO,
        ),
        (
            "networking.istio.io/v1beta1",
            "Sidecar",
            "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}",
            Engine.ISTIO,
        ),
        (
            "networking.k8s.aws/v1alpha1",
            "ClusterNetworkPolicy",
            "{egress: [{action: Deny}]}",
            Engine.AWS,
        ),
        (
            "policy.networking.k8s.io/v1alpha1",
            "ClusterNetworkPolicy",
            "{egress: [{action: Deny}]}",
            Engine.CLUSTER_NETWORK_POLICY,
        ),
        ("networking.k8s.io/v1", "NetworkPolicy", "{egress: []}", None),
        ("example.com/v1", "NetworkPolicy", CALICO, None),
        ("v1", "Sidecar", "{}", None),
    ],
)
def test_an_engines_object_is_told_by_its_group_at_any_version(
    api: str, kind: str, spec: str, expected: Engine | None
) -> None:
    """One that cannot be read may restrict."""
    body = {"apiVersion": api, "kind": kind, "metadata": {"name": "x"}}
    found = DetectedEngines.among([body | {"spec": yaml.safe_load(spec)}], "team-a")

    assert set(found.engines) == ({expected} if expected else set())
    assert bool(found.restricting) == bool(expected)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"projectcalico.org"}, {"projectcalico.org"}),
        ({"crd.projectcalico.org"}, {"crd.projectcalico.org"}),
        ({"crd.projectcalico.org", "projectcalico.org"}, {"crd.projectcalico.org"}),
        ({"apps"}, set()),
    ],
)
def test_calico_is_read_once_whichever_groups_are_served(
    groups: set[str], expected: set[str]
) -> None:
    """Its aggregated API shows the same objects again."""
    assert {control.group for control in served_controls(groups)} == expected
    assert present(groups) == ({Engine.CALICO} if expected else set())


def closes(kind: str, engine: Engine, body: str) -> bool:
    """Whether an object of a kind counts."""
    control = next(c for c in CONTROLS if (c.engine, c.kind) == (engine, kind))
    return control.restricts(yaml.safe_load(body))


@pytest.mark.parametrize(
    ("engine", "kind", "body", "expected"),
    [
        (Engine.CILIUM, "CiliumNetworkPolicy", "spec: {egress: []}", True),
        (Engine.CILIUM, "CiliumNetworkPolicy", "specs: [{egressDeny: []}]", True),
        (Engine.CILIUM, "CiliumNetworkPolicy", "spec: {ingress: []}", False),
        (
            Engine.CILIUM,
            "CiliumNetworkPolicy",
            "spec: {egress: [], enableDefaultDeny: {egress: false}}",
            False,
        ),
        (
            Engine.CILIUM,
            "CiliumNetworkPolicy",
            "spec: {enableDefaultDeny: {egress: true}}",
            True,
        ),
        (Engine.CALICO, "NetworkPolicy", "spec: {types: [Egress]}", True),
        (Engine.CALICO, "GlobalNetworkPolicy", "spec: {egress: [{}]}", True),
        (Engine.CALICO, "NetworkPolicy", "spec: {types: [Ingress]}", False),
        (Engine.ANTREA, "ClusterNetworkPolicy", "spec: {egress: [{}]}", True),
        (Engine.ANTREA, "NetworkPolicy", "spec: {ingress: [{}]}", False),
        (Engine.OVN, "EgressFirewall", "spec: {egress: [{type: Deny}]}", True),
        (Engine.OVN, "EgressFirewall", "spec: {egress: [{type: Allow}]}", False),
        (
            Engine.AWS,
            "ApplicationNetworkPolicy",
            "spec: {policyTypes: [Egress]}",
            True,
        ),
        (Engine.AWS, "ClusterNetworkPolicy", "spec: {egress: [{action: Pass}]}", False),
        (
            Engine.CLUSTER_NETWORK_POLICY,
            "AdminNetworkPolicy",
            "spec: {egress: [{action: Deny}]}",
            True,
        ),
        (
            Engine.ISTIO,
            "Sidecar",
            "spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}",
            True,
        ),
        (Engine.ISTIO, "Sidecar", "{}", False),
    ],
)
def test_what_restricts_egress_counts_and_the_rest_does_not(
    engine: Engine, kind: str, body: str, expected: bool
) -> None:
    """Ingress rules and permissions close nothing."""
    assert closes(kind, engine, body) is expected


def test_istios_mesh_may_be_closed_as_a_whole() -> None:
    """In its ConfigMap."""
    closed = {"data": {"mesh": "outboundTrafficPolicy:\n  mode: REGISTRY_ONLY\n"}}

    assert is_registry_only(closed)
    assert not is_registry_only({"data": {"mesh": "accessLogFile: /dev/stdout"}})
    assert not is_registry_only({})


def spec(engine: Engine) -> Any:
    """The specification of the last object to add."""
    return render(engine, NEED)[-1]["spec"]


def test_cilium_learns_the_names_addresses_and_denies_nothing() -> None:
    """Without the DNS rule it never sees an answer."""
    cilium = spec(Engine.CILIUM)
    (name,) = [e for e in cilium["egress"] if "toFQDNs" in e]
    learning = [
        e["toEndpoints"]
        for e in cilium["egress"]
        if e["toPorts"][0].get("rules") == {"dns": [{"matchPattern": "*"}]}
    ]

    assert cilium["enableDefaultDeny"] == {"egress": False, "ingress": False}
    assert cilium["endpointSelector"] == INJECTED
    assert name["toFQDNs"] == [{"matchName": "mlflow.example.com"}]
    assert name["toPorts"] == [{"ports": [{"port": "443", "protocol": "TCP"}]}]
    assert learning == [
        [
            {
                "matchLabels": {
                    "k8s:k8s-app": "kube-dns",
                    "k8s:io.kubernetes.pod.namespace": "kube-system",
                }
            }
        ]
    ]
    assert {"toCIDR": ["10.0.0.10/32"]}.items() <= cilium["egress"][0].items()
    only = EgressNeed(namespace="a", named=(), fixed=(SERVER,), rules=(SERVER,))
    assert [list(e) for e in render(Engine.CILIUM, only)[0]["spec"]["egress"]] == [
        ["toCIDR", "toPorts"]
    ]


def test_calico_passes_on_what_it_does_not_permit() -> None:
    """A tier of its own, and addresses, for it resolves no names."""
    tier, policy = render(Engine.CALICO, NEED)
    rules = policy["spec"]["egress"]

    assert tier["spec"]["defaultAction"] == "Pass"
    assert policy["metadata"] == {
        "name": "tracking-injector.egress",
        "namespace": "team-a",
    }
    assert (
        policy["spec"]["selector"] == "tracking.michelangelo-ai.org/injected == 'true'"
    )
    assert {
        "action": "Allow",
        "protocol": "TCP",
        "destination": {"nets": ["203.0.113.7/32"], "ports": [443]},
    } in rules
    assert {
        "action": "Allow",
        "protocol": "TCP",
        "destination": {
            "selector": "app == 'minio'",
            "namespaceSelector": "kubernetes.io/metadata.name == 'ml'",
            "ports": [9000],
        },
    } in rules


def test_antrea_resolves_the_name_by_itself() -> None:
    """In a tier that comes before Kubernetes' own policies."""
    antrea = spec(Engine.ANTREA)

    assert antrea["tier"] == "application"
    assert antrea["egress"][-1] == {
        "action": "Allow",
        "to": [{"fqdn": "mlflow.example.com"}],
        "ports": [{"protocol": "TCP", "port": 443}],
    }


def test_ovn_gets_rules_for_what_leaves_the_cluster() -> None:
    """To put first into the one object there is."""
    (firewall,) = render(Engine.OVN, NEED)

    assert firewall["metadata"] == {"name": "default", "namespace": "team-a"}
    assert firewall["spec"]["egress"][0] == {
        "type": "Allow",
        "to": {"dnsName": "mlflow.example.com"},
        "ports": [{"protocol": "TCP", "port": 443}],
    }


@pytest.mark.parametrize("engine", [Engine.AWS, Engine.CLUSTER_NETWORK_POLICY])
def test_a_cluster_wide_policy_names_its_namespace(engine: Engine) -> None:
    """And accepts, which isolates nobody."""
    (policy,) = render(engine, NEED)
    home = {"matchLabels": {"kubernetes.io/metadata.name": "team-a"}}

    assert policy["metadata"] == {"name": "tracking-injector-team-a"}
    assert policy["spec"]["subject"] == {
        "pods": {"namespaceSelector": home, "podSelector": INJECTED}
    }
    assert {r["action"] for r in policy["spec"]["egress"]} == {"Accept"}


def test_aws_takes_the_name_and_sig_network_the_addresses() -> None:
    """Names are experimental in the one and not in the other."""
    assert spec(Engine.AWS)["egress"][-1] == {
        "action": "Accept",
        "to": [{"domainNames": ["mlflow.example.com"]}],
        "ports": [{"portNumber": {"protocol": "TCP", "port": 443}}],
    }
    assert spec(Engine.CLUSTER_NETWORK_POLICY)["egress"][-1] == {
        "action": "Accept",
        "to": [{"networks": ["203.0.113.7/32"]}],
        "protocols": [{"tcp": {"destinationPort": {"number": 443}}}],
    }


BLOCKS = ", ".join(
    f"{{ipBlock: {{cidr: 203.0.{n // 128}.{n % 128 * 2}/32}}}}" for n in range(700)
)
MANY = EgressNeed(
    namespace="team-a",
    named=tuple((f"h{number:02}.example.com", 443) for number in range(60)),
    fixed=(DNS,),
    rules=(DNS, rule(f"{{to: [{BLOCKS}], ports: [{{port: 443}}]}}")),
)


@pytest.mark.parametrize(
    ("engine", "way", "at_most"),
    [
        (Engine.CALICO, ("egress", "destination", "nets"), 256),
        (Engine.CALICO, ("egress", "destination", "ports"), 50),
        (Engine.AWS, ("egress",), 100),
        (Engine.AWS, ("egress", "to"), 100),
        (Engine.AWS, ("egress", "to", "domainNames"), 25),
        (Engine.AWS, ("egress", "to", "networks"), 25),
        (Engine.CLUSTER_NETWORK_POLICY, ("egress",), 25),
        (Engine.CLUSTER_NETWORK_POLICY, ("egress", "to"), 25),
        (Engine.CLUSTER_NETWORK_POLICY, ("egress", "to", "networks"), 25),
        (Engine.CLUSTER_NETWORK_POLICY, ("egress", "protocols"), 25),
    ],
)
def test_no_list_is_longer_than_the_engines_schema_takes(
    engine: Engine, way: tuple[str, ...], at_most: int
) -> None:
    """As the engines' own definitions say; all of it is written all the same."""
    written = render(engine, MANY)
    lists = [found for body in written for found in _at(body["spec"], way)]
    text = str(written)

    assert lists
    assert max(map(len, lists)) <= at_most
    named = engine is Engine.AWS
    assert text.count("example.com") == (60 if named else 0)
    assert text.count("203.0.") == (0 if named else 700)


def _at(value: Any, way: tuple[str, ...]) -> list[list[Any]]:
    """Every list there is at a way through maps and lists."""
    if isinstance(value, list):
        if not way:
            return [value]
        return [found for item in value for found in _at(item, way)]
    return _at(value[way[0]], way[1:]) if way and way[0] in value else []


def test_istio_gets_an_entry_for_each_host_outside() -> None:
    """What the cluster has is in its registry."""
    named = (("mlflow.example.com", 443), ("mlflow.example.com", 5000))
    need = EgressNeed(namespace="team-a", named=named, fixed=(), rules=())
    (entry,) = render(Engine.ISTIO, need)

    assert entry["metadata"]["name"] == "tracking-injector-mlflow-example-com"
    assert entry["spec"]["hosts"] == ["mlflow.example.com"]
    assert entry["spec"]["ports"] == [
        {"number": 443, "name": "tls-443", "protocol": "TLS"},
        {"number": 5000, "name": "tcp-5000", "protocol": "TCP"},
    ]


@pytest.mark.parametrize("engine", Engine)
def test_advice_is_whole_and_the_same_every_time(engine: Engine) -> None:
    """It can be applied as it is."""
    written = render(engine, NEED)

    assert written == render(engine, NEED)
    assert all(body["apiVersion"] and body["kind"] for body in written)
