"""What people and tools are told about egress: once, and never a value."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.unit.companion.egress.world import DENY, World
from webhook.cluster.resources import (
    CONFIG_MAP,
    NAMESPACE,
    NETWORK_POLICY,
    SERVICE,
    ResourceType,
)
from webhook.companion.egress.measures import Measures
from webhook.egress.dns_cache import DnsOutcome
from webhook.egress.engines.detect import Engine
from webhook.egress.reasons import EgressReason

CILIUM = ResourceType("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies")
SIDECAR = ResourceType("networking.istio.io", "v1", "Sidecar", "sidecars")


@pytest.fixture
def world() -> World:
    """With one labeled namespace that denies egress."""
    made = World()
    made.label("team-a")
    made.policy(DENY)
    return made


def reasons(world: World, namespace: str = "team-a") -> set[EgressReason]:
    """What is found about a namespace."""
    return {f.reason for f in world.report(namespace).findings}


def test_a_name_that_fails_is_told_once_for_all_namespaces(world: World) -> None:
    """At the ConfigMap of addresses, however many namespaces wait for it."""
    world.label("team-b")
    world.zone.records["mlflow.example.org"] = DnsOutcome.NXDOMAIN
    for _ in range(20):
        world.step(60)
    told = [(reason, name) for reason, name, _ in world.events()]

    assert told == [("Unresolved", "tracking-injector-addresses")]
    assert reasons(world) == {EgressReason.UNRESOLVED}


def test_a_finding_that_comes_and_goes_is_told_once_an_hour(world: World) -> None:
    """A name server that flaps must not flood anybody."""
    world.step()
    for _ in range(30):
        world.zone.records["mlflow.example.org"] = DnsOutcome.SERVFAIL
        world.step(60)
        world.zone.records["mlflow.example.org"] = ("203.0.113.7",)
        world.step(60)
    told = [reason for reason, _, _ in world.events()]

    assert told == ["ResolutionStale"]


def test_a_standby_tells_nothing(world: World) -> None:
    """Whoever leads does."""
    world.zone.records["mlflow.example.org"] = DnsOutcome.NXDOMAIN
    world.leads = False
    world.restart()
    world.step()

    assert world.events() == []


def test_a_server_that_lets_nobody_in_is_told_where_it_matters(world: World) -> None:
    """That is not DNS, and not our policy."""
    world.user.apply(NAMESPACE, {"metadata": {"name": "ml"}})
    spec = "{clusterIP: 10.0.7.7, selector: {app: mlflow}, ports: [{port: 80}]}"
    world.apply(SERVICE, "mlflow", spec, "ml")
    world.keys = {"TRACKING_URI": "http://mlflow.ml"}
    world.policy("{podSelector: {}, policyTypes: [Ingress]}", "closed", "ml")
    world.step()
    told = [e for e in world.events() if e[0] == "DestinationIngressBlocked"]

    assert told == [
        (
            "DestinationIngressBlocked",
            "team-a",
            "No rule of closed in namespace ml lets task pods of team-a reach"
            " mlflow.ml.",
        )
    ]
    world.delete("closed", "ml")
    world.step()
    assert EgressReason.DESTINATION_INGRESS_BLOCKED not in reasons(world)


def test_a_policy_that_cannot_be_read_is_told(world: World) -> None:
    """A newer API has what this version does not know."""
    world.policy("{podSelector: {}, policyTypes: [Sideways]}", "newer")
    world.step()

    assert EgressReason.SELECTOR_UNREADABLE in reasons(world)
    assert len(world.ours()) == 1


def test_a_label_that_is_no_mode_is_told(world: World) -> None:
    """And means that nothing is written."""
    world.label("team-a", egress="addditive")
    world.step()

    assert (world.ours(), reasons(world)) == ([], {EgressReason.SELECTOR_UNREADABLE})


def sections(world: World) -> Any:
    """The status."""
    return world.egress.section()


def test_an_engine_with_an_object_here_is_told_with_what_to_do(world: World) -> None:
    """In its own namespace, and nowhere else."""
    world.label("team-b")
    meta = {"name": "deny-all", "namespace": "team-a"}
    world.user.apply(CILIUM, {"metadata": meta, "spec": {"egress": []}})
    world.step()
    (told,) = [m for r, _, m in world.events() if r == "OtherEgressControls"]

    assert told == (
        "CiliumNetworkPolicy team-a/deny-all may restrict egress; its owner adds what"
        " `tracking-injector egress plan -n team-a --engine cilium` prints."
    )
    assert EgressReason.OTHER_EGRESS_CONTROLS not in reasons(world, "team-b")
    assert sections(world)["engines"] == {Engine.CILIUM: {"unseen": []}}


def test_what_may_not_be_listed_is_unknown_and_said_so(world: World) -> None:
    """Nothing is guessed, and nobody is alarmed."""
    world.cluster.served.add("cilium.io")
    world.cluster.forbid(lambda call: call.kind.group == "cilium.io")
    world.step()

    assert sections(world)["engines"] == {
        Engine.CILIUM: {
            "unseen": [
                "ciliumnetworkpolicies.cilium.io",
                "ciliumclusterwidenetworkpolicies.cilium.io",
            ]
        }
    }
    assert EgressReason.OTHER_EGRESS_CONTROLS not in reasons(world)


def test_istio_may_close_the_whole_mesh(world: World) -> None:
    """By its ConfigMap, or by a Sidecar in its own namespace."""
    world.user.apply(NAMESPACE, {"metadata": {"name": "istio-system"}})
    meta = {"name": "istio", "namespace": "istio-system"}
    closed = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"
    world.user.apply(CONFIG_MAP, {"metadata": meta, "data": {"mesh": closed}})
    outbound = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
    meta = {"name": "default", "namespace": "istio-system"}
    world.user.apply(SIDECAR, {"metadata": meta, "spec": outbound})
    world.step()
    (told,) = [f for f in world.report().findings if f.subject == Engine.ISTIO]

    assert told.message.startswith(
        "REGISTRY_ONLY in ConfigMap istio-system/istio, Sidecar istio-system/default"
    )


def test_istios_settings_may_be_out_of_sight(world: World) -> None:
    """Or not be there at all."""
    world.cluster.served.add("networking.istio.io")
    world.step()
    absent = sections(world)["engines"]
    world.cluster.forbid(lambda call: call.key.namespace == "istio-system")
    world.restart()
    world.step()

    assert absent == {Engine.ISTIO: {"unseen": []}}
    assert sections(world)["engines"] == {
        Engine.ISTIO: {"unseen": ["ConfigMap istio-system/istio"]}
    }


def test_engines_are_looked_for_again_after_half_an_hour(world: World) -> None:
    """And a server that is away meanwhile changes nothing."""
    world.step()
    world.cluster.served.add("crd.antrea.io")
    world.step(60)
    before = sections(world)["engines"]
    world.cluster.forbid(lambda call: call.verb == "groups")
    world.step(1800)
    away = sections(world)["engines"]
    world.cluster.allow_all()
    world.step(1800)

    assert before == away == {}
    assert list(sections(world)["engines"]) == [Engine.ANTREA]


@pytest.mark.parametrize(
    ("group", "expected"), [("", ["EnforcementUnknown"]), ("kubeovn.io", [])]
)
def test_a_cluster_that_shows_no_network_plugin_is_noted(
    world: World, group: str, expected: list[str]
) -> None:
    """NetworkPolicy without one is a wish."""
    world.cluster.served |= {group} - {""}
    world.step()

    assert [f["reason"] for f in sections(world)["findings"]] == expected


def value(world: World, name: str, /, **labels: str) -> float | None:
    """One number."""
    registry = CollectorRegistry()
    registry.register(Measures(world.names, world.egress, leads=lambda: world.leads))
    return registry.get_sample_value(f"tracking_injector_companion_{name}", labels)


def test_names_are_measured(world: World) -> None:
    """Every answer by how it ended, every address, and how a pool grows."""
    world.step()
    start = world.now.timestamp()
    world.zone.records["mlflow.example.org"] = ("203.0.113.8",)
    world.step(60)
    world.zone.records["mlflow.example.org"] = DnsOutcome.SERVFAIL
    world.step(60)
    name = "mlflow.example.org"

    assert value(world, "dns_lookups_total", rcode="NOERROR") == 2
    assert value(world, "dns_lookups_total", rcode="SERVFAIL") == 1
    assert value(world, "egress_addresses", name=name) == 2
    assert value(world, "egress_rotation_total") == 1
    assert value(world, "dns_last_success_timestamp_seconds", name=name) == start + 60


def test_a_dead_replica_is_counted_and_the_policy_is_written(world: World) -> None:
    """The others answer for it."""
    world.zone.dead = 1
    world.step()

    assert value(world, "dns_lookups_total", rcode="TIMEOUT") == 1
    assert world.opened() == ["203.0.113.7/32"]
    assert reasons(world) == set()


def test_policies_are_measured(world: World) -> None:
    """Writes by verb, namespaces by how they stand, and orphans."""
    world.step()
    made = value(world, "egress_policy_writes_total", verb="apply")
    orphans = value(world, "egress_shadow_orphans")
    world.user.delete(NETWORK_POLICY, "deny", "team-a")
    world.watched.policies.refresh()
    later = value(world, "egress_shadow_orphans")
    ready = value(world, "egress_namespaces", mode="additive", reason="EgressReady")
    world.step()

    assert (made, orphans, later, ready) == (1, 0, 1, 1)
    assert value(world, "egress_policy_writes_total", verb="delete") == 1
    assert value(world, "egress_shadow_orphans") == 0


def test_only_the_leader_measures_the_cluster(world: World) -> None:
    """What a standby did itself stays told."""
    world.step()
    world.leads = False

    assert value(world, "egress_shadow_orphans") is None
    assert value(world, "egress_policy_writes_total", verb="apply") == 1


def test_findings_are_measured(world: World) -> None:
    """By reason: how many namespaces have one."""
    world.label("team-b")
    world.zone.records["mlflow.example.org"] = DnsOutcome.NXDOMAIN
    world.step()

    assert value(world, "egress_findings", reason="Unresolved") == 2
