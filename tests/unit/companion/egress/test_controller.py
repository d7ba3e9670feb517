"""What the egress controller writes, when, and what it leaves alone."""

from collections.abc import Callable

import pytest

from tests.unit.companion.egress.egress_world import DENY, WORKERS, EgressWorld
from webhook.cluster.errors import Unavailable
from webhook.cluster.resources import NAMESPACE, NETWORK_POLICY, NODE, SERVICE
from webhook.companion.egress.controller import RULES
from webhook.egress.dns_cache import DnsOutcome
from webhook.egress.mode import EgressMode
from webhook.egress.reasons import EgressReason
from webhook.injection.names import INJECT_LABEL, PROFILE_LABEL


@pytest.fixture
def world() -> EgressWorld:
    """With one labeled namespace."""
    made = EgressWorld()
    made.label("team-a")
    return made


def test_an_open_namespace_gets_no_policy(world: EgressWorld) -> None:
    """Whatever is written there would cut traffic."""
    world.step()

    assert (world.ours(), world.result().reason) == ([], EgressReason.NOT_ISOLATED)


def test_a_default_deny_gets_a_shadow_that_goes_with_it(world: EgressWorld) -> None:
    """Owned by the policy, and on injected pods only."""
    uid = world.policy(DENY)["metadata"]["uid"]
    world.step()
    (shadow,) = world.ours()

    assert [o["uid"] for o in shadow["metadata"]["ownerReferences"]] == [uid]
    assert shadow["spec"]["policyTypes"] == ["Egress"]
    assert shadow["spec"]["podSelector"] == {
        "matchLabels": {"tracking.michelangelo-ai.org/injected": "true"}
    }
    assert world.opened() == ["203.0.113.7/32"]

    world.delete()
    world.step()
    assert world.ours() == []


def test_nothing_is_written_when_nothing_changed(world: EgressWorld) -> None:
    """Hours of steps and lookups cost no request but the watches'."""
    world.policy(DENY)
    world.step()
    before = world.writes()
    for _ in range(60):
        world.step(60)

    assert world.writes() == before


def test_a_narrowed_selector_moves_the_shadow_in_the_same_step(
    world: EgressWorld,
) -> None:
    """A pod that was let go must not stay isolated by us."""
    world.policy(DENY)
    world.step()
    wide = world.ours()[0]["metadata"]["name"]
    world.policy(WORKERS)
    world.step()
    (narrow,) = world.ours()

    assert narrow["metadata"]["name"] != wide
    assert world.result().orphans == 0
    assert narrow["spec"]["podSelector"]["matchLabels"]["ray.io/node-type"] == "worker"


def test_a_shadow_of_two_policies_goes_with_the_last(world: EgressWorld) -> None:
    """Of those with its selector; the first one's going changes nothing."""
    world.policy(DENY, "one")
    world.policy(DENY, "two")
    world.step()
    before = world.ours()[0]["metadata"]["name"]
    world.delete("one")
    world.step(5)
    after = [body["metadata"]["name"] for body in world.ours()]
    world.delete("two")
    world.step()

    assert after == [before]
    assert world.ours() == []


def test_policies_come_and_go_faster_than_rewrites_are_paced(
    world: EgressWorld,
) -> None:
    """A job's policies are followed at once, whatever was written before."""
    for name in ("head", "small", "large"):
        spec = (
            f"{{podSelector: {{matchLabels: {{ray.io/group: {name}}}}},"
            " policyTypes: [Egress]}"
        )
        world.policy(spec, name)
        world.step()

    assert len(world.ours()) == 3


def test_rewrites_for_new_addresses_are_paced(world: EgressWorld) -> None:
    """One a namespace in five seconds."""
    world.policy(DENY)
    world.step()
    zone = world.zone.records
    zone["mlflow.example.org"] = ("203.0.113.8",)
    world.step(60)
    first = world.opened()
    world.policy(DENY, "other")
    world.step(1)
    owners = world.ours()[0]["metadata"]["ownerReferences"]
    meanwhile = world.result()

    assert first == ["203.0.113.7/32", "203.0.113.8/32"]
    assert (meanwhile.requeue_after, len(owners)) == (4.0, 1)
    assert meanwhile.reason is EgressReason.PENDING
    world.step(4)
    assert world.result().reason is EgressReason.EGRESS_READY
    assert len(world.ours()[0]["metadata"]["ownerReferences"]) == 2


@pytest.mark.parametrize(
    "outcome", [o for o in DnsOutcome if o is not DnsOutcome.NOERROR]
)
def test_failed_lookups_take_nothing_away(
    world: EgressWorld, outcome: DnsOutcome
) -> None:
    """For a day, and over a restart."""
    world.policy(DENY)
    world.step()
    world.zone.records["mlflow.example.org"] = outcome
    for _ in range(24):
        world.step(3600)
    world.restart()
    world.step(3600)

    assert world.opened() == ["203.0.113.7/32"]
    assert world.reasons() == {EgressReason.RESOLUTION_STALE}


def test_a_first_lookup_that_fails_has_no_rule_and_the_next_one_has(
    world: EgressWorld,
) -> None:
    """Never an empty list of peers."""
    world.policy(DENY)
    world.zone.records["mlflow.example.org"] = DnsOutcome.SERVFAIL
    world.step()
    before = world.opened()
    rules = [rule for body in world.ours() for rule in body["spec"]["egress"]]
    world.zone.records["mlflow.example.org"] = ("203.0.113.7",)
    world.step(5)

    assert (before, world.opened()) == ([], ["203.0.113.7/32"])
    assert all(rule["to"] and rule["ports"] for rule in rules)


def test_a_restart_writes_nothing(world: EgressWorld) -> None:
    """What was remembered is what is permitted."""
    world.policy(DENY)
    world.zone.records["mlflow.example.org"] = ("203.0.113.7", "203.0.113.8")
    world.step()
    world.zone.records["mlflow.example.org"] = ("203.0.113.8",)
    before = world.writes()
    world.restart()
    world.step(60)

    assert world.opened() == ["203.0.113.7/32", "203.0.113.8/32"]
    assert world.writes() == before


@pytest.mark.parametrize("how", ["unlabel", "off", "observe"])
def test_a_namespace_that_is_switched_off_loses_our_policies(
    world: EgressWorld, how: str
) -> None:
    """In one step."""
    world.policy(DENY)
    world.step()
    if how == "unlabel":
        world.label("team-a", on=False)
    else:
        world.label("team-a", egress=how)
    world.step()

    assert world.ours() == []


def test_observe_reports_what_it_would_write(world: EgressWorld) -> None:
    """And writes nothing."""
    world.restart(EgressMode.OBSERVE)
    world.policy(DENY)
    world.step()

    assert (world.ours(), world.result().policies) == ([], 1)


def test_a_policy_that_only_looks_like_ours_is_left_alone(world: EgressWorld) -> None:
    """Its name is, its label is not."""
    world.policy(WORKERS, "mti-egress-of-somebody")
    world.label("team-a", on=False)
    world.step()

    assert [b["metadata"]["name"] for b in world.ours()] == ["mti-egress-of-somebody"]


def test_without_keys_what_is_there_stays(world: EgressWorld) -> None:
    """The source went away while the companion was down."""
    world.policy(DENY)
    world.step()
    world.keys.lose("default")
    world.restart()
    world.step()

    assert world.opened() == ["203.0.113.7/32"]


def test_without_keys_a_shadow_whose_policy_went_goes_too(world: EgressWorld) -> None:
    """Staying would isolate its pods."""
    world.policy(DENY)
    world.step()
    world.keys.lose("default")
    world.restart()
    world.delete()
    world.step()

    assert world.ours() == []


def test_without_keys_a_shadow_wider_than_its_policy_goes_too(
    world: EgressWorld,
) -> None:
    """The policy was narrowed; the pods it let go must not stay isolated."""
    world.policy(DENY)
    world.step()
    world.keys.lose("default")
    world.restart()
    world.policy(WORKERS)
    world.step()

    assert world.ours() == []


def test_a_profile_that_does_not_exist_changes_nothing(world: EgressWorld) -> None:
    """Somebody mistyped a label."""
    world.policy(DENY)
    world.step()
    labels = {INJECT_LABEL: "enabled", PROFILE_LABEL: "defualt"}
    world.user.apply(NAMESPACE, {"metadata": {"name": "team-a", "labels": labels}})
    world.step()

    assert world.opened() == ["203.0.113.7/32"]


def test_a_standby_writes_and_deletes_nothing(world: EgressWorld) -> None:
    """Whoever leads does."""
    world.policy(DENY)
    world.step()
    world.delete()
    world.leads = False
    world.step()

    assert len(world.ours()) == 1


def test_a_shadow_that_goes_by_itself_meanwhile_is_no_failure(
    world: EgressWorld,
) -> None:
    """Garbage collection is as fast."""
    world.policy(DENY)
    world.step()
    name = world.ours()[0]["metadata"]["name"]
    world.delete()
    world.cluster.meanwhile(
        "delete", lambda: world.user.delete(NETWORK_POLICY, name, "team-a")
    )
    world.step()

    assert world.ours() == []


def test_no_value_of_a_key_is_told(world: EgressWorld) -> None:
    """Neither in objects nor in the log nor in the status."""
    world.keys.set(
        "default", TRACKING_URI="https://user:canary-value@mlflow.example.org/canary"
    )
    world.policy(DENY)
    world.step()
    results = world.egress_controller.results.items()
    told = str([world.ours(), results, world.events(), world.log.lines])

    assert world.opened() == ["203.0.113.7/32"]
    assert "canary" not in told


def test_a_server_that_keys_no_longer_name_stays_for_a_grace_period(
    world: EgressWorld,
) -> None:
    """Pods that run dial the one they were started with."""
    world.policy(DENY)
    world.step()
    world.keys.set("default", TRACKING_URI="https://other.example.org")
    world.zone.records["other.example.org"] = ("203.0.113.9",)
    world.step(60)
    expires = world.result().requeue_after
    both = world.opened()
    world.step(6 * 3600 - 1)
    within = world.opened()
    world.step(1)

    assert both == within == ["203.0.113.7/32", "203.0.113.9/32"]
    assert world.opened() == ["203.0.113.9/32"]
    assert expires == 6 * 3600


@pytest.mark.parametrize("wrong", ["mlfow.example.org", "mlflow.ml", "mlflow.ml.svc"])
def test_a_corrected_mistake_is_not_held_against_a_namespace(
    world: EgressWorld, wrong: str
) -> None:
    """A server that never had a rule need not stay permitted."""
    world.policy(DENY)
    world.keys.set("default", TRACKING_URI=f"https://{wrong}")
    world.step()
    before = world.result().reason
    world.keys.set("default", TRACKING_URI="https://mlflow.example.org")
    world.step(6)

    assert before is EgressReason.UNRESOLVED
    assert world.result().reason is EgressReason.EGRESS_READY
    assert world.result().findings == ()


def test_a_former_server_that_fails_later_stays(world: EgressWorld) -> None:
    """Its addresses are known, and pods that run still dial them."""
    world.policy(DENY)
    world.step()
    world.keys.set("default", TRACKING_URI="https://other.example.org")
    world.zone.records["other.example.org"] = ("203.0.113.9",)
    world.step(60)
    world.zone.records["mlflow.example.org"] = DnsOutcome.NXDOMAIN
    world.step(600)

    assert world.opened() == ["203.0.113.7/32", "203.0.113.9/32"]


def test_all_shadows_of_a_namespace_are_rewritten_in_one_round(
    world: EgressWorld,
) -> None:
    """None of them waits for another one's turn."""
    for name in ("head", "worker"):
        spec = (
            f"{{podSelector: {{matchLabels: {{ray.io/node-type: {name}}}}},"
            " policyTypes: [Egress]}"
        )
        world.policy(spec, name)
    world.step()
    world.zone.records["mlflow.example.org"] = ("203.0.113.9",)
    world.step(60)

    assert world.opened() == ["203.0.113.7/32", "203.0.113.9/32"] * 2


def queued(world: EgressWorld) -> set[str]:
    """Return the namespaces that are to be planned now, and plan none of them."""
    found = set()
    while (key := world.egress_controller.queue.get(0)) is not None:
        found.add(key)
        world.egress_controller.queue.done(key)
    return found


def planned(world: EgressWorld) -> set[str]:
    """Return the namespaces that are planned once the common rules were compared."""
    world.refresh()
    world.pass_gathering()
    found = queued(world)
    if RULES in found:
        world.egress.reconcile(RULES, world.now)
        found |= queued(world)
    return found - {RULES}


@pytest.fixture
def three(world: EgressWorld) -> EgressWorld:
    """Return three namespaces, with a server in the cluster beside one outside."""
    world.user.apply(NAMESPACE, {"metadata": {"name": "ml"}})
    spec = "{clusterIP: 10.0.7.7, selector: {app: mlflow}, ports: [{port: 80}]}"
    world.apply(SERVICE, "mlflow", spec, "ml")
    world.endpoints("mlflow", "ml", "10.1.0.1", port=80)
    world.keys.set("inside", TRACKING_URI="http://mlflow.ml")
    world.label("team-b", profile="inside")
    world.label("team-c", profile="inside")
    for name in ("team-a", "team-b", "team-c"):
        world.policy(DENY, namespace=name)
    world.step()
    assert planned(world) == set()
    return world


def test_a_policy_costs_its_own_namespace(three: EgressWorld) -> None:
    """Whatever it says."""
    three.policy(WORKERS, "more", "team-b")

    assert planned(three) == {"team-b"}


def test_a_policy_on_ingress_where_a_server_stands_costs_its_callers(
    three: EgressWorld,
) -> None:
    """Whether they get in may have changed; one on egress changes nothing for them."""
    three.policy(DENY, "egress", "ml")
    egress = planned(three)
    three.policy("{podSelector: {}, policyTypes: [Ingress]}", "ingress", "ml")
    ingress = planned(three)
    three.delete("ingress", "ml")

    assert egress == {"ml"}
    assert ingress == planned(three) == {"ml", "team-b", "team-c"}


def test_a_service_costs_whose_rules_it_changes(three: EgressWorld) -> None:
    """One that nobody dials costs nobody anything."""
    spec = "{clusterIP: 10.0.7.8, selector: {app: web}, ports: [{port: 80}]}"
    three.apply(SERVICE, "web", spec, "ml")
    foreign = planned(three)
    three.endpoints("mlflow", "ml", "10.1.0.1", "10.1.0.2", port=80)
    same = planned(three)
    three.endpoints("mlflow", "ml", "10.1.0.1", port=8080)

    assert foreign == same == set()
    assert planned(three) == {"team-b", "team-c"}


def test_a_write_of_ours_costs_no_plan(three: EgressWorld) -> None:
    """Nor does the watch that tells of it."""
    three.user.delete(
        NETWORK_POLICY, three.ours("team-b")[0]["metadata"]["name"], "team-b"
    )
    three.refresh()
    before = three.writes()
    assert three.egress_controller.step()
    three.refresh()

    assert three.writes() > before
    assert queued(three) == set()


def test_a_profile_costs_its_namespaces(three: EgressWorld) -> None:
    """And nobody else."""
    three.keys.set("inside", TRACKING_URI="http://other.ml")

    assert planned(three) == {"team-b", "team-c"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda world: world.label("team-z"), id="namespace"),
        pytest.param(lambda world: world.delete("deny", "team-z"), id="policy"),
    ],
)
def test_a_change_of_ones_own_overtakes_common_ones(
    three: EgressWorld, change: Callable[[EgressWorld], object]
) -> None:
    """A pod that is isolated by mistake must not wait for a thousand rewrites."""
    three.user.apply(NAMESPACE, {"metadata": {"name": "team-z"}})
    three.policy(DENY, namespace="team-z")
    three.step()
    three.keys.set("inside", TRACKING_URI="http://other.ml")
    change(three)
    three.refresh()

    assert three.egress_controller.queue.get(0) == "team-z"


def test_a_server_on_its_nodes_network_is_reached_by_address(
    three: EgressWorld,
) -> None:
    """No selector matches its pods; the finding says what some engines need."""
    address = {"type": "InternalIP", "address": "192.0.2.10"}
    node = {"metadata": {"name": "n1"}, "status": {"addresses": [address]}}
    three.user.apply(NODE, node)
    three.endpoints("mlflow", "ml", "192.0.2.10", port=80)
    three.step(10)
    blocks = [
        peer["ipBlock"]["cidr"]
        for rule in three.ours("team-b")[0]["spec"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
    ]

    assert "192.0.2.10/32" in blocks
    assert EgressReason.NODE_ADDRESS in {
        f.reason for f in three.result("team-b").findings
    }


def test_without_the_right_to_nodes_addresses_are_permitted_beside_the_selector(
    three: EgressWorld,
) -> None:
    """The right is optional; a server on its node's network is reached all the same."""
    three.cluster.forbid(lambda call: call.kind == NODE)
    three.endpoints("mlflow", "ml", "192.0.2.10", port=80)
    three.restart()
    three.step()

    assert "192.0.2.10/32" in str(three.ours("team-b"))


def test_half_a_picture_changes_nothing(world: EgressWorld) -> None:
    """Before everything was listed, what is there stays."""
    world.policy(DENY)
    world.label("team-gone")
    world.policy(DENY, namespace="team-gone")
    world.step()
    world.label("team-gone", on=False)
    before = world.writes()
    world.cluster.fail(
        lambda c: (c.verb, c.kind) == ("list", SERVICE), Unavailable("not now")
    )
    world.restart()
    world.step(60)
    meanwhile = world.writes(), world.egress_controller.results.items()
    world.cluster.allow_all()
    world.step()

    assert meanwhile == (before, {})
    assert world.result().reason is EgressReason.EGRESS_READY
    assert world.ours("team-gone") == []


def test_an_excluded_namespace_gets_nothing(world: EgressWorld) -> None:
    """And loses what it had."""
    world.policy(DENY)
    world.step()
    world.excluded = ("team-a",)
    world.restart()
    world.step()

    assert (world.ours(), world.egress_controller.results.items()) == ([], {})


def test_a_namespace_that_goes_is_left_to_go(world: EgressWorld) -> None:
    """Its pods still end; its policies go with it."""
    world.policy(DENY)
    world.step()
    world.cluster.terminate("team-a")
    world.step()

    assert len(world.ours()) == 1
    assert world.egress_controller.results.items() == {}


def test_what_is_common_is_built_once_for_all(
    three: EgressWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand namespaces must not copy what is known of names a thousand times."""
    built = []
    addresses = three.dns.addresses

    def counted() -> object:
        built.append(1)
        return addresses()

    monkeypatch.setattr(three.dns, "addresses", counted)
    for name in ("team-a", "team-b", "team-c"):
        three.policy(WORKERS, "more", name)
    three.refresh()
    three.run()

    assert built == []
