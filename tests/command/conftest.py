"""Places to install the command line in, with nothing of the checkout in them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.build import Toolbox, build_tool
from tests.lab.tools import TOOLS

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "release.txt"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine whose home was empty.

    Attributes:
        home: The home.
        tools: A virtual environment with pipx.
    """

    home: Path
    tools: Path

    @property
    def environ(self) -> Mapping[str, str]:
        """No variable of ours but those that tell pip where packages are."""
        # The way to the packages is the machine's, however it is set.
        pip = {k: v for k, v in os.environ.items() if k.startswith("PIP_")}  # noqa: TID251
        path = f"{self.home / '.local' / 'bin'}:/usr/bin:/bin"
        return {**pip, "HOME": str(self.home), "PATH": path}

    def run(self, *command: str | Path) -> str:
        """Run a command in the home, and return what it prints."""
        done = subprocess.run(
            [*command],
            cwd=self.home,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """The lab's, built if it is missing."""
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - the entry point
    build_tool(toolbox, TOOLS["kubectl"], say=print)
    return toolbox.program("kubectl")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that a release has."""
    folder = tmp_path_factory.mktemp("dist")
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder)
    subprocess.run([sys.executable, "-m", "pip", *build, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """A home, and pipx beside it."""
    tools = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", tools], check=True)
    pip = (tools / "bin" / "pip", "install", "--quiet", "--require-hashes", "-r", LOCK)
    subprocess.run(pip, check=True)
    return Account(tmp_path_factory.mktemp("home"), tools)
