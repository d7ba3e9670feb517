"""Nothing that runs in the enclosure outlives it. Root only; run by `.ci/run e2e`."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.lab import enclosure
from tests.lab.processes import wait_for

MARK: Final = "86399.25"
"""An argument that no other process has."""

TREES: Final = " ".join(str(tree) for tree in enclosure.cgroup_hierarchies())
SEAL: Final = f"""
mount --make-rprivate /
for tree in {TREES}; do mount -o remount,bind,ro "$tree"; done
exec "$@"
"""

RUN: Final = (
    "import sys; from pathlib import Path; from tests.lab import enclosure;"
    "sys.exit(enclosure.run(sys.argv[2:], folder=Path(sys.argv[1])))"
)
DAEMON: Final = f"""
for tree in {TREES}; do
  mkdir -p "$tree/{enclosure.CGROUP}/pod" || exit
  # A cpuset without processors takes no process; one of the others is enough.
  echo $$ 2>/dev/null >"$tree/{enclosure.CGROUP}/pod/cgroup.procs" || true
done
setsid sleep {MARK} &
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A scratch folder for runs; whatever a failed test leaves is ended."""
    yield tmp_path / "scratch"
    enclosure.stop(tmp_path / "scratch")


def run(folder: Path, script: str) -> "subprocess.Popen[bytes]":
    """Start a run of a shell script."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, folder, "/bin/sh", "-c", script]
    )


def daemons() -> list[str]:
    """The processes that carry the mark, on the whole machine."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text("utf-8").split("\0")
        except OSError:
            continue
        if words[:2] == ["sleep", MARK]:
            found.append(process.name)
    return found


def left() -> list[Path]:
    """Our cgroups that still exist."""
    return [
        tree / enclosure.CGROUP
        for tree in enclosure.cgroup_hierarchies()
        if (tree / enclosure.CGROUP).exists()
    ]


def test_a_daemon_ends_with_the_command_that_left_it(folder: Path) -> None:
    """And the command's exit code is passed on; files and cgroups are removed."""
    process = run(folder, f"{DAEMON} exit 7")

    assert 7 == process.wait(60)
    assert [] == daemons()
    assert [] == left()
    assert not folder.exists()


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_nothing_survives_a_run_that_is_ended_from_outside(
    folder: Path, how: str
) -> None:
    """Even `kill -9` of the outermost process; what files it leaves, `stop` removes."""
    process = run(folder, f"{DAEMON} sleep 600")
    wait_for("the daemon", lambda: bool(daemons()))

    getattr(process, how)()
    process.wait(60)
    wait_for("its end", lambda: not daemons())
    enclosure.stop(folder)
    enclosure.stop(folder)  # fine when there is nothing

    assert [] == left()
    assert not folder.exists()


def test_there_is_no_way_out(folder: Path) -> None:
    """Inside, no other network can be reached."""
    connect = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"

    process = run(folder, f'! {sys.executable} -c "{connect}" 2>/dev/null')

    assert 0 == process.wait(60)


def test_the_machine_keeps_its_settings(folder: Path) -> None:
    """What a kubelet would set for the whole machine, it sets on copies."""
    setting = Path("/proc/sys/kernel/panic")
    before = setting.read_text("ascii")

    process = run(folder, f"echo 77 >{setting}")

    assert 0 == process.wait(60)
    assert before == setting.read_text("ascii")


def test_a_plain_folder_among_the_hierarchies_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files stay in it, so a run would wait for its end for ever."""
    (tmp_path / "somebody's").mkdir()
    monkeypatch.setattr(enclosure, "_CGROUPS", tmp_path)

    assert [] == enclosure.cgroup_hierarchies()


def test_a_machine_that_can_have_a_node_has_no_obstacle() -> None:
    """This one can: these tests run here."""
    assert "" == enclosure.obstacle()


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (("setpriv", "--reuid=65534", "--clear-groups"), "it needs root"),
        (("setpriv", "--bounding-set=-sys_admin"), "namespaces are refused: "),
        (("setpriv", "--bounding-set=-net_admin"), "namespaces are refused: "),
        (("env", "PATH=/nowhere"), "which this is not"),
        (("unshare", "--mount", "sh", "-c", SEAL, "sh"), "no cgroup can be made in "),
    ],
)
def test_what_is_in_a_nodes_way_is_said(without: tuple[str, ...], said: str) -> None:
    """So that a run without one can leave its tests out by name."""
    ask = "from tests.lab import enclosure; print(enclosure.obstacle())"

    told = subprocess.run(
        [*without, sys.executable, "-c", ask],
        capture_output=True,
        text=True,
        check=True,
    )

    assert said in told.stdout
