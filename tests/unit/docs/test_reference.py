"""The generated pages of the reference are those that the code would write."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
FILES = ROOT / "charts" / "tracking-injector" / "files"
GENERATED = runpy.run_path(str(REFERENCE / "generate.py"))
PAGES, CHART_FILES = GENERATED["pages"](), GENERATED["chart_files"]()


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    """`.ci/run reference` writes it anew."""
    assert (REFERENCE / name).read_text() == PAGES[name]


@pytest.mark.parametrize("name", CHART_FILES)
def test_a_generated_file_of_the_chart_is_up_to_date(name: str) -> None:
    """The chart's policy is what our own code makes of the webhook's tables."""
    assert (FILES / name).read_text() == CHART_FILES[name]
