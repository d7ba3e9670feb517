"""The lab by hand: `python -m tests.lab build|up|down`."""

import fcntl
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.lab.build import Toolbox, build_missing
from tests.lab.control_plane import ControlPlane
from tests.lab.processes import wait_for
from tests.lab.tools import LabError

_TOOLBOX = Toolbox.from_environment(os.environ)  # noqa: TID251 - the lab's entry point
_RUNNING = _TOOLBOX.cache / "running"


@click.group(help=__doc__)
def main() -> None:
    """Group the commands."""


@main.command()
def build() -> None:
    """Build what is not in the cache yet; minutes the first time."""
    build_missing(_TOOLBOX, say=lambda line: click.echo(line, err=True))


@main.command()
def up() -> None:
    """Start a control plane, print its kubeconfig, stay until Ctrl-C or `down`."""
    _RUNNING.parent.mkdir(parents=True, exist_ok=True)
    with _RUNNING.open("a+") as running:
        try:
            fcntl.flock(running, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError("a lab runs already; `make lab-down` stops it") from None
        running.truncate(0)
        running.write(str(os.getpid()))
        running.flush()
        folder = Path(tempfile.mkdtemp(prefix="tracking-injector-lab-"))
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            _stay(ControlPlane.start(_TOOLBOX, folder))
        finally:
            shutil.rmtree(folder)


@main.command()
def down() -> None:
    """Stop the lab that `up` started."""
    if _free():
        raise LabError("no lab runs")
    os.kill(int(_RUNNING.read_text("utf-8")), signal.SIGTERM)
    wait_for("the lab's end", _free)


def _stay(plane: ControlPlane) -> None:
    try:
        click.echo(plane.kubeconfig)
        click.echo(
            f"Kubernetes at {plane.server}, logs in {plane.folder}.\n"
            f"  export KUBECONFIG={plane.kubeconfig}\n"
            "Ctrl-C or `make lab-down` stops it.",
            err=True,
        )
        signal.pause()
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
    finally:
        plane.stop()


def _free() -> bool:
    """Whether no lab holds the lock; a number alone could be somebody else's."""
    if not _RUNNING.exists():
        return True
    with _RUNNING.open() as running:
        try:
            fcntl.flock(running, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"lab: {error}")
