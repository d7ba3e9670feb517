"""The how-to pages speak of values and files that exist."""

import re
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, Chart

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted([*DOCS.rglob("*.md")])
SNIPPETS = [
    pytest.param(match[1], id=f"{page.stem}-{number}")
    for page in PAGES
    for number, match in enumerate(
        re.finditer(r"```yaml\n( *# values\.yaml\n.*?)```", page.read_text(), re.DOTALL)
    )
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_values_in_the_docs_render(chart: Chart, snippet: str) -> None:
    """Every block that begins with `# values.yaml`, as a values file."""
    assert chart.render(yaml.safe_load(snippet)).manifests


def test_every_preset_is_documented() -> None:
    """In the table of the installation."""
    text = (DOCS / "how-to" / "install.md").read_text("utf-8")

    assert all(path.name in text for path in (CHART / "presets").glob("*.yaml"))
