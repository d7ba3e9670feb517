"""Fixtures: the chart and the lab's helm."""

import os

import pytest

from tests.chart.rendering import Chart
from tests.lab.build import Toolbox, build_tool
from tests.lab.tools import TOOLS


@pytest.fixture(scope="session")
def chart() -> Chart:
    """The chart, rendered by the lab's helm, which is built if it is missing."""
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    build_tool(toolbox, TOOLS["helm"], say=print)
    return Chart(toolbox.program("helm"))
