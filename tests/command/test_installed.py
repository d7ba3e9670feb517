"""The command line as a user gets it: by pipx, as a kubectl plugin, as one file."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.command.conftest import ROOT, Account
from webhook import __version__

POD = ROOT / "docs" / "samples" / "pod.yaml"
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")


def runs(name: str) -> bool:
    """Whether this machine has that Python; a version manager's shim is not one yet."""
    python = shutil.which(name)
    if python is None:
        return False
    done = subprocess.run([python, "-c", ""], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="module")
def installed(account: Account, wheel: Path) -> Account:
    """The wheel, installed by pipx."""
    account.run(account.tools / "bin" / "pipx", "install", wheel)
    return account


@pytest.mark.parametrize("name", ["tracking-injector", "kubectl-tracking"])
def test_pipx_puts_the_commands_on_the_path(installed: Account, name: str) -> None:
    """They run without the checkout and without the server's packages."""
    command = installed.home / ".local" / "bin" / name

    assert f"tracking-injector, version {__version__}\n" == installed.run(
        command, "--version"
    )


def test_an_installed_command_does_its_job(installed: Account) -> None:
    """The README's pod goes in, and comes out with the reference."""
    command = installed.home / ".local" / "bin" / "tracking-injector"

    after = yaml.safe_load(installed.run(command, "inject", "-f", POD))

    (container,) = after["spec"]["containers"]
    assert {"name": "michelangelo-tracking"} == container["envFrom"][0]["secretRef"]


def test_kubectl_finds_its_plugin(installed: Account, kubectl: Path) -> None:
    """`kubectl tracking` is the same program."""
    assert __version__ in installed.run(kubectl, "tracking", "--version")
    listed = installed.run(kubectl, "plugin", "list", "--name-only")
    assert "kubectl-tracking" in listed.split()


def test_what_needs_the_server_says_so(installed: Account) -> None:
    """In a sentence that names what to install."""
    done = subprocess.run(
        [installed.home / ".local" / "bin" / "tracking-injector", "serve"],
        env=dict(installed.environ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "install michelangelo-tracking-injector[server]" in done.stderr


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that krew brings."""
    target = tmp_path_factory.mktemp("zipapp") / "kubectl-tracking"
    subprocess.run([sys.executable, ROOT / ".ci" / "zipapp.py", target], check=True)
    return target


@pytest.mark.parametrize("name", [one for one in PYTHONS if runs(one)])
def test_one_file_runs_under_any_python(
    account: Account, zipapp: Path, name: str
) -> None:
    """Whatever it finds as `python3`; the compiled packages are there for each."""
    python = shutil.which(name)
    assert python is not None

    explained = account.run(python, zipapp, "explain", "-f", POD)
    assert "ray-head, Injected" in explained
    assert "envFrom[0] tracking keys" in explained
