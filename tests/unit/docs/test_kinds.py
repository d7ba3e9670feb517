"""The list of reported kinds names tests that are there, with enough cases each."""

import importlib
import math
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
_KIND = re.compile(r"^(\d+)\. (.+)\n((?: +- .+\n)+)", re.MULTILINE)
_TEST = re.compile(r"- `([\w/]+)\.py(?:::(\w+))?`")

KINDS = {
    f"{number} {title}": _TEST.findall(lines)
    for number, title, lines in _KIND.findall((TESTS / "README.md").read_text("utf-8"))
}


def test_every_kind_is_listed() -> None:
    """Eleven were reported, and no line is written otherwise than it is read."""
    lines = (TESTS / "README.md").read_text("utf-8").count("   - `")

    assert 11 == len(KINDS)
    assert lines == sum(map(len, KINDS.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_tables_of_a_dozen_cases(kind: str) -> None:
    """What generates cases itself counts as one."""
    assert 12 <= sum(cases(module, name) for module, name in KINDS[kind])


def cases(module: str, name: str) -> int:
    """How often pytest runs a test; of a whole file, one."""
    found = importlib.import_module(f"tests.{module.replace('/', '.')}")
    if not name:
        return 1
    marks = getattr(getattr(found, name), "pytestmark", ())
    return math.prod(len(m.args[1]) for m in marks if m.name == "parametrize")
