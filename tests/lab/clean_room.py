"""A Debian with Python and nothing else, in which README's set-up commands are run.

Somebody new has what `debootstrap` brings, a copy of the checkout and a user who is not
root. What is missing then has to be named; it is installed, until all passes. Root is
needed to make the room, and to enter it.
"""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab import system
from tests.lab.build import Draft, Say, Toolbox
from tests.lab.tools import LabError

SUITE: Final = "trixie"
START: Final = ("ca-certificates", "python3")
"""What is there beyond Debian's minimum: Python, and the roots of package servers."""

NAMES: Final[Mapping[str, str]] = {
    "make: not found": "make",
    "make: No such file": "make",
    "ensurepip is not": "python3-venv",
    "missing: gcc": "gcc",
    "missing: cc": "gcc",
    "missing: x86_64-linux-gnu-gcc": "gcc",
    "Python.h": "python3-dev",
    "missing: openssl": "openssl",
}
"""What the words of a failure name, as Debian's package."""

COMMANDS: Final = ("make demo", "make test")
"""What README says to run first."""

OTHERS: Final[Mapping[str, str]] = {
    "make image": "docker, podman or buildah",
    "make image-load": "kubectl",
    "make render": "helm",
}
"""Steps that need more, and the tool that each has to name."""

_PROJECT: Final = Path(__file__).parents[2]
_USER: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How a command ended.

    Attributes:
        code: Its exit code.
        said: What it printed.
        seconds: How long it took.
    """

    code: int
    said: str
    seconds: float


def visit(toolbox: Toolbox, *, say: Say) -> None:
    """Run README's commands in a new room, and say what each took.

    Raises:
        LabError: If a command fails without naming what is missing, or a tool that is
            missing is not named.
    """
    with Draft(toolbox.cache / "clean-room-visit") as draft:
        root = draft / "root"
        # It has devices, which Python would read instead of copying.
        subprocess.run(["cp", "-a", _room(toolbox, say=say), root], check=True)
        _furnish(root, toolbox.environ)
        named = [
            package
            for command in COMMANDS
            for package in _until_it_passes(root, command, toolbox.environ, say=say)
        ]
        for command, tool in OTHERS.items():
            tried = _try(root, command, toolbox.environ)
            if tried.code == 0 or f"missing: {tool}" not in tried.said:
                raise LabError(f"`{command}` does not name {tool}:\n{tried.said}")
            say(f"`{command}` names {tool}")
        say(f"named on the way: {', '.join(named)}")
        shutil.rmtree(root)
    shutil.rmtree(toolbox.cache / "clean-room-visit")


def _until_it_passes(
    root: Path, command: str, environ: Mapping[str, str], *, say: Say
) -> Sequence[str]:
    named: list[str] = []
    while True:
        tried = _try(root, command, environ)
        if tried.code == 0:
            say(f"`{command}`: {tried.seconds:.0f} s")
            return named
        wanted = {
            package
            for words, package in NAMES.items()
            if words in tried.said and package not in named
        }
        if not wanted:
            raise LabError(f"`{command}` names nothing that is missing:\n{tried.said}")
        say(f"`{command}` asks for {', '.join(sorted(wanted))}")
        named += sorted(wanted)
        _enter(root, ("apt-get", "install", "--yes", *sorted(wanted)), environ, user=0)


def _room(toolbox: Toolbox, *, say: Say) -> Path:
    """The room as debootstrap leaves it, kept in the lab's cache."""
    wanted = system.System(suite=SUITE, packages=START)
    digest = hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    folder = toolbox.cache / f"clean-room-{digest}"
    if not folder.is_dir():
        with Draft(folder) as draft:
            root = draft / "root"
            system.bootstrap(wanted, root, environ=toolbox.environ, say=say)
    return folder / "root"


def _furnish(root: Path, environ: Mapping[str, str]) -> None:
    """Bring in the tracked files, as somebody's own, and our way to packages."""
    system.let_reach_out(root, environ)
    shutil.copyfile("/etc/resolv.conf", root / "etc" / "resolv.conf")
    home = root / "home" / "new" / "tracking-injector"
    listed = subprocess.run(
        ("git", "-C", _PROJECT, "ls-files", "-z"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in listed.rstrip("\0").split("\0"):
        target = home / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_PROJECT / name, target, follow_symlinks=False)
    for path in (home.parent, *home.parent.rglob("*")):
        os.chown(path, _USER, _USER, follow_symlinks=False)


def _try(root: Path, command: str, environ: Mapping[str, str]) -> Tried:
    started = time.monotonic()
    words = ("sh", "-c", f"cd /home/new/tracking-injector && {command}")
    done = _enter(root, words, environ, user=_USER)
    seconds = time.monotonic() - started
    return Tried(code=done.returncode, said=done.stdout, seconds=seconds)


def _enter(
    root: Path, command: Sequence[str], environ: Mapping[str, str], *, user: int
) -> subprocess.CompletedProcess[str]:
    """Run a command in the room, with its own /proc and a /dev of the bare minimum."""
    prepare = (
        'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && root=$0'
        ' && user=$1 && shift && exec chroot --userspec="$user:$user" "$root" "$@"'
    )
    ours = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/home/new" if user else "/root",
        "DEBIAN_FRONTEND": "noninteractive",
        "LANG": "C.UTF-8",
    }
    proxies = {k: v for k, v in environ.items() if k.lower().endswith("_proxy")}
    return subprocess.run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("sh", "-c", prepare, str(root), str(user), *command),
        ],
        env=ours | proxies,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
