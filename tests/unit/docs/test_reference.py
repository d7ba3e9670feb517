"""The generated pages of the reference are those that the code would write."""

import runpy
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
PAGES = runpy.run_path(str(REFERENCE / "generate.py"))["pages"]()


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    """`.ci/run reference` writes it anew."""
    assert (REFERENCE / name).read_text() == PAGES[name]
