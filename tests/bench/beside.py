"""What a thousand namespaces cost the companion, beside an earlier tree.

    python -m tests.bench.beside [REVISION]

Prints one line of JSON for each figure: the earlier tree's, this one's, and this one's
per that of the earlier. Both are measured in turn on the same machine, each by its own
bench and with the environment that its own lock names.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

REVISION: Final = "cd37730"
"""The last commit before the companion became a set of controllers."""
ROUNDS: Final = 2
"""How often each tree is measured: one round hides what else the machine did."""
NAMESPACES: Final = 1000
HERE: Final = Path(__file__).parents[2]
_MEASURE: Final = f"""\
import json
from tests.bench.companion import measure
from tests.bench.companion_world import world

with world() as one:
    one.grow({NAMESPACES})
    print(json.dumps(measure(one)))
"""


@contextmanager
def earlier(revision: str) -> Iterator[Path]:
    """A tree of a revision with its own environment, for the block."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ("git", "-C", str(HERE), "worktree")
        try:
            run((*git, "add", "--quiet", "--detach", str(tree), revision), HERE)
            run((str(tree / ".ci" / "run"), "env"), tree, VENV=".venv")
            yield tree
        finally:
            run((*git, "remove", "--force", str(tree)), HERE)


def run(command: Sequence[str], folder: Path, **more: str) -> str:
    """Run it there; what it writes to stdout, while stderr stays the reader's."""
    environ = os.environ | more  # noqa: TID251 - the entry point
    done = subprocess.run(
        command, cwd=folder, env=environ, check=True, text=True, stdout=subprocess.PIPE
    )
    return done.stdout


def measured(tree: Path, python: Path) -> dict[str, float]:
    """What a tree's own bench says of it."""
    found: dict[str, float] = json.loads(
        run((str(python), "-c", _MEASURE), tree, PYTHONPATH=str(tree))
    )
    sys.stderr.write(f"{tree.name}: {json.dumps(found)}\n")
    return found


def figures(
    before: Sequence[Mapping[str, float]], now: Sequence[Mapping[str, float]]
) -> Iterator[dict[str, Any]]:
    """Each figure that both have, by the median of the rounds."""
    for name in now[0].keys() & before[0].keys() - {"namespaces"}:
        old, new = (
            statistics.median(one[name] for one in all_) for all_ in (before, now)
        )
        yield {
            "figure": name,
            "before": round(old, 2),
            "now": round(new, 2),
            "ratio": round(new / old, 2) if old else None,
        }


def main() -> None:
    """Measures in turn and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", nargs="?", default=REVISION)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    # Asked to end, it cleans up as it does after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    before, now = [], []
    with earlier(options.revision) as tree:
        for _ in range(options.rounds):
            before.append(measured(tree, tree / ".venv" / "bin" / "python"))
            now.append(measured(HERE, Path(sys.executable)))
    for figure in sorted(figures(before, now), key=lambda one: str(one["figure"])):
        sys.stdout.write(json.dumps(figure) + "\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]}: exit code {error.returncode}")
