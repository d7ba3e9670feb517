"""The worked example of CONTRIBUTING works, and takes no more files than it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
DIFF = re.compile(r"^ *```diff\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def hunks() -> dict[str, str]:
    """Each file of the example, and its change without the page's indentation."""
    found = {}
    for block in DIFF.findall(PAGE):
        lines = [line.removeprefix("   ") for line in block.splitlines()]
        name = lines[1].removeprefix("+++ b/")
        found[name] = "\n".join(lines[3:]) + "\n"
    return found


def changed(text: str, hunk: str) -> str:
    """A file with a change: what is removed is replaced, or all is added at the end."""
    lines = hunk.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if not line.startswith("+"))
    after = "".join(line[1:] for line in lines if not line.startswith("-"))
    if not before:
        return f"{text}\n\n{after}"
    assert text.count(before) == 1, before
    return text.replace(before, after)


NEEDED = ("webhook", "tests/unit/injection", "tests/data/golden")
BESIDE = (
    *("CHANGELOG.md", "pyproject.toml", "tests/__init__.py", "tests/conftest.py"),
    *("tests/pods.py", "tests/unit/__init__.py"),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the example touches, and of what its test needs."""
    for name in NEEDED:
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=leave)
    for name in BESIDE:
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_example_takes_three_files_at_most() -> None:
    """Code, test and changelog."""
    assert [
        "tests/unit/injection/test_workload.py",
        "webhook/injection/workload.py",
        "CHANGELOG.md",
    ] == list(hunks())


def test_the_examples_test_fails_before_the_change_and_passes_after(tree: Path) -> None:
    """The two files of code, in the order of the page."""
    test, code, log = (tree / name for name in hunks())
    changes = list(hunks().values())

    test.write_text(changed(test.read_text("utf-8"), changes[0]), "utf-8")
    without = run(tree, test)
    code.write_text(changed(code.read_text("utf-8"), changes[1]), "utf-8")
    after = run(tree, test)
    log.write_text(changed(log.read_text("utf-8"), changes[2]), "utf-8")

    assert ("1 failed" in without, "failed" in after) == (True, False), after


def run(tree: Path, test: Path) -> str:
    """What pytest says of one file, in a tree."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", test],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
