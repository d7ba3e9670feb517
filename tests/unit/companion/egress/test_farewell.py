"""Egress switched off takes away what an earlier mode left, and nothing else."""

import pytest

from tests.unit.companion.egress.world import DENY, WORKERS, World
from webhook.cluster.errors import Unavailable
from webhook.cluster.resources import NETWORK_POLICY
from webhook.companion.egress.farewell import Farewell


@pytest.fixture
def world() -> World:
    """With a shadow in one namespace."""
    made = World()
    made.label("team-a")
    made.policy(DENY)
    made.step()
    return made


def test_what_is_ours_goes_and_the_rest_stays(world: World) -> None:
    """By label and by name, both."""
    world.policy(WORKERS, "mti-egress-of-somebody")
    farewell = Farewell(world.means)
    farewell.step(world.now)

    assert [b["metadata"]["name"] for b in world.ours()] == ["mti-egress-of-somebody"]
    assert world.user.get(NETWORK_POLICY, "deny", "team-a")
    assert farewell.section()["mode"] == "off"
    assert "problem" not in farewell.section()


def test_it_looks_once(world: World) -> None:
    """Then nothing is asked any more."""
    farewell = Farewell(world.means)
    farewell.step(world.now)
    before = len(world.cluster.calls)
    farewell.step(world.now)

    assert len(world.cluster.calls) == before


def test_a_missing_right_is_said_once_and_not_tried_again(world: World) -> None:
    """Whether something is left is not known then."""
    world.cluster.forbid(lambda call: call.kind == NETWORK_POLICY)
    farewell = Farewell(world.means)
    farewell.step(world.now)
    farewell.step(world.now)

    assert world.log.events().count("egress-policies-unknown") == 1
    assert "right is missing" in farewell.section()["problem"]


def test_an_outage_is_tried_again(world: World) -> None:
    """The loop comes back to it."""
    farewell = Farewell(world.means)
    world.cluster.outage = True
    with pytest.raises(Unavailable):
        farewell.step(world.now)
    world.cluster.outage = False
    farewell.step(world.now)

    assert world.ours() == []


def test_what_goes_by_itself_meanwhile_is_no_failure(world: World) -> None:
    """Garbage collection is as fast."""
    name = world.ours()[0]["metadata"]["name"]
    world.cluster.meanwhile(
        "delete", lambda: world.user.delete(NETWORK_POLICY, name, "team-a")
    )

    assert Farewell(world.means).remove_all() == 1
    assert world.ours() == []
