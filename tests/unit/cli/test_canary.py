"""No command says a piece of a value, whatever is wrong with what it is given.

The commands are those that click knows: a new one is tried too, by what its options
read; one that reads nothing is named here with its reason.
"""

import io
import itertools
import logging
import tarfile
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner, Result

from tests.unit.cli.malformed import (
    answers,
    kubeconfig,
    kubeconfigs,
    manifests,
    pieces,
    sources,
    uris,
)
from webhook.cli.main import cli

INPUTS: Final = 100
"""Of each command, at least."""
READS_NOTHING: Final = {
    "completion": "prints a script of the shell's",
    "demo": "shows the captured reviews",
    "policy": "prints what the code knows, and takes choices",
    "serve": "reads a certificate and its settings: tests/server/test_operation.py",
}
SOURCES: Final = ("secret", "configmap", "source")
SERVERS: Final = ("address", "host", "nameserver", "baseline", "connect")
FIXED: Final = {"companion": ["--once"], "certs rotate": ["--now"]}
"""What makes a command end."""
PRINTS: Final = ("inject",)
"""Prints the manifests that it is given, which is its job; its errors say nothing."""


def commands(
    group: click.Group = cli, at: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Every command that can be called, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*at, name))
        else:
            yield " ".join((*at, name)), command


COMMANDS: Final = dict(commands())


class _Server(BaseHTTPRequestHandler):
    """Says something odd to whatever it is asked."""

    said: Final = itertools.cycle(answers())
    lock: Final = threading.Lock()

    def do_GET(self) -> None:
        """Answer."""
        with self.lock:
            body = next(self.said)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_GET  # noqa: N815 - names of the library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Say nothing."""


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def lines(name: str, folder: Path, server: str) -> Iterator[list[str]]:
    """Command lines for a command, each with something malformed for one option.

    All other options that have to be there get something good.
    """
    command = COMMANDS[name]
    good = folder / "good.yaml"
    good.write_text("kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a}]}")
    config = folder / "good-config"
    config.write_bytes(kubeconfig(server))
    base, tried = [*name.split(), *FIXED.get(name, [])], dict[str, list[str]]()
    for one in command.params:
        kind, option = str(one.name), one.opts[-1]
        if isinstance(one, click.Argument):
            base.append("p")
        elif isinstance(one.type, click.File):
            texts = sources() if kind in SOURCES else manifests()
            tried[option] = written(folder, kind, texts)
        elif kind == "kubeconfig":
            bad = kubeconfigs("http://127.0.0.1:9")
            tried[option] = written(folder, kind, bad) + [str(config)] * 20
        elif kind in SERVERS:
            tried[option] = uris()
    needed = {
        one.opts[-1]: ["--kubeconfig", str(config)]
        if one.name == "kubeconfig"
        else [one.opts[-1], str(good)]
        for one in command.params
        if one.name in ("files", "kubeconfig")
    }
    for option, values in tried.items():
        others = [w for key, words in needed.items() if key != option for w in words]
        yield from ([*base, *others, option, value] for value in values)


def written(folder: Path, kind: str, texts: list[bytes]) -> list[str]:
    """Files of these texts."""
    paths = [folder / f"{kind}-{number}" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    return [str(path) for path in paths]


def files(folder: Path) -> Iterator[str]:
    """What the command has written there, archives unpacked; it is gone then."""
    for path in sorted(folder.iterdir()):
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                for one in archive:
                    inner = archive.extractfile(one)
                    yield one.name
                    yield inner.read().decode("utf-8", "replace") if inner else ""
        else:
            yield path.read_text("utf-8", "replace")
        path.unlink()


def everything(result: Result, log: io.StringIO, name: str) -> str:
    """Whatever a person or a log collector would have seen."""
    silent = name in PRINTS and result.exit_code == 0
    said = result.stderr if silent else result.output
    raised = result.exception
    if raised is not None and not isinstance(raised, SystemExit):
        said += "".join(traceback.format_exception(raised))
    return said + log.getvalue()


@pytest.mark.parametrize("name", COMMANDS)
def test_no_piece_of_a_value_is_said(
    name: str, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in what it prints, nor in an error, nor in a library's log."""
    if name in READS_NOTHING:
        return
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    given = list(lines(name, tmp_path / "in", server))
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    said = {}
    environ = {"MTI_RELEASE_NAMESPACE": "home", "KUBECONFIG": "/nonexistent"}
    try:
        for words in given:
            result = CliRunner().invoke(cli, words, input="", env=environ)
            seen = [everything(result, log, name), *files(tmp_path / "out")]
            found = pieces("\n".join(seen))
            if found:
                said[" ".join(words)] = found
            log.truncate(0)
    finally:
        logging.getLogger().removeHandler(handler)

    assert len(given) >= INPUTS, "say what it reads, or why it reads nothing"
    assert said == {}


def test_what_reads_nothing_is_a_command() -> None:
    """Else its name here would hide another's."""
    assert READS_NOTHING.keys() <= COMMANDS.keys()
