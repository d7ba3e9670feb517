"""The option `-o`, and what a command prints in each of its formats."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import click
import msgspec
import yaml
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from webhook.cli.streams import inert

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


def say(line: str, *, err: bool = False) -> None:
    """Print a line for people, in which others' words give a terminal no command."""
    click.echo(inert(line), err=err)


@dataclass(frozen=True, slots=True)
class Inert:
    """Something to show, in which others' words give a terminal no command."""

    shown: RenderableType

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[Segment]:
        """Yield it with its own styles, which are no part of a segment's text."""
        for segment in console.render(self.shown, options):
            if segment.control:
                yield segment
            else:
                yield Segment(inert(segment.text), segment.style)


def rendered(console: Console, *shown: RenderableType) -> str:
    """Return what a console would show, without blanks at the ends of lines."""
    with console.capture() as captured:
        for one in shown:
            console.print(Inert(one))
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
