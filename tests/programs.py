"""The programs of a reader, whom a page or a remedy tells what to type."""

import sys
from pathlib import Path
from typing import Final

from tests.lab.build import Toolbox

COMMANDS: Final = ("tracking-injector", "kubectl-tracking")


def lay_out(
    folder: Path, toolbox: Toolbox, *answering: Path, helm: str = "helm-4"
) -> str:
    """Fill a folder with kubectl, Helm and our own commands.

    Args:
        folder: An empty one.
        toolbox: Where the lab's programs are.
        answering: More programs whose exit code 1 is an answer, as our commands' is:
            something is not in order, or not there. A script does not end by it.
        helm: Which of the lab's.

    Returns:
        The `PATH` that begins with the folder.
    """
    for name, tool in {"kubectl": "kubectl", "helm": helm}.items():
        (folder / name).symlink_to(toolbox.program(tool))
    ours = [Path(sys.executable).with_name(name) for name in COMMANDS]
    for program in (*ours, *answering):
        script = folder / program.name
        script.write_text(f'#!/bin/sh\n{program} "$@" || [ $? = 1 ]\n', "utf-8")
        script.chmod(0o755)
    return f"{folder}:/usr/local/bin:/usr/bin:/bin"
