"""What the pre-delete hook takes away, and in which order."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.unit.companion.world import World
from webhook.cluster.errors import Forbidden
from webhook.cluster.interface import ObjectKey
from webhook.cluster.leader_election import LeaderElector
from webhook.cluster.resources import SECRET, WEBHOOK_CONFIGURATION
from webhook.companion.uninstall import remove_all

CONFIGURATION = "tracking-injector"


@pytest.fixture(name="world")
def _world() -> World:
    """Two namespaces with mirrors, and a webhook that API servers ask."""
    world = World()
    for name in ("a", "b"):
        world.label(name)
    world.step()
    world.user.create(WEBHOOK_CONFIGURATION, {"metadata": {"name": CONFIGURATION}})
    return world


def lead(world: World, identity: str) -> LeaderElector:
    """A candidate for the companion's Lease."""
    return LeaderElector(
        world.cluster.client(),
        ObjectKey("release", "companion"),
        identity,
        clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
        wake=lambda: None,
    )


def uninstall(world: World, wait: Callable[[float], object]) -> dict[str, str]:
    """Run it beside a companion that leads; what is left."""
    leader = lead(world, "one")
    leader.step()
    left = remove_all(
        world.means,
        world.observed.mirrors,
        lead(world, "uninstall"),
        configuration=CONFIGURATION,
        wait=wait,
    )
    leader.step()
    assert not leader.is_leader
    return left


def test_every_mirror_of_ours_goes(world: World) -> None:
    """A foreign Secret of the name stays."""
    world.label("foreign")
    world.secret("michelangelo-tracking", "foreign", THEIRS="1")

    left = uninstall(world, lambda _: None)

    assert left == {}
    assert [world.mirror(n) for n in ("a", "b", "foreign")] == [
        None,
        None,
        {"THEIRS": "1"},
    ]


def test_the_webhook_goes_before_the_first_mirror(world: World) -> None:
    """Whatever pod still got a reference got it while its mirror was there."""
    waits: list[float] = []
    uninstall(world, waits.append)
    deleted = [call.kind for call in world.cluster.calls if call.verb == "delete"]

    assert [WEBHOOK_CONFIGURATION, SECRET, SECRET] == deleted
    assert waits[0] == 4.0


def test_without_the_right_to_the_webhook_every_mirror_stays(world: World) -> None:
    """A pod that still gets a reference must find what it refers to."""
    world.cluster.forbid(
        lambda call: call.verb == "delete" and call.kind == WEBHOOK_CONFIGURATION
    )

    with pytest.raises(Forbidden):
        remove_all(
            world.means,
            world.observed.mirrors,
            lead(world, "uninstall"),
            configuration=CONFIGURATION,
            wait=lambda _: None,
        )

    assert None not in [world.mirror(name) for name in ("a", "b")]
