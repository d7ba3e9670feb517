"""Fixtures: one node for the session, in the enclosure that `.ci/run e2e` made.

What is slow to make is made once, by the first test that asks for it. Each module has
a release of its own, so that none sees what another one left behind.
"""

import os
from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, prepare
from tests.e2e.tracking import TrackingServer
from tests.lab import task_image
from tests.lab.build import Toolbox
from tests.lab.node import Node
from tests.lab.operators import KubeRay


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """A node that the session's tests share."""
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    node = Node.start(toolbox, toolbox.cache / "node")
    prepare(node)
    yield node
    node.stop()


@pytest.fixture(scope="module")
def installation(node: Node) -> Iterator[Installation]:
    """A release for the module's tests, with its chart's defaults and one source."""
    release = Installation.install(node, {})
    yield release
    release.remove()


@pytest.fixture(scope="session")
def tasks_image(node: Node) -> None:
    """The image of task pods and tracking servers: nothing pulls it."""
    node.load(task_image.archive(node.plane.toolbox))


@pytest.fixture(scope="session")
def tracking(node: Node, tasks_image: None) -> TrackingServer:
    """The tracking server, where the release's source says it is."""
    return TrackingServer.start(node)


@pytest.fixture(scope="session")
def kuberay(node: Node, tasks_image: None) -> Iterator[KubeRay]:
    """A running KubeRay, whose objects in the cluster can be made once only."""
    operator = KubeRay.start(node.plane, "1.6")
    yield operator
    operator.stop()
