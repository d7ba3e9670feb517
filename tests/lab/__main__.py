"""The lab by hand: `python -m tests.lab build|up|down|node|node-down`."""

import fcntl
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import click

from tests.lab import clean_room as room
from tests.lab import debian, enclosure, own_image, task_image
from tests.lab.build import Toolbox, build_missing
from tests.lab.control_plane import ControlPlane
from tests.lab.node import Node
from tests.lab.processes import wait_for
from tests.lab.tools import LabError, Part

_TOOLBOX = Toolbox.from_environment(os.environ)  # noqa: TID251 - the lab's entry point
_RUNNING = _TOOLBOX.cache / "running"
_NODE = _TOOLBOX.cache / "node"


@click.group(help=__doc__)
def main() -> None:
    """Group the commands."""


@main.command()
@click.option("--node", is_flag=True, help="Also what a node runs; needs root.")
@click.option(
    "--in-tree", is_flag=True, help="Also Kubernetes 1.36, for the step of that name."
)
def build(*, node: bool, in_tree: bool) -> None:
    """Build what is not in the cache yet; minutes the first time."""
    if node:
        enclosure.need_root()
        debian.install((*debian.NODE, *debian.IMAGES), say=_say)
    wanted = {Part.LAB: True, Part.NODE: node, Part.IN_TREE: in_tree}
    build_missing(_TOOLBOX, say=_say, parts=[p for p in wanted if wanted[p]])
    if node:
        own_image.build(_TOOLBOX, say=_say)
        task_image.build(_TOOLBOX, say=_say)


@main.command()
@click.argument("name")
def program(name: str) -> None:
    """Print the path of a program that is built, or say that it is missing."""
    click.echo(_TOOLBOX.program(name))


@main.command()
def clean_room() -> None:
    """Run README's set-up commands where there is Python alone; root only."""
    enclosure.need_root()
    debian.install(debian.IMAGES, say=_say)
    room.visit(_TOOLBOX, say=_say)


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


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def node(command: tuple[str, ...]) -> None:
    """Run COMMAND in namespaces of its own, root only; alone, start a node there."""
    enclosure.need_root()
    debian.install(debian.NODE, say=_say)
    alone = (sys.executable, "-m", "tests.lab", "node-inside")
    sys.exit(enclosure.run(command or alone, folder=_NODE))


@main.command(hidden=True)
def node_obstacle() -> None:
    """Print why no node can run on this machine; nothing where one can."""
    click.echo(enclosure.obstacle(), nl=False)


@main.command(hidden=True)
def node_inside() -> None:
    """Start a node, say how to use it, stay until Ctrl-C or `node-down`."""
    node = Node.start(_TOOLBOX, _NODE)
    script = _NODE / "kubectl"
    script.write_text(
        "#!/bin/sh\n"
        f"cd {Path.cwd()} && first=$({sys.executable} -m tests.lab node-process)\n"
        f'exec nsenter --target "$first" --net --mount --pid '
        f'{_TOOLBOX.program("kubectl")} --kubeconfig {node.plane.kubeconfig} "$@"\n',
        "utf-8",
    )
    script.chmod(0o755)
    _say(f"A node is ready, logs in {_NODE}. From any terminal:")
    click.echo(f"{script} get pods --all-namespaces")
    _say("Ctrl-C or `make node-down` stops it.")
    with suppress(KeyboardInterrupt):
        signal.pause()


@main.command(hidden=True)
def node_process() -> None:
    """Print the id of the first process of the node that runs."""
    click.echo(enclosure.first_process(_NODE))


@main.command()
def node_down() -> None:
    """Stop the node, if one runs, and remove whatever a killed one left."""
    enclosure.stop(_NODE)


def _say(line: str) -> None:
    click.echo(line, err=True)


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
