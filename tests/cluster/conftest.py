"""Fixtures: one control plane and one webhook for the whole session."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster.injector import Injector
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane


@pytest.fixture(scope="session")
def toolbox() -> Toolbox:
    """The lab's programs."""
    return Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point


@pytest.fixture(scope="session")
def plane(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane that the session's tests share; each makes its namespaces."""
    plane = ControlPlane.start(toolbox, tmp_path_factory.mktemp("plane"))
    yield plane
    plane.stop()


@pytest.fixture(scope="module")
def own_plane(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """One of a module's own, where it counts calls, restarts it or sees all of it."""
    plane = ControlPlane.start(toolbox, tmp_path_factory.mktemp("own"))
    yield plane
    plane.stop()


@pytest.fixture(scope="session")
def injector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Injector]:
    """The webhook's process, registered nowhere yet."""
    injector = Injector(tmp_path_factory.mktemp("injector"))
    yield injector
    injector.stop()
