"""What `inject` and `explain` print, case by case.

A case is a folder: `arguments`, the files they name, `stdin` if it reads any, and
`expected` with all that is printed. Between them they have every kind of manifest.
"""

from pathlib import Path

import pytest
from click.testing import CliRunner

from webhook import __version__
from webhook.cli.main import cli

CASES = Path(__file__).parents[2] / "data" / "cli"


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_a_command_prints_what_is_expected(
    case: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    """Its output, its remarks and its exit code."""
    monkeypatch.chdir(case)
    monkeypatch.setenv("COLUMNS", "80")
    arguments = (case / "arguments").read_text()
    stdin = (case / "stdin").read_text() if (case / "stdin").exists() else None

    result = CliRunner().invoke(cli, arguments, input=stdin)

    actual = (
        f"$ tracking-injector {arguments}{result.stdout}"
        f"--- standard error\n{result.stderr}--- exit code {result.exit_code}\n"
    ).replace(__version__, "VERSION")
    if pytestconfig.getoption("update_golden"):
        (case / "expected").write_text(actual)
    assert (case / "expected").read_text() == actual


@pytest.mark.parametrize(
    "case", sorted(CASES.glob("explain-*")), ids=lambda case: case.name
)
def test_a_table_fits_a_terminal(case: Path) -> None:
    """No line of a table is wider than 80 columns, or ends in blanks."""
    text = (case / "expected").read_text().partition("--- standard error")[0]
    lines = [] if " -o " in text else text.splitlines()[1:]

    assert [] == [line for line in lines if len(line) > 80 or line != line.rstrip()]
