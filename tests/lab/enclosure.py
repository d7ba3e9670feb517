"""Runs a command in namespaces of its own, so that nothing it starts can stay behind.

The command and everything it starts share one set of namespaces: processes, mounts,
network, host name. The kernel ends all of it together with the first process in
there, and that one ends with ours, however ours ends: Ctrl-C, a crash, `kill -9`.
Only files and cgroups are left then, in places named here; `sweep` removes them.
"""

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.lab.processes import wait_for
from tests.lab.tools import LabError

ADDRESS: Final = "10.254.0.1"
"""The node's address inside."""

CGROUP: Final = "tracking-injector-node"
"""The cgroup below which containers run, in every hierarchy."""


class _InUseError(LabError):
    """Another run holds the folder."""


_SCRIPT: Final = Path(__file__).with_name("enclosure.sh")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_KINDS: Final = ("--net", "--mount", "--pid", "--ipc", "--uts", "--mount-proc")
_LEAVE: Final = ("unshare", *_KINDS, "--fork", "--kill-child", "--")
_PROBE: Final = (
    "mount --make-rshared / && { ! command -v ip >/dev/null ||"
    " ip link add node0 type veth peer name nowhere; }"
)
"""What the script needs first; the rest is Debian's."""


def obstacle() -> str:
    """Why no node can run on this machine; empty where one can."""
    if os.geteuid() != 0:
        return "it needs root"
    if shutil.which("dpkg-query") is None:
        return "its container runtime is taken from Debian, which this is not"
    if sealed := [
        tree for tree in cgroup_hierarchies() if not os.access(tree, os.W_OK)
    ]:
        return f"no cgroup can be made in {sealed[0]}"
    tried = subprocess.run(
        [*_LEAVE, "sh", "-c", _PROBE], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return f"namespaces are refused: {tried.stderr.strip()}"
    return ""


def need_root() -> None:
    """Say at once what would otherwise fail after minutes.

    Raises:
        LabError: Without root.
    """
    if os.geteuid() != 0:
        raise LabError("the node needs root: it mounts, and makes namespaces")


def run(command: Sequence[str | Path], *, folder: Path) -> int:
    """Run a command inside, with our terminal, and sweep when it has ended.

    Args:
        command: Program and arguments.
        folder: Scratch folder; it is empty when the command starts, gone afterwards.

    Returns:
        The command's exit code.

    Raises:
        LabError: Without root, or when `folder` is in use by another run.
    """
    need_root()
    with _only_user(folder):
        sweep(folder)
        folder.mkdir()
        try:
            return _run_inside(command)
        finally:
            sweep(folder)


def stop(folder: Path) -> None:
    """End the run that uses `folder`, if one does, and sweep after it."""

    def swept() -> bool:
        try:
            with _only_user(folder):
                sweep(folder)
        except _InUseError:
            return False
        return True

    if not swept():
        os.kill(int(_lock(folder).read_text("ascii")), signal.SIGTERM)
        wait_for("the node's end", swept)


def sweep(folder: Path) -> None:
    """Remove the files and cgroups of a run that has ended; fine without any."""
    for hierarchy in cgroup_hierarchies():
        for path, _, _ in os.walk(hierarchy / CGROUP, topdown=False):
            _remove_cgroup(Path(path))
    shutil.rmtree(folder, ignore_errors=True)


def cgroup_hierarchies() -> list[Path]:
    """The roots of the cgroup trees: one with cgroup v2, several before."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [p for p in _CGROUPS.iterdir() if p.is_mount() and not p.is_symlink()]


def first_process(folder: Path) -> int:
    """The process id, seen from outside, of the first process inside.

    Raises:
        LabError: If nothing runs with `folder`.
    """
    with suppress(OSError, ValueError, IndexError):
        owner = int(_lock(folder).read_text("ascii"))
        if inner := _first_inside(_children(owner)[0]):
            return inner
    raise LabError("no node runs; `make node` starts one")


def _run_inside(command: Sequence[str | Path]) -> int:
    tie = ("setpriv", "--pdeathsig", "KILL", "--")
    # Ctrl-C reaches everyone at the terminal: the command decides when to end.
    keyboard = signal.signal(signal.SIGINT, lambda *_: None)
    terminate = signal.signal(signal.SIGTERM, _raise_exit)
    process = subprocess.Popen([*tie, *_LEAVE, _SCRIPT, ADDRESS, *command])
    try:
        return process.wait()
    finally:
        if inner := _first_inside(process.pid):
            os.kill(inner, signal.SIGKILL)
        process.wait()
        signal.signal(signal.SIGINT, keyboard)
        signal.signal(signal.SIGTERM, terminate)


def _first_inside(unshare: int) -> int | None:
    children = _children(unshare)
    return children[0] if children else None


def _children(process: int) -> list[int]:
    try:
        listed = Path(f"/proc/{process}/task/{process}/children").read_text("ascii")
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def _raise_exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _only_user(folder: Path) -> Iterator[None]:
    """Hold `folder` for ourselves, and say who we are."""
    lock = _lock(folder)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _InUseError(
                "a node runs already; `make node-down` stops it"
            ) from None
        try:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield
        finally:
            file.truncate(0)


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove_cgroup(path: Path) -> None:
    """Remove one cgroup once its last process is really gone."""

    def gone() -> bool:
        try:
            path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    wait_for(f"the end of the processes in {path}", gone)
