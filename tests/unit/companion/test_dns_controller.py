"""What is known of names, and that a name fails alone."""

from ipaddress import ip_address

import pytest

from tests.unit.companion.egress.egress_world import DENY, HOME, EgressWorld
from webhook.cluster.errors import ClusterError, Forbidden, Unavailable
from webhook.cluster.resources import CONFIG_MAP
from webhook.companion.dns_controller import CACHE
from webhook.egress.destinations import load_former
from webhook.egress.dns_cache import (
    DnsAnswer,
    DnsOutcome,
    dump_cache,
    load_cache,
    update,
)
from webhook.egress.reasons import EgressReason

NAME = "mlflow.example.org"
OTHER = "other.example.org"


@pytest.fixture
def world() -> EgressWorld:
    """Return a labeled namespace that denies egress, and one with another server."""
    made = EgressWorld()
    made.label("team-a")
    made.policy(DENY)
    made.label("team-b", profile="other")
    made.policy(DENY, namespace="team-b")
    made.keys.set("other", TRACKING_URI=f"https://{OTHER}")
    made.zone.records[OTHER] = ("203.0.113.9",)
    return made


@pytest.mark.parametrize(
    "name", ["a" * 64 + ".example.org", "a..example.org", ".".join(["a" * 60] * 5)]
)
def test_a_name_that_dns_libraries_refuse_stops_no_other(
    world: EgressWorld, name: str
) -> None:
    """Whatever the keys say, the names after it are looked up."""
    world.keys.set("default", TRACKING_URI=f"https://{name}")
    world.step()

    assert world.opened("team-b") == ["203.0.113.9/32"]
    assert world.result("team-a").reason is not EgressReason.EGRESS_READY


def test_a_lookup_that_raises_is_its_names_error(world: EgressWorld) -> None:
    """It is tried again, and whoever waits for it is told."""
    world.zone.records[NAME] = RuntimeError("a fault of ours")
    world.step()
    failed = world.dns_results.results.get(NAME)
    unresolved, open_meanwhile = world.result("team-a"), world.opened("team-b")
    world.zone.records[NAME] = ("203.0.113.7",)
    world.step(15)

    assert failed is not None
    assert isinstance(failed.error, RuntimeError)
    assert (unresolved.reason, unresolved.waiting) == (EgressReason.UNRESOLVED, False)
    assert open_meanwhile == ["203.0.113.9/32"]
    assert world.opened("team-a") == ["203.0.113.7/32"]


def test_only_who_needs_a_name_is_queued_when_it_changes(world: EgressWorld) -> None:
    """A rotating pool costs its own namespaces."""
    world.step()
    world.zone.records[NAME] = ("203.0.113.8",)
    world.now = world.now.replace(minute=world.now.minute + 2)
    while world.dns_results.step():
        pass

    assert world.egress_controller.queue.get(0) == "team-a"
    assert world.egress_controller.queue.get(0) is None


def test_a_lookup_that_brings_nothing_new_queues_nobody(world: EgressWorld) -> None:
    """An idle cluster costs no reconcile."""
    world.step()
    world.now = world.now.replace(minute=world.now.minute + 2)
    while world.dns_results.step():
        pass

    assert world.egress_controller.queue.get(0) is None


def test_a_name_is_looked_up_as_often_as_its_ttl_says(world: EgressWorld) -> None:
    """However many namespaces come to need it meanwhile."""
    world.step()
    for number in range(5):
        world.label(f"more-{number}")
        world.step(5)
    before = world.zone.asked.count(NAME)
    world.step(40)

    assert (before, world.zone.asked.count(NAME)) == (1, 2)


def test_a_result_tells_what_is_known_of_a_name(world: EgressWorld) -> None:
    """The number of addresses, the last success, and what is amiss."""
    world.step()
    start = world.now
    world.zone.records[NAME] = ("203.0.113.8",)
    world.step(60)
    world.zone.records[NAME] = DnsOutcome.SERVFAIL
    world.step(60)
    result = world.dns_results.results.get(NAME)

    assert result is not None
    assert (result.addresses, result.reason, result.detail) == (
        2,
        EgressReason.RESOLUTION_STALE,
        "SERVFAIL",
    )
    assert (result.succeeded, world.dns.rotations) == (
        start.replace(minute=start.minute + 1),
        1,
    )
    assert world.dns.lookups()[DnsOutcome.SERVFAIL] == 1


def test_a_dead_replica_is_counted_and_the_policy_is_written(
    world: EgressWorld,
) -> None:
    """The others answer for it."""
    world.zone.dead = 1
    world.step()

    assert world.dns.lookups() == {DnsOutcome.NOERROR: 2, DnsOutcome.TIMEOUT: 2}
    assert world.opened() == ["203.0.113.7/32"]


def test_a_name_is_forgotten_a_grace_period_after_nobody_needs_it(
    world: EgressWorld,
) -> None:
    """Its addresses stay that long: pods that run still dial it."""
    world.step()
    world.label("team-b", on=False)
    world.step()
    world.step(6 * 3600 - 1)
    within = set(world.dns.addresses())
    world.step(2)

    assert within == {NAME, OTHER}
    assert set(world.dns.addresses()) == {NAME}
    assert world.dns_results.results.get(OTHER) is None


def test_a_name_needed_again_within_its_grace_is_looked_up_at_once(
    world: EgressWorld,
) -> None:
    """What it resolved to hours ago may be wrong by now."""
    world.step()
    world.label("team-b", on=False)
    world.step(3600)
    world.zone.records[OTHER] = ("203.0.113.10",)
    world.label("team-b", profile="other")
    world.step(1)

    assert world.opened("team-b") == ["203.0.113.9/32", "203.0.113.10/32"]


def test_a_name_needed_again_at_once_is_not_looked_up_again(
    world: EgressWorld,
) -> None:
    """Its answer still holds."""
    world.step()
    world.label("team-b", on=False)
    world.step(1)
    world.label("team-b", profile="other")
    world.step(1)

    assert world.zone.asked.count(OTHER) == 1


def test_a_saved_name_that_nobody_needs_after_a_restart_expires(
    world: EgressWorld,
) -> None:
    """Its grace period begins when the cache is loaded."""
    world.step()
    world.label("team-b", on=False)
    world.restart()
    world.step()
    world.step(6 * 3600 - 1)
    within = set(world.dns.addresses())
    world.step(2)

    assert within == {NAME, OTHER}
    assert set(world.dns.addresses()) == {NAME}


def test_who_no_longer_leads_saves_nothing_and_does_not_spin(
    world: EgressWorld,
) -> None:
    """It is tried again later, should it lead by then."""
    world.step()
    world.zone.records[NAME] = ("203.0.113.8",)
    world.now = world.now.replace(minute=world.now.minute + 2)
    world.leads = False
    while world.dns_results.step():
        pass

    assert world.saved(NAME) == ["203.0.113.7"]
    assert world.dns_results.queue.get(0) is None


def test_who_leads_again_takes_over_what_another_leader_saw(
    world: EgressWorld,
) -> None:
    """Its addresses stay permitted for their grace period, as do one's own."""
    world.step()
    names = load_cache(world.user.get(CONFIG_MAP, HOME.name, HOME.namespace))
    answer = DnsAnswer(world.now, DnsOutcome.NOERROR, (ip_address("203.0.113.8"),))
    names[NAME] = update(names[NAME], answer, world.options.limits)
    meta = {"name": HOME.name, "namespace": HOME.namespace}
    world.user.apply(CONFIG_MAP, {"metadata": meta, "data": dump_cache(names)})
    world.zone.records[NAME] = ("203.0.113.9",)
    world.terms = 2
    world.step(120)

    assert world.opened() == ["203.0.113.7/32", "203.0.113.8/31"]
    assert world.saved(NAME) == ["203.0.113.7", "203.0.113.8", "203.0.113.9"]


def test_a_server_that_keys_named_until_lately_is_saved_too(
    world: EgressWorld,
) -> None:
    """Whoever plans what the companion plans reads it there, until its time is over."""
    world.step()
    world.keys.set("default", TRACKING_URI=f"https://{OTHER}")
    world.step(10)
    body = world.user.get(CONFIG_MAP, HOME.name, HOME.namespace)
    within = load_former(body)
    world.step(6 * 3600)
    world.step(10)
    body = world.user.get(CONFIG_MAP, HOME.name, HOME.namespace)

    assert [one.text for one in within["default"]] == [f"{NAME}:443"]
    assert load_former(body) == {}


def test_what_is_known_is_saved_at_most_every_five_seconds(world: EgressWorld) -> None:
    """While a pool is still being learned."""
    world.zone.ttl = 1.0
    world.step()
    saves = []
    for number in range(8, 14):
        world.zone.records[NAME] = (f"203.0.113.{number}",)
        before = _saves(world)
        world.step(10 if number % 2 else 2)
        saves.append(_saves(world) - before)
    world.step(10)

    assert max(saves) == 1
    assert len(world.saved(NAME)) == 4


def test_a_save_that_is_refused_is_noticed_and_tried_again(world: EgressWorld) -> None:
    """Nothing else waits for it."""
    world.step()
    world.zone.records[NAME] = ("203.0.113.8",)
    fail(world, "apply", Forbidden("no"))
    world.step(60)
    refused = world.dns_results.results.get(CACHE)
    told = [(reason, name) for reason, name, _ in world.events()]
    world.cluster.allow_all()
    world.step(15)

    assert refused is not None
    assert refused.reason is EgressReason.WRITE_REFUSED
    assert told == [("WriteRefused", HOME.name)]
    assert world.opened() == ["203.0.113.7/32", "203.0.113.8/32"]
    assert len(world.saved(NAME)) == 2
    assert world.dns_results.results.get(CACHE) is None


def test_nothing_is_decided_before_the_cache_is_loaded(world: EgressWorld) -> None:
    """A first answer of a rotating pool is less than what was permitted before."""
    world.zone.records[NAME] = ("203.0.113.7", "203.0.113.8")
    world.step()
    world.zone.records[NAME] = ("203.0.113.8",)
    fail(world, "get", Unavailable("no"))
    world.restart()
    world.step(60)
    waiting = world.result()
    before = world.opened()
    world.cluster.allow_all()
    world.step(15)

    assert waiting.waiting
    assert before == world.opened() == ["203.0.113.7/32", "203.0.113.8/32"]
    assert not world.result().waiting


@pytest.mark.parametrize("text", ["[]", "{", '{"a.example": {}}', '{"a.example": 1}'])
def test_a_cache_that_cannot_be_read_is_logged_and_begun_anew(
    world: EgressWorld, text: str
) -> None:
    """It is only a cache."""
    meta = {"name": HOME.name, "namespace": HOME.namespace}
    world.user.apply(CONFIG_MAP, {"metadata": meta, "data": {"addresses.json": text}})
    world.step()

    assert "dns-cache-unreadable" in world.log.events()
    assert world.opened() == ["203.0.113.7/32"]


def test_a_cache_that_may_not_be_read_is_logged_and_begun_anew(
    world: EgressWorld,
) -> None:
    """Without the right, egress works all the same."""
    fail(world, "get", Forbidden("no"))
    world.step()

    assert "dns-cache-unreadable" in world.log.events()
    assert world.opened() == ["203.0.113.7/32"]


def test_an_idle_day_saves_only_the_times(world: EgressWorld) -> None:
    """Once in a quarter of the grace period."""
    world.step()
    before = _saves(world)
    for _ in range(24 * 6):
        world.step(600)

    assert _saves(world) - before <= 16


def fail(world: EgressWorld, verb: str, error: ClusterError) -> None:
    """Let a verb fail for the cache's ConfigMap."""
    world.cluster.fail(lambda c: (c.verb, c.kind) == (verb, CONFIG_MAP), error)


def _saves(world: EgressWorld) -> int:
    calls = world.cluster.calls
    return sum((call.verb, call.kind) == ("apply", CONFIG_MAP) for call in calls)
