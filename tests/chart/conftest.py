"""Fixtures: the chart and the lab's programs that judge it."""

import os

import pytest

from tests.chart.rendering import EVERY_VALUES, WITHOUT_WEBHOOK, Chart, Rendered
from tests.lab.build import Toolbox, build_tool
from tests.lab.tools import TOOLS

HELMS = ("helm", "helm-4")
JUDGES = (
    *("actionlint", "cert-manager", "kubeconform", "prometheus-operator", "promtool"),
    *(name for name in TOOLS if name.startswith("openapi-")),
)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """With a Helm given, leave out what needs a program that the lab builds."""
    if config.getoption("--helm") is None:
        return
    built = [one for one in items if "toolbox" in getattr(one, "fixturenames", ())]
    items[:] = [one for one in items if one not in built]
    config.hook.pytest_deselected(items=built)


@pytest.fixture(scope="session")
def toolbox() -> Toolbox:
    """What renders and judges the chart, built if it is missing."""
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    for name in (*HELMS, *JUDGES):
        build_tool(toolbox, TOOLS[name], say=print)
    return toolbox


@pytest.fixture(scope="session")
def chart(request: pytest.FixtureRequest) -> Chart:
    """The chart, rendered by Helm 3, or by the Helm that was given."""
    given = request.config.getoption("--helm")
    if given is not None:
        return Chart(given)
    return Chart(request.getfixturevalue("toolbox").program("helm"))


@pytest.fixture(scope="session", params=HELMS, ids=["helm-3", "helm-4"])
def by_each_helm(request: pytest.FixtureRequest, toolbox: Toolbox) -> Chart:
    """The chart, rendered by each Helm in turn."""
    return Chart(toolbox.program(request.param))


@pytest.fixture(
    params=EVERY_VALUES,
    ids=lambda path: path.stem if path else "default",
    scope="session",
)
def rendered(request: pytest.FixtureRequest, chart: Chart) -> Rendered:
    """The chart with every values file in turn."""
    return chart.render(files=[request.param] if request.param else [])


@pytest.fixture(
    params=[file for file in EVERY_VALUES if file != WITHOUT_WEBHOOK],
    ids=lambda path: path.stem if path else "default",
    scope="session",
)
def serving(request: pytest.FixtureRequest, chart: Chart) -> Rendered:
    """The chart with every values file that installs the webhook."""
    return chart.render(files=[request.param] if request.param else [])


@pytest.fixture(scope="session")
def default(chart: Chart) -> Rendered:
    """The chart as it comes."""
    return chart.render()
