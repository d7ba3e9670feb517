"""The generated pages of the reference are those that the code would write."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from webhook.cli.main import cli

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
PAGES = runpy.run_path(str(REFERENCE / "generate.py"))["pages"]()


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    """`.ci/run reference` writes it anew."""
    assert (REFERENCE / name).read_text() == PAGES[name]


def paths(command: click.Command, path: str = "") -> Iterator[str]:
    """What people type behind the program's name, for each command there is."""
    if path:
        yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from paths(inner, f"{path} {name}".strip())


def test_the_help_of_every_command_is_there() -> None:
    """Of those within a command too, such as `certs rotate`."""
    told = re.findall(r"^##+ (.+)$", PAGES["cli.md"], re.MULTILINE)

    assert sorted(told) == sorted(["tracking-injector", *paths(cli)])
