"""The programs of a reader, whom a page or a remedy tells what to type."""

import sys
from pathlib import Path
from typing import Final

from tests.lab.build import Toolbox

COMMANDS: Final = ("tracking-injector", "kubectl-tracking")
_BUILT: Final = {"kubectl": "kubectl", "helm": "helm-4"}


def lay_out(folder: Path, toolbox: Toolbox, *answering: Path) -> str:
    """Fill a folder with kubectl, Helm 4 and our own commands.

    Args:
        folder: An empty one.
        toolbox: Where the lab's programs are.
        answering: More programs whose exit code 1 is an answer, as our commands' is:
            something is not in order, or not there. A script does not end by it.

    Returns:
        The `PATH` that begins with the folder.
    """
    for name, tool in _BUILT.items():
        (folder / name).symlink_to(toolbox.program(tool))
    ours = [Path(sys.executable).with_name(name) for name in COMMANDS]
    for program in (*ours, *answering):
        script = folder / program.name
        script.write_text(f'#!/bin/sh\n{program} "$@" || [ $? = 1 ]\n', "utf-8")
        script.chmod(0o755)
    return f"{folder}:/usr/local/bin:/usr/bin:/bin"
