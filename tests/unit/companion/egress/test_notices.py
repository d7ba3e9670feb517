"""What people and tools are told about egress: once, and never a value."""

from tests.unit.companion.egress.egress_world import EgressWorld
from webhook.cluster.resources import (
    NAMESPACE,
    SERVICE,
)
from webhook.egress.dns_cache import DnsOutcome
from webhook.egress.reasons import EgressReason


def test_a_name_that_fails_is_told_once_for_all_namespaces(world: EgressWorld) -> None:
    """At the ConfigMap of addresses, however many namespaces wait for it."""
    world.label("team-b")
    world.zone.records["mlflow.example.org"] = DnsOutcome.NXDOMAIN
    for _ in range(20):
        world.step(60)
    told = [(reason, name) for reason, name, _ in world.events()]

    assert told == [("Unresolved", "tracking-injector-addresses")]
    assert world.reasons() == {EgressReason.UNRESOLVED}


def test_a_finding_that_comes_and_goes_is_told_once_an_hour(world: EgressWorld) -> None:
    """A name server that flaps must not flood anybody."""
    world.step()
    for _ in range(30):
        world.zone.records["mlflow.example.org"] = DnsOutcome.SERVFAIL
        world.step(60)
        world.zone.records["mlflow.example.org"] = ("203.0.113.7",)
        world.step(60)
    told = [reason for reason, _, _ in world.events()]

    assert told == ["ResolutionStale"]


def test_a_standby_tells_nothing(world: EgressWorld) -> None:
    """Whoever leads does."""
    world.zone.records["mlflow.example.org"] = DnsOutcome.NXDOMAIN
    world.leads = False
    world.restart()
    world.step()

    assert world.events() == []


def test_a_server_that_lets_nobody_in_is_told_where_it_matters(
    world: EgressWorld,
) -> None:
    """That is not DNS, and not our policy."""
    world.user.apply(NAMESPACE, {"metadata": {"name": "ml"}})
    spec = "{clusterIP: 10.0.7.7, selector: {app: mlflow}, ports: [{port: 80}]}"
    world.apply(SERVICE, "mlflow", spec, "ml")
    world.keys.set("default", TRACKING_URI="http://mlflow.ml")
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
    assert EgressReason.DESTINATION_INGRESS_BLOCKED not in world.reasons()


def test_a_policy_that_cannot_be_read_is_told(world: EgressWorld) -> None:
    """A newer API has what this version does not know."""
    world.policy("{podSelector: {}, policyTypes: [Sideways]}", "newer")
    world.step()

    assert EgressReason.SELECTOR_UNREADABLE in world.reasons()
    assert len(world.ours()) == 1


def test_a_label_that_is_no_mode_is_told(world: EgressWorld) -> None:
    """And means that nothing is written."""
    world.label("team-a", egress="addditive")
    world.step()

    assert (world.ours(), world.reasons()) == ([], {EgressReason.SELECTOR_UNREADABLE})


def test_that_no_server_is_needed_is_nothing_to_warn_of(world: EgressWorld) -> None:
    """It is said in the result, and in no Event."""
    world.keys.set("default", TRACKING_URI="file:/tmp/runs")
    world.step()

    assert world.reasons() == {EgressReason.NO_NETWORK_NEEDED}
    assert world.events() == []
