"""What is read of the source as text: `python .ci/source.py COMMAND`.

loc              prints the lines of product code per package, and in total
names            fails on a class name that is defined twice in the product
binaries         fails on a large binary file that nobody decided to keep
version          prints the product's version
changes VERSION  prints what CHANGELOG.md says of a version, or fails if that is nothing
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PRODUCT: Final = ("webhook", "certs")
LARGE: Final = 100_000  # bytes
KEPT: Final[frozenset[str]] = frozenset()
"""Large binary files that belong here, as paths from the root."""

_NOT_CODE: Final = frozenset(
    {
        tokenize.COMMENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.NEWLINE,
        tokenize.NL,
    }
)


def loc() -> int:
    """Print the lines of code, without comments, docstrings and blank lines."""
    counts: Counter[str] = Counter()
    for path in _modules():
        package = ".".join(path.relative_to(ROOT).parts[:-1][:2])
        counts[package] += len(code_lines(path.read_text("utf-8")))
    for package, count in sorted(counts.items()):
        print(f"{count:7}  {package}")
    print(f"{counts.total():7}  in total")
    return 0


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code."""
    lines = {
        number
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in _NOT_CODE
        for number in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(source)):
        match node:  # a string that is a statement documents what it stands at
            case ast.Expr(value=ast.Constant(value=str()), end_lineno=int(end)):
                lines -= set(range(node.lineno, end + 1))
    return lines


def names() -> int:
    """Fail on a class name that is defined twice; private names do not count."""
    places = defaultdict(list)
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    twice = {name: found for name, found in places.items() if len(found) > 1}
    for name, found in sorted(twice.items()):
        print(f"class {name} is defined {len(found)} times: {', '.join(found)}")
    return bool(twice)


def binaries() -> int:
    """Fail on a tracked binary file that is large and not in `KEPT`."""
    stray = [
        f"{name} ({path.stat().st_size} bytes)"
        for name in _tracked()
        if name not in KEPT
        and (path := ROOT / name).is_file()
        and path.stat().st_size > LARGE
        and b"\0" in path.read_bytes()[:8000]  # as git tells a binary
    ]
    for one in stray:
        print(f"large binary, not listed in .ci/source.py: {one}")
    return bool(stray)


def version() -> int:
    """Print the one version of program, image and chart."""
    source = (ROOT / "webhook" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    print(found[1] if found else "")
    return found is None


def changes(of: str) -> int:
    """Print the section of a released version, which its heading dates."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    heading = rf"^## {re.escape(of)} - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)"
    found = re.search(heading, text, re.MULTILINE | re.DOTALL)
    if found is None:
        print(f"CHANGELOG.md has no section `## {of} - DATE`", file=sys.stderr)
        return 1
    print(found[1].strip())
    return 0


def _modules() -> Iterator[Path]:
    for package in PRODUCT:
        yield from sorted((ROOT / package).rglob("*.py"))


def _tracked() -> list[str]:
    listed = ("git", "-C", ROOT, "ls-files", "-z")
    done = subprocess.run(listed, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\0").split("\0")


COMMANDS: Final[Mapping[str, Callable[..., int]]] = {
    "loc": loc,
    "names": names,
    "binaries": binaries,
    "version": version,
    "changes": changes,
}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
