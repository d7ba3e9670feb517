"""Builds the oracles into the lab's cache: the engine of kindnet, and the analyzer.

`python -m tests.oracle.programs` builds what is missing.
"""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab.build import Toolbox, build_environment, build_tool
from tests.lab.tools import Tool

_HERE = Path(__file__).parent
WORKER = _HERE / "nca_worker.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnProgram(Tool):
    """A Go program whose source is here, around somebody else's module.

    Attributes:
        around: The module that it is about; its version names the program's.
    """

    around: str

    @property
    def folder(self) -> Path:
        """Beside this file."""
        return _HERE / self.module

    @property
    def requirement(self) -> tuple[str, str]:
        """The module it is about, and the version that `go.mod` pins."""
        for line in (self.folder / "go.mod").read_text("utf-8").splitlines():
            words = line.removeprefix("require").split()
            if words[:1] == [self.around]:
                return words[0], words[1]
        raise LookupError(f"{self.folder}/go.mod does not require {self.around}")

    @property
    def digest(self) -> str:
        """Names the build: 16 hex digits of everything in the folder."""
        files = sorted(self.folder.iterdir())
        content = b"\0".join(file.read_bytes() for file in files)
        return hashlib.sha256(content).hexdigest()[:16]


ENGINE = OwnProgram(
    name="networkpolicy-engine",
    package=".",
    module="engine",
    around="sigs.k8s.io/kube-network-policies",
)


def engine(toolbox: Toolbox) -> Path:
    """The engine's binary, built if it is not there."""
    build_tool(toolbox, ENGINE, say=_say)
    return toolbox.folder(ENGINE) / ENGINE.name


def analyzer(toolbox: Toolbox) -> Path:
    """The folder of the analyzer's environment, made if it is not there."""
    return build_environment(toolbox, "nca", say=_say)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    here = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    engine(here)
    analyzer(here)
