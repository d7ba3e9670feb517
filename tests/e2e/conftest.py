"""Fixtures: one node and one release for the session; `.ci/run e2e` made the enclosure.

What is slow to make is made once, by the first test that asks for it.
"""

import os
from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation
from tests.lab import task_image
from tests.lab.build import Toolbox
from tests.lab.node import Node


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """A node that the session's tests share."""
    # The entry point.
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251
    node = Node.start(toolbox, toolbox.cache / "node")
    yield node
    node.stop()


@pytest.fixture(scope="session")
def installation(node: Node) -> Installation:
    """The release, with its chart's defaults and one source."""
    return Installation.install(node, {})


@pytest.fixture(scope="session")
def task_node(node: Node) -> Node:
    """The node, with the image of the task pods."""
    node.load(task_image.archive(node.plane.toolbox))
    return node
