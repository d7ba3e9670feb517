"""Fixtures: one node for the session, in the enclosure that `.ci/run e2e` made."""

import os
from collections.abc import Iterator

import pytest

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
