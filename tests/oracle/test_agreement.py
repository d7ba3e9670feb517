"""Packet by packet, our evaluation says what other implementations say.

Where they are known to differ, `test_disagreements` has the smallest world for it.
"""

from hypothesis import HealthCheck, given, settings

from tests.oracle.judges import Judge
from tests.oracle.packets import by_analyzer, by_engine, disagreements, packets, passes
from tests.oracle.worlds import World, worlds

_SETTINGS = settings(
    max_examples=2000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@_SETTINGS
@given(world=worlds())
def test_kindnets_engine_agrees_on_every_packet(engine: Judge, world: World) -> None:
    """Addresses of pods, of the host and of the outside; blocks match them all."""
    policies = world.read_policies()
    asked = list(packets(world))
    ours = [passes(policies, packet, blocks_match_pods=True) for packet in asked]

    theirs = by_engine(engine, world, asked, world.policies)

    assert disagreements(asked, ours, theirs) == []


@_SETTINGS
@given(world=worlds())
def test_the_analyzer_agrees_on_every_connection(analyzer: Judge, world: World) -> None:
    """Blocks match the outside only; it knows nothing of the host's network."""
    policies = world.read_policies()
    asked = [p for p in packets(world) if p.pod is None or not p.pod.host_network]
    ours = [passes(policies, packet, blocks_match_pods=False) for packet in asked]

    theirs = by_analyzer(analyzer, world, asked, world.policies)

    assert disagreements(asked, ours, theirs) == []
