"""Fixtures: the chart and the lab's helm."""

import os

import pytest

from tests.chart.rendering import EVERY_VALUES, Chart, Rendered
from tests.lab.build import Toolbox, build_tool
from tests.lab.tools import TOOLS


@pytest.fixture(scope="session")
def chart() -> Chart:
    """The chart, rendered by the lab's helm, which is built if it is missing."""
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    build_tool(toolbox, TOOLS["helm"], say=print)
    return Chart(toolbox.program("helm"))


@pytest.fixture(
    params=EVERY_VALUES,
    ids=lambda path: path.stem if path else "default",
    scope="session",
)
def rendered(request: pytest.FixtureRequest, chart: Chart) -> Rendered:
    """The chart with every values file in turn."""
    return chart.render(files=[request.param] if request.param else [])


@pytest.fixture(scope="session")
def default(chart: Chart) -> Rendered:
    """The chart as it comes."""
    return chart.render()
