"""What the companion writes about egress, when, and what it leaves alone."""

import json

import pytest

from tests.unit.companion.egress.world import DENY, WORKERS, World
from webhook.cluster.errors import Forbidden
from webhook.cluster.resources import CONFIG_MAP, NAMESPACE, NETWORK_POLICY
from webhook.companion.egress.farewell import Farewell
from webhook.egress.dns_cache import DnsOutcome
from webhook.egress.mode import EgressMode
from webhook.egress.reasons import EgressReason
from webhook.injection.names import INJECT_LABEL, PROFILE_LABEL


@pytest.fixture
def world() -> World:
    """With one labeled namespace."""
    made = World()
    made.label("team-a")
    return made


def words(world: World) -> set[EgressReason]:
    """What is found about team-a."""
    return {f.reason for f in world.report().findings}


def test_an_open_namespace_gets_no_policy(world: World) -> None:
    """Whatever is written there would cut traffic."""
    world.step()

    assert (world.ours(), world.report().reason) == ([], EgressReason.NOT_ISOLATED)


def test_a_default_deny_gets_a_shadow_that_goes_with_it(world: World) -> None:
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


def test_nothing_is_written_when_nothing_changed(world: World) -> None:
    """Hours of steps and lookups cost no request but the watches'."""
    world.policy(DENY)
    world.step()
    before = world.writes()
    for _ in range(60):
        world.step(60)

    assert world.writes() == before


def test_a_narrowed_selector_moves_the_shadow_in_the_same_step(world: World) -> None:
    """A pod that was let go must not stay isolated by us."""
    world.policy(DENY)
    world.step()
    wide = world.ours()[0]["metadata"]["name"]
    world.policy(WORKERS)
    world.step()
    (narrow,) = world.ours()

    assert narrow["metadata"]["name"] != wide
    assert world.egress.writer.orphans() == 0
    assert narrow["spec"]["podSelector"]["matchLabels"]["ray.io/node-type"] == "worker"


def test_a_shadow_of_two_policies_goes_with_the_last(world: World) -> None:
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


def test_policies_come_and_go_faster_than_rewrites_are_paced(world: World) -> None:
    """A job's policies are followed at once, whatever was written before."""
    for name in ("head", "small", "large"):
        spec = (
            f"{{podSelector: {{matchLabels: {{ray.io/group: {name}}}}},"
            " policyTypes: [Egress]}"
        )
        world.policy(spec, name)
        world.step()

    assert len(world.ours()) == 3


def test_rewrites_for_new_addresses_are_paced(world: World) -> None:
    """One a namespace in five seconds."""
    world.policy(DENY)
    world.step()
    zone = world.zone.records
    zone["mlflow.example.org"] = ("203.0.113.8",)
    world.step(60)
    first = world.opened()
    world.policy(DENY, "other")
    pause = world.step(1)
    owners = world.ours()[0]["metadata"]["ownerReferences"]

    assert first == ["203.0.113.7/32", "203.0.113.8/32"]
    assert (pause, len(owners)) == (4.0, 1)
    world.step(4)
    assert len(world.ours()[0]["metadata"]["ownerReferences"]) == 2


@pytest.mark.parametrize(
    "outcome", [o for o in DnsOutcome if o is not DnsOutcome.NOERROR]
)
def test_failed_lookups_take_nothing_away(world: World, outcome: DnsOutcome) -> None:
    """For a day, and over a restart."""
    world.policy(DENY)
    world.step()
    world.zone.records["mlflow.example.org"] = outcome
    for _ in range(24):
        world.step(3600)
    world.restart()
    world.step(3600)

    assert world.opened() == ["203.0.113.7/32"]
    assert words(world) == {EgressReason.RESOLUTION_STALE}


def test_a_first_lookup_that_fails_has_no_rule_and_the_next_one_has(
    world: World,
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


def test_a_restart_writes_nothing(world: World) -> None:
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


def test_an_edited_memory_is_told_and_begun_anew(world: World) -> None:
    """It is only a memory."""
    meta = {"name": "tracking-injector-addresses", "namespace": "release"}
    world.user.apply(CONFIG_MAP, {"metadata": meta, "data": {"addresses.json": "[]"}})
    world.policy(DENY)
    world.step()

    assert "memory-unreadable" in world.log.events()
    assert world.opened() == ["203.0.113.7/32"]


@pytest.mark.parametrize("how", ["unlabel", "off", "observe"])
def test_a_namespace_that_is_switched_off_loses_our_policies(
    world: World, how: str
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


def test_observe_reports_what_it_would_write(world: World) -> None:
    """And writes nothing."""
    world.restart(EgressMode.OBSERVE)
    world.policy(DENY)
    world.step()

    assert (world.ours(), world.report().policies) == ([], 1)


def test_a_policy_that_only_looks_like_ours_is_left_alone(world: World) -> None:
    """Its name is, its label is not."""
    world.policy(WORKERS, "mti-egress-of-somebody")
    world.label("team-a", on=False)
    world.step()

    assert [b["metadata"]["name"] for b in world.ours()] == ["mti-egress-of-somebody"]


def test_without_keys_what_is_there_stays(world: World) -> None:
    """The source went away while the companion was down."""
    world.policy(DENY)
    world.step()
    world.keys = None
    world.restart()
    world.step()

    assert world.opened() == ["203.0.113.7/32"]


def test_without_keys_a_shadow_whose_policy_went_goes_too(world: World) -> None:
    """Staying would isolate its pods."""
    world.policy(DENY)
    world.step()
    world.keys = None
    world.restart()
    world.delete()
    world.step()

    assert world.ours() == []


def test_without_keys_a_shadow_wider_than_its_policy_goes_too(world: World) -> None:
    """The policy was narrowed; the pods it let go must not stay isolated."""
    world.policy(DENY)
    world.step()
    world.keys = None
    world.restart()
    world.policy(WORKERS)
    world.step()

    assert world.ours() == []


def test_a_profile_that_does_not_exist_changes_nothing(world: World) -> None:
    """Somebody mistyped a label."""
    world.policy(DENY)
    world.step()
    labels = {INJECT_LABEL: "enabled", PROFILE_LABEL: "defualt"}
    world.user.apply(NAMESPACE, {"metadata": {"name": "team-a", "labels": labels}})
    world.step()

    assert world.opened() == ["203.0.113.7/32"]


def test_a_namespace_that_refuses_does_not_keep_others_waiting(world: World) -> None:
    """A quota or an admission policy of one team."""
    world.label("team-b")
    world.policy(DENY)
    world.policy(DENY, namespace="team-b")
    call = ("apply", NETWORK_POLICY, "team-a")
    world.step(0)
    for name in ("team-a", "team-b"):
        world.user.delete(NETWORK_POLICY, world.ours(name)[0]["metadata"]["name"], name)
    world.cluster.forbid(lambda c: (c.verb, c.kind, c.key.namespace) == call)
    with pytest.raises(Forbidden):
        world.step()

    assert (world.ours(), len(world.ours("team-b"))) == ([], 1)


def test_a_standby_writes_and_deletes_nothing(world: World) -> None:
    """Whoever leads does."""
    world.policy(DENY)
    world.step()
    world.delete()
    world.leads = False
    world.step()

    assert len(world.ours()) == 1


def test_a_shadow_that_goes_by_itself_meanwhile_is_no_failure(world: World) -> None:
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


def test_uninstalling_takes_all_of_ours_and_only_ours(world: World) -> None:
    """In every namespace."""
    world.label("team-b")
    world.policy(DENY)
    world.policy(DENY, namespace="team-b")
    world.step()

    assert Farewell(world.means).remove_all() == 2
    assert world.ours() == world.ours("team-b") == []
    assert world.user.get(NETWORK_POLICY, "deny", "team-a")


def test_no_value_of_a_key_is_told(world: World) -> None:
    """Neither in objects nor in the log nor in the status."""
    world.keys = {"TRACKING_URI": "https://user:canary-value@mlflow.example.org/canary"}
    world.policy(DENY)
    world.step()
    told = json.dumps([world.ours(), world.egress.section(), world.log.lines])

    assert world.opened() == ["203.0.113.7/32"]
    assert "canary" not in told


def test_a_server_that_keys_no_longer_name_stays_for_a_grace_period(
    world: World,
) -> None:
    """Pods that run dial the one they were started with."""
    world.policy(DENY)
    world.step()
    world.keys = {"TRACKING_URI": "https://other.example.org"}
    world.zone.records["other.example.org"] = ("203.0.113.9",)
    pause = world.step(60)
    both = world.opened()
    world.step(6 * 3600 - 1)
    within = world.opened()
    world.step(1)

    assert both == within == ["203.0.113.7/32", "203.0.113.9/32"]
    assert world.opened() == ["203.0.113.9/32"]
    assert pause == 6 * 3600


def test_a_name_is_forgotten_a_grace_period_after_nobody_wants_it(
    world: World,
) -> None:
    """Its addresses stay that long in memory."""
    world.step()
    world.keys = {"TRACKING_URI": "https://other.example.org"}
    world.zone.records["other.example.org"] = ("203.0.113.9",)
    world.step(60)
    for _ in range(12):
        world.step(3600)
    within = set(world.names.known())
    world.step(3600)

    assert within == {"mlflow.example.org", "other.example.org"}
    assert set(world.names.known()) == {"other.example.org"}


def test_all_shadows_of_a_namespace_are_rewritten_in_one_round(world: World) -> None:
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


def test_what_is_remembered_is_written_at_most_every_five_seconds(
    world: World,
) -> None:
    """While a pool is still being learned."""
    world.zone.ttl = 1.0
    world.step()
    written = []
    for number in range(8, 14):
        world.zone.records["mlflow.example.org"] = (f"203.0.113.{number}",)
        before = world.writes()
        world.step(10 if number % 2 else 0)
        written.append(world.writes() - before)

    assert max(written) == 1
    assert len(world.remembered("mlflow.example.org")) == 4
