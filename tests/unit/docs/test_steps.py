"""The steps of `.ci/run`: `make` knows all of them, and pages name only such."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.documentation import ROOT
from tests.unit.docs.test_pages import each_text

STEPS: Final = set(
    re.findall(
        r"^step_([\w-]+)\(\)", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE
    )
)
MAKEFILE: Final = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")


def test_make_knows_every_step() -> None:
    """By the same name: whoever read of a step in one place finds it in the other."""
    listed = re.findall(r"^(?:steps :=|\.PHONY:)(.*)$", MAKEFILE, re.MULTILINE)

    assert {name for line in listed for name in line.split()} - {"$(steps)"} == STEPS


@each_text
@pytest.mark.parametrize("how", [r"\.ci/run", "(?:^|`)make"])
def test_a_page_names_steps_that_there_are(page: Path, how: str) -> None:
    """In text, in tables and in blocks."""
    text = page.read_text("utf-8")
    named = re.findall(rf"{how} ([a-z][\w-]*)", text, re.MULTILINE)

    assert set(named) <= STEPS
