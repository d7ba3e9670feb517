"""Fixtures: control planes that serve the policy, and all choices on them."""

from collections.abc import Iterator

import pytest

from tests.cluster.in_tree.ways import Ways
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options
from tests.lab.tools import NEWEST, WITH_IN_TREE_MUTATION, kubernetes

RELEASES = (NEWEST, WITH_IN_TREE_MUTATION)
"""Of Kubernetes, by the suffix of their programs: those that serve the policy."""


@pytest.fixture(scope="module", params=RELEASES, ids=kubernetes)
def serving_plane(
    request: pytest.FixtureRequest,
    toolbox: Toolbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ControlPlane]:
    """A control plane of each release that serves the policy."""
    options = Options(release=request.param)
    folder = tmp_path_factory.mktemp("serving")
    plane = ControlPlane.start(toolbox, folder, options)
    yield plane
    plane.stop()


@pytest.fixture(scope="module")
def ways(
    serving_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ways]:
    """Every choice of an operator, made in every way."""
    ways = Ways(serving_plane, tmp_path_factory.mktemp("webhooks"))
    yield ways
    ways.stop()
