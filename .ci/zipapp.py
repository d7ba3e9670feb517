"""Packs the command line into one file: `python .ci/zipapp.py TARGET`.

It is for this platform and any Python of `PYTHONS`: the compiled part of a package is
named after one of them, so all lie side by side. The server's parser has no wheel and
is left out; `serve` then says what it takes.
"""

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
        site = folder / "site"
        _pip("install", "--no-deps", "--no-build-isolation", "--target", site, ROOT)
        for python in PYTHONS:
            _pip(
                *("install", "--require-hashes", "--no-deps", "--only-binary=:all:"),
                *("--python-version", python, "--target", folder / python, "-r", lock),
            )
            shutil.copytree(folder / python, site, dirs_exist_ok=True)
        tools = folder / "tools"
        _pip(
            "install",
            "--require-hashes",
            "--target",
            tools,
            "-r",
            LOCKS / "release.txt",
        )
        subprocess.run(
            [
                *(sys.executable, "-m", "shiv", "--compressed", "--reproducible"),
                *("--site-packages", site, "--console-script", "kubectl-tracking"),
                *("--python", "/usr/bin/env python3", "--output-file", target),
            ],
            env={"PYTHONPATH": str(tools), "SOURCE_DATE_EPOCH": "315532800"},
            check=True,
        )
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, for {', '.join(PYTHONS)}")


def without(package: str, lock: str) -> str:
    """A lock file without one package, its hashes included."""
    entries = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    return "".join(one for one in entries if not one.startswith(f"{package}=="))


def _pip(*arguments: str | Path) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", *arguments, *quiet], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
