"""Packs the command line into one file: `python .ci/zipapp.py TARGET`.

It is for this platform and any Python of `PYTHONS`: the compiled part of a package is
named after one of them, so all lie side by side. The server's parser has no wheel and
is left out; `serve` then says what it takes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = ROOT / "requirements"
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
_WITHOUT_WHEEL: Final = "gunicorn-h1c"


def main(target: Path) -> None:
    """Write the file, and say how large it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lock = folder / "lock.txt"
        lock.write_text(without(_WITHOUT_WHEEL, (LOCKS / "run.txt").read_text("utf-8")))
        site, tools = folder / "site", folder / "tools"
        hashed = ("install", "--require-hashes", "--no-deps")
        _run("pip", *hashed, "--target", tools, "-r", LOCKS / "release.txt")
        for python in PYTHONS:
            which = ("--only-binary=:all:", "--python-version", python)
            _run("pip", *hashed, *which, "--target", folder / python, "-r", lock)
            shutil.copytree(folder / python, site, dirs_exist_ok=True)
        ours = ("--no-deps", "--no-build-isolation", "--target", folder / "ours", ROOT)
        _run("pip", "install", *ours, tools=tools)
        shutil.copytree(folder / "ours", site, dirs_exist_ok=True)
        _run(
            *("shiv", "--compressed", "--reproducible", "--site-packages", site),
            *("--console-script", "kubectl-tracking", "--output-file", target),
            *("--python", "/usr/bin/env python3"),
            tools=tools,
        )
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, for {', '.join(PYTHONS)}")


def without(package: str, lock: str) -> str:
    """A lock file without one package, its hashes included."""
    entries = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    return "".join(one for one in entries if not one.startswith(f"{package}=="))


def _run(module: str, *arguments: str | Path, tools: Path | None = None) -> None:
    """Run a Python module, with what `tools` has besides."""
    path = {"PYTHONPATH": str(tools)} if tools else {}
    subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **path},  # noqa: TID251 - pip's own settings
        check=True,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
