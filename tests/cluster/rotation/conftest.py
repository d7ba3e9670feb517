"""Fixtures: one installation for every test of rotation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.cluster.injector import COMPUTE
from tests.cluster.rotation.installation import NAMESPACE, Installation
from tests.lab.control_plane import ControlPlane, Options
from tests.lab.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.build import Toolbox


@pytest.fixture(name="installed", scope="package")
def _installed(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Three webhooks and a companion, on an API server of their own."""
    plane = ControlPlane.start(
        toolbox, tmp_path_factory.mktemp("plane"), Options(aggregator_routing=True)
    )
    installed = None
    try:
        installed = Installation(plane, tmp_path_factory.mktemp("installed"))
        plane.namespace(NAMESPACE, COMPUTE)
        installed.start_companion()
        wait_for("the first certificate", installed.is_settled, seconds=60)
        wait_for("the mounts", installed.are_ready, seconds=30)
        time.sleep(2)  # the webhooks look at their mounts every second
        yield installed
    finally:
        if installed is not None:
            installed.stop()
        plane.stop()
