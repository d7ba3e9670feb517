"""Fixtures: the client, run once."""

import os

import pytest

from tests.lab.build import Toolbox
from tests.michelangelo.client import Json, capture


@pytest.fixture(scope="session", name="flows")
def _flows() -> Json:
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    return capture(toolbox)
