"""The option `-o`, and what a command prints in each of its formats."""

from collections.abc import Callable
from typing import Any, Final

import click
import msgspec
import yaml
from rich.console import Console, RenderableType

_UNFOLDED: Final = 10_000
"""Columns where nobody looks: a file or a pipe is neither folded nor cut."""


def with_output(*formats: str, **more: Any) -> Callable[[Any], Any]:
    """Return the option; the first format is the default, unless `more` has another."""
    options = {"type": click.Choice(formats), "default": formats[0], **more}
    return click.option("-o", "--output", **options)


def encoded(document: msgspec.Struct, output: str = "json") -> str:
    """Return a document whose schema is published, as `json` or `yaml`."""
    if output == "json":
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    return yaml.safe_dump(msgspec.to_builtins(document), sort_keys=False).rstrip()


def emit(document: str) -> None:
    """Print a document for programs: in UTF-8, whatever a terminal's encoding is."""
    click.echo(document.removesuffix("\n").encode())


def whole_console() -> Console:
    """Return the terminal, or what neither folds nor cuts where there is none."""
    console = Console()
    if not console.is_terminal:
        # Also where COLUMNS is set: whoever reads a pipe wants whole lines.
        console = Console(width=_UNFOLDED)
    return console


def rendered(console: Console, *shown: RenderableType) -> str:
    """Return what a console would show, without blanks at the ends of lines."""
    with console.capture() as captured:
        for one in shown:
            console.print(one)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
