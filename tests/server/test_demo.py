"""The demo shows the whole job within seconds, and leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tests.server.process import COMMAND
from webhook.cli import demo_server
from webhook.samples import PROMISED, reviews

PATIENCE = 30.0
"""Seconds for what takes one or two; the machines are shared."""


def test_every_captured_pod_is_as_promised() -> None:
    """For a script: all reviews, the right containers, exit code 0."""
    result = subprocess.run(
        [COMMAND, "demo", "-o", "json"], capture_output=True, check=False, text=True
    )

    found = json.loads(result.stdout)
    assert (0, True) == (result.returncode, found["asPromised"])
    assert list(reviews()) == [pod["name"] for pod in found["pods"]]
    assert PROMISED == {
        pod["name"]: tuple(pod["containers"])
        for pod in found["pods"]
        if pod["reason"] == "Injected"
    }


def test_the_table_reads_well_in_a_pipe() -> None:
    """80 columns, no color codes, and what was added is marked."""
    result = subprocess.run(
        [COMMAND, "demo"], capture_output=True, check=False, text=True
    )

    lines = result.stdout.splitlines()
    assert lines[-1].endswith("15 pods injected, 3 left alone; all as promised.")
    assert 16 == result.stdout.count("+ michelangelo-tracking")
    assert [] == [line for line in lines if len(line) > 80 or "\x1b" in line]


def test_a_server_that_does_not_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own last words, at once."""
    monkeypatch.setattr(demo_server, "_free_ports", lambda _: [99_999, 99_999])

    problem = r"the server ended\. Its last lines:"
    with (
        pytest.raises(click.ClickException, match=problem),
        demo_server.running_server(),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_at_the_start_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Even when the server's process exists and nobody holds it yet."""
    started = []

    class InterruptedPopen(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self.pid)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(subprocess, "Popen", InterruptedPopen)

    with pytest.raises(KeyboardInterrupt), demo_server.running_server():
        pass

    assert [False] == [Path(f"/proc/{pid}").exists() for pid in started]


@pytest.fixture(name="demo")
def _demo(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    """A demo whose server is running: the process, the server's id, its folder."""
    process = subprocess.Popen(
        [COMMAND, "demo"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process, *_server_of(process.pid)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(
    demo: tuple[subprocess.Popen[bytes], int, Path], number: signal.Signals
) -> None:
    """No process, no port, no key on disk."""
    process, server, folder = demo

    process.send_signal(number)

    assert 130 == process.wait(PATIENCE)
    assert (False, False) == (Path(f"/proc/{server}").exists(), folder.exists())


def _server_of(parent: int) -> tuple[int, Path]:
    children = Path(f"/proc/{parent}/task/{parent}/children")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for child in children.read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes().decode()
            if folder := re.search(r"--cert-dir\0([^\0]+)", command):
                return int(child), Path(folder.group(1))
        time.sleep(0.01)
    raise TimeoutError("the demo started no server")
