"""Every error is one sentence, with a hint; shells learn the commands."""

import os
import pty
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
import yaml
from click.testing import CliRunner

from tests.fakes.installation import NOW, FakeInstallation
from tests.unit.cli.test_status import reached
from tests.unit.companion.observation.test_troubles import found
from webhook import __version__
from webhook.cli.main import COMMANDS, cli
from webhook.cli.version import VersionDocument

PROGRAM = Path(sys.executable).with_name("kubectl-tracking")


def kubeconfig(folder: Path, server: str, **user: object) -> Path:
    """A kubeconfig with one context."""
    path = folder / "config"
    config = {
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me"}}],
        "clusters": [{"name": "lab", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": user or {"token": "canary"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The program itself."""
    return subprocess.run(
        [PROGRAM, *words], capture_output=True, text=True, check=False, env=environ
    )


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What an error said: one line on standard error, no usage and no trace."""
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Usage:" not in done.stderr
    assert "canary" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "command", [("status",), ("certs", "show"), ("egress", "plan")]
)
def test_without_a_kubeconfig_it_is_said_where_it_was_looked_for(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """In the home folder, or where $KUBECONFIG says."""
    said = one_sentence(run(*command, HOME=str(tmp_path)))
    assert "~/.kube/config: there is no such file" in said

    where = str(tmp_path / "none")
    assert f"{where}: there is no such file" in one_sentence(
        run(*command, KUBECONFIG=where)
    )


def test_an_empty_kubeconfig_variable_is_none(tmp_path: Path) -> None:
    """As kubectl has it: `export KUBECONFIG=` is how people take it away."""
    (tmp_path / ".kube").mkdir()
    path = kubeconfig(tmp_path / ".kube", "https://127.0.0.1:9")
    said = one_sentence(run("status", HOME=str(tmp_path), KUBECONFIG=""))

    assert f"context lab of {path}" in said.replace("~", str(tmp_path))


def test_a_kubeconfig_that_is_not_yaml_is_named_with_the_line(tmp_path: Path) -> None:
    """Without what stands there."""
    path = tmp_path / "config"
    path.write_text("users:\n  - {token: canary\n")

    assert f"{path}: it is not YAML at line 3" in one_sentence(
        run("status", "--kubeconfig", str(path))
    )


def test_a_server_that_refuses_is_named(tmp_path: Path) -> None:
    """With the context, the file and why."""
    server = "https://127.0.0.1:9"
    path = kubeconfig(tmp_path, server)
    said = one_sentence(run("status", "--kubeconfig", str(path)))

    assert "the connection was refused" in said
    assert f"({server}, context lab of {path})" in said


def test_a_host_that_nobody_knows_is_named(tmp_path: Path) -> None:
    """As DNS would say."""
    path = kubeconfig(tmp_path, "https://nowhere.example.org")
    with patch("socket.getaddrinfo", side_effect=socket.gaierror):
        result = CliRunner().invoke(cli, ["status", "--kubeconfig", str(path)])

    assert result.exit_code == 2
    assert "cannot be asked (https://nowhere.example.org, context" in result.stderr
    assert "the host's name is not known" in result.stderr


def test_a_missing_credential_plugin_is_named(tmp_path: Path) -> None:
    """As the kubeconfig names it."""
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such"}
    path = kubeconfig(tmp_path, "https://127.0.0.1:9", exec=plugin)
    said = one_sentence(run("status", "--kubeconfig", str(path)))

    assert f"context lab of {path}: credential plugin no-such: there is no such" in said


def test_a_credential_plugin_that_fails_on_a_terminal_is_named(tmp_path: Path) -> None:
    """It says why by itself, in its own words: it has the terminal."""
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "IfAvailable",
        "command": "sh",
        "args": ["-c", "echo log in again >&2; exit 3"],
    }
    path = kubeconfig(tmp_path, "https://127.0.0.1:9", exec=plugin)
    terminal, written = pty.openpty()
    done = subprocess.run(
        [PROGRAM, "status", "--kubeconfig", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=written,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(terminal)
    os.close(written)

    assert done.returncode == 2
    said, why = done.stderr.splitlines()
    assert said == "log in again"
    assert why.endswith("credential plugin sh: it failed; what it said is above.")


def test_what_a_credential_plugin_says_is_printed_without_its_colors(
    tmp_path: Path,
) -> None:
    """A terminal would obey it, and no XML may hold it."""
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", r"printf '\033[31mno\033[2J\001 entry\n' >&2; exit 3"],
    }
    path = kubeconfig(tmp_path, "https://127.0.0.1:9", exec=plugin)
    for command in ("status", "doctor", "doctor -o junit", "status -A"):
        words = (*command.split(), "--kubeconfig", str(path))
        done = run(*words, PATH="/bin:/usr/bin")
        told = done.stdout + done.stderr

        assert done.returncode == 2
        assert "entry" in told
        assert told.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("stauts",), "'status'"),
        (("status", "--contxt", "x"), "--context"),
        (("certs", "shwo"), "'show'"),
    ],
)
def test_a_typing_mistake_is_understood(words: tuple[str, ...], hint: str) -> None:
    """In commands, in their commands and in options."""
    said = one_sentence(run(*words))

    assert "Did you mean" in said
    assert hint in said
    assert said.endswith("--help'.\n")


def test_without_a_command_help_is_shown() -> None:
    """As kubectl's plugins do."""
    done = run()

    assert done.returncode == 2
    assert "Commands:" in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`... | head` leaves no trace."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [PROGRAM, "explain", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)

    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_learns_by_the_programs_name(shell: str) -> None:
    """The script asks the program that it was made by."""
    done = run("completion", shell)

    assert done.returncode == 0
    assert "_KUBECTL_TRACKING_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["sta"], ["status"]),
        (["c"], ["companion", "certs", "completion"]),
        (["certs", ""], ["rotate", "show", "verify"]),
        (["status", "--all-c"], ["--all-contexts"]),
    ],
)
def test_kubectl_completes_as_it_asks(
    tmp_path: Path, typed: list[str], offered: list[str]
) -> None:
    """Its helper prints one candidate a line, then what to do with them."""
    script = tmp_path / "kubectl_complete-tracking"
    script.write_text(run("completion", "kubectl").stdout)
    script.chmod(0o755)
    path = f"{PROGRAM.parent}:/usr/bin:/bin"
    done = subprocess.run(
        [script, *typed],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": path},
    )

    assert done.stdout.splitlines() == [*offered, ":4"]


def test_versions_here_and_there_are_printed() -> None:
    """And with --client no cluster is asked."""
    site = FakeInstallation()
    site.publish(found())
    with reached(site), patch("webhook.cli.version.now", lambda: NOW):
        text = CliRunner().invoke(cli, ["version"]).output
        document = CliRunner().invoke(cli, ["version", "-o", "json"]).output

    assert text.split() == [
        *("client", __version__, "webhook", __version__, "companion", __version__),
        *("kubernetes", "v1.36.3"),
    ]
    assert msgspec.json.decode(document, type=VersionDocument).webhook == __version__
    assert run("version", "--client", HOME="/").stdout == f"client      {__version__}\n"


@pytest.mark.parametrize("output", ["text", "json"])
def test_this_commands_version_is_printed_without_a_cluster(
    tmp_path: Path, output: str
) -> None:
    """Before it is said that there is no access."""
    done = run("version", "-o", output, HOME=str(tmp_path))

    assert (done.returncode, done.stdout.count(__version__)) == (2, 1)
    assert "there is no such file" in done.stderr
    if output == "json":
        document = msgspec.json.decode(done.stdout, type=VersionDocument)
        assert document == VersionDocument(client=__version__)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_without_a_cluster(command: str) -> None:
    """With examples or exit codes, and no traceback."""
    result = CliRunner().invoke(cli, [command, "--help"])

    assert result.exit_code == 0
    assert "Traceback" not in result.output
