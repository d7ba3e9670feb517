"""Each command that a page tells people to type is followed by a test, or says why."""

import re
from pathlib import Path

import pytest

from tests.documentation import (
    ELSEWHERE,
    NOT_FOLLOWED,
    PAGES,
    ROOT,
    WALKS,
    blocks,
    elsewhere,
    lines,
)


def name(page: Path) -> str:
    """A page's path from the root."""
    return str(page.relative_to(ROOT))


WITH_COMMANDS = [name(page) for page in PAGES if any(blocks(page, "console"))]


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_each_block_of_a_page_is_followed(page: str) -> None:
    """By one walk at least, or the page is exempt as a whole."""
    if page in NOT_FOLLOWED:
        return
    walked = {block for walk in WALKS if walk.page == page for block in walk.console()}

    assert walked == set(blocks(ROOT / page, "console"))


@pytest.mark.parametrize(
    "page", [page for page in WITH_COMMANDS if page in NOT_FOLLOWED]
)
def test_a_page_that_is_not_followed_is_shown_elsewhere(page: str) -> None:
    """Line for line, or by the test that its reason names."""
    shown = "tests/" in NOT_FOLLOWED[page] or all(
        elsewhere(line)
        for block in blocks(ROOT / page, "console")
        for line in lines(block)
    )

    assert shown


def test_no_exemption_is_left_over() -> None:
    """Each is for a page or a line that is there, and names files that are there."""
    told = [
        line
        for page in WITH_COMMANDS
        for block in blocks(ROOT / page, "console")
        for line in lines(block)
    ]
    reasons = [*ELSEWHERE.values(), *NOT_FOLLOWED.values()]

    assert [p for p in ELSEWHERE if not any(re.match(p, line) for line in told)] == []
    assert set(NOT_FOLLOWED) <= set(WITH_COMMANDS)
    assert {walk.page for walk in WALKS} <= set(WITH_COMMANDS)
    for path in re.findall(r"tests/[\w/]+\.py", " ".join(reasons)):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_in_blocks_that_are_followed(page: Path) -> None:
    """As `console`; any other name of a shell's language would be passed over."""
    languages = set(re.findall(r"^ *```(\w+)", page.read_text("utf-8"), re.MULTILINE))

    assert not languages & {"bash", "sh", "shell", "zsh", "powershell"}
