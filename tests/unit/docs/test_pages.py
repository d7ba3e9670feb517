"""The pages, README and the chart's notes speak of what exists, and can be copied."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from tests.documentation import ROOT, blocks, lines
from webhook.cli.main import cli

CHART: Final = ROOT / "charts" / "tracking-injector"
DOCS: Final = sorted((ROOT / "docs").rglob("*.md"))
PAGES: Final = [ROOT / "README.md", *DOCS]
TEXTS: Final = [
    *ROOT.glob("*.md"),
    *(
        path
        for folder in (".github", "charts", "docs", "tests")
        for path in sorted((ROOT / folder).rglob("*.md"))
    ),
]
"""Everything that is written for people, whoever they are."""
COLUMNS: Final = 120
REFERENCE: Final = ROOT / "docs" / "reference"
"""Its pages are generated."""
PROGRAMS: Final = (("kubectl", "tracking"), ("tracking-injector",))
VALUES: Final = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))

each_text = pytest.mark.parametrize(
    "page", TEXTS, ids=lambda page: str(page.relative_to(ROOT))
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def commands(page: Path) -> Iterator[str]:
    """Each command line of the page's console blocks."""
    for block in blocks(page, "console"):
        yield from lines(block)


def inline(page: Path) -> Iterator[str]:
    """Each command of ours that stands between backticks in the text or in a table."""
    text = " ".join(page.read_text("utf-8").replace("\\|", "|").split())
    yield from re.findall(r"`((?:kubectl tracking|tracking-injector) [^`]+)`", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", one.lower()) for one in headings)
    return {one.strip().replace(" ", "-") for one in plain}


@each_text
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is a file, and its anchor a heading there."""
    text = page.read_text("utf-8")
    wrong = []
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#]*)(?:#([^)]*))?\)", text):
        file = page.parent / target if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            wrong.append((target, anchor))

    assert wrong == []


@each_page
def test_commands_can_be_copied(page: Path) -> None:
    """No prompt stands before them: whoever copies the block would run it as well."""
    assert [line for line in commands(page) if line.startswith("$ ")] == []


@each_text
def test_our_commands_have_the_options_that_are_shown(page: Path) -> None:
    """A renamed command or option would leave the page behind."""
    wrong = []
    for line in (*commands(page), *inline(page)):
        for part in re.split(r"\||&&|;", line):
            error = refusal(shlex.split(part, comments=True))
            wrong += [f"{part.strip()}: {error}"] if error else []

    assert wrong == []


def refusal(words: list[str]) -> str:
    """What our command line says of the words, if they are ours and it refuses them."""
    for program in PROGRAMS:
        if tuple(words[: len(program)]) == program:
            return _refusal(words[len(program) :])
    return ""


def _refusal(words: list[str]) -> str:
    command: click.Command = cli
    context, rest = click.Context(cli, info_name="tracking-injector"), list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            return f"no command {rest[0]}"
        command, rest = found, rest[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    try:
        command.make_parser(context).parse_args(rest)
    except click.NoSuchOption as error:
        return error.format_message()
    except click.UsageError:
        return ""  # the page leaves something out on purpose
    return ""


@each_page
def test_make_reads_the_variables_that_it_is_given(page: Path) -> None:
    """A name that nothing reads would be passed over in silence."""
    scripts = [ROOT / ".ci" / name for name in ("run", "image")]
    read = "".join(path.read_text("utf-8") for path in scripts)
    words = (shlex.split(line, comments=True) for line in commands(page))
    given = [
        name
        for line in words
        if "make" in line
        for name, is_set, _ in (word.partition("=") for word in line)
        if is_set
    ]

    assert [name for name in given if f"${{{name}:" not in read] == []


@each_page
def test_values_that_are_named_exist(page: Path) -> None:
    """As `injection.precedence` in the text, and after `--set`."""
    text = page.read_text("utf-8")
    named = re.findall(r"`([a-z]\w*(?:\.\w+)+)`", text)
    named = [one for one in named if one.split(".")[0] in VALUES]
    named += re.findall(r"--set(?:-\w+)? ([\w.]+)=", text)

    assert [name for name in named if not has_value(name)] == []


def has_value(name: str) -> bool:
    """Whether the chart has a value of that name, or one that takes any key."""
    found: Any = VALUES
    for part in name.split("."):
        if not isinstance(found, dict) or (found and part not in found):
            return False
        found = found.get(part, {})
    return True


@each_page
def test_yaml_can_be_read(page: Path) -> None:
    """Each block of YAML, whatever it is for."""
    for block in blocks(page, "yaml"):
        assert list(yaml.safe_load_all(block))


@each_text
def test_lines_are_short_enough_to_review(page: Path) -> None:
    """Tables apart, and what is generated."""
    if page.parent == REFERENCE:
        return
    long = [
        number
        for number, line in enumerate(page.read_text("utf-8").splitlines(), 1)
        if len(line) > COLUMNS and not line.lstrip().startswith("|")
    ]

    assert long == []


def test_every_page_is_in_the_navigation() -> None:
    """And the other way round, which the site's own build finds too."""
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    nav = text[text.index("\nnav:") :]

    assert {str(page.relative_to(ROOT / "docs")) for page in DOCS} == set(
        re.findall(r"[\w/-]+\.md", nav)
    )


@each_page
def test_headings_go_down_by_one(page: Path) -> None:
    """One title, and no level is left out."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    levels = [len(one) for one in re.findall(r"^(#+) ", text, re.MULTILINE)]

    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
