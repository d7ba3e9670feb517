"""Fixtures: one healthy installation for the whole suite of faults."""

from collections.abc import Iterator

import pytest

from tests.cluster.doctor.world import World
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options


@pytest.fixture(name="world", scope="package")
def _world(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    plane = ControlPlane.start(
        toolbox, tmp_path_factory.mktemp("plane"), Options(aggregator_routing=True)
    )
    world = None
    try:
        world = World(plane, tmp_path_factory.mktemp("world"))
        yield world
    finally:
        if world is not None:
            world.stop()
        plane.stop()
