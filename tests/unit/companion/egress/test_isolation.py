"""A namespace that is closed on purpose."""

import pytest

from tests.unit.companion.egress.egress_world import EgressWorld
from webhook.egress.baseline import Baseline, parse_baseline
from webhook.egress.dns_cache import DnsOutcome
from webhook.egress.mode import EgressMode
from webhook.egress.own_policy import ISOLATING_NAME
from webhook.egress.reasons import EgressReason

BASELINE = (
    '{"peers": "namespace", "apiServer": ["kubernetes.default.svc"],'
    ' "storage": ["s3.example.org"], "michelangelo": ["10.0.9.9:443"]}'
)


@pytest.fixture
def world() -> EgressWorld:
    """A labeled namespace, a declared baseline, and all of it resolvable."""
    made = EgressWorld()
    made.label("team-a")
    made.zone.records["s3.example.org"] = ("203.0.113.30",)
    made.apply_api_server()
    made.baseline = parse_baseline(BASELINE, "B")
    made.restart(EgressMode.ISOLATE)
    return made


def test_isolate_is_refused_without_a_baseline(world: EgressWorld) -> None:
    """Nobody said what must stay reachable; everybody is told so."""
    world.baseline = Baseline()
    world.restart(EgressMode.ISOLATE)
    world.step()

    assert (world.ours(), world.result().reason) == ([], EgressReason.BASELINE_MISSING)
    assert world.events() == [
        (
            "BaselineMissing",
            "team-a",
            "Nothing is closed before the baseline names peers, apiServer, storage,"
            " michelangelo.",
        )
    ]


def test_a_closed_namespace_keeps_everything_that_is_declared(
    world: EgressWorld,
) -> None:
    """The tracking server, DNS, peers, the API server, storage, Michelangelo."""
    world.step()
    (closed,) = world.ours()
    rules = closed["spec"]["egress"]
    blocks = {
        p["ipBlock"]["cidr"]: r["ports"][0]["port"]
        for r in rules
        for p in r["to"]
        if "ipBlock" in p
    }

    assert closed["metadata"]["name"] == ISOLATING_NAME
    assert blocks == {
        "203.0.113.7/32": 443,
        "203.0.113.30/32": 443,
        "10.0.9.9/32": 443,
        "10.0.0.1/32": 443,
        "172.18.0.2/32": 6443,
        "10.0.0.10/32": 53,
    }
    assert {"podSelector": {}} in [peer for rule in rules for peer in rule["to"]]


def test_nothing_is_closed_before_all_of_it_is_known(world: EgressWorld) -> None:
    """A store that does not resolve yet would be out of reach."""
    world.zone.records["s3.example.org"] = DnsOutcome.SERVFAIL
    world.step()
    before = world.ours()
    world.zone.records["s3.example.org"] = ("203.0.113.30",)
    world.step(5)

    assert before == []
    assert len(world.ours()) == 1


def test_a_lookup_that_fails_later_opens_and_closes_nothing(world: EgressWorld) -> None:
    """What was known is what counts."""
    world.step()
    before = world.ours()
    world.zone.records["s3.example.org"] = DnsOutcome.TIMEOUT
    world.step(600)

    assert world.ours() == before


def test_a_namespace_may_narrow_it_to_additive(world: EgressWorld) -> None:
    """Then the baseline is none of its business."""
    world.label("team-a", egress="additive")
    world.policy("{podSelector: {}, policyTypes: [Egress]}")
    world.step()

    assert world.opened() == ["203.0.113.7/32"]


def test_without_a_server_the_baseline_alone_is_kept(world: EgressWorld) -> None:
    """A local tracking URI does not open a namespace that was to be closed."""
    world.keys.set("default", TRACKING_URI="file:/tmp/runs")
    world.restart(EgressMode.ISOLATE)
    world.step()

    assert [body["metadata"]["name"] for body in world.ours()] == [ISOLATING_NAME]
