"""Doctor names the one thing that is broken, and is silent where nothing is."""

import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from tests.cluster.doctor.faults import FAULTS, Fault
from tests.cluster.doctor.world import World
from webhook.cli.main import cli

PAGE: Final = Path(__file__).parents[3] / "docs" / "reference" / "faults.md"
PATIENCE: Final = 20.0
"""Seconds until a fault shows in what the companion and the API server tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was said about a fault.

    Attributes:
        fault: which.
        named: the code of the first cause, at last.
        seconds: until it was named.
        exit_code: of `status` meanwhile.
    """

    fault: Fault
    named: str
    seconds: float
    exit_code: int

    @property
    def right(self) -> bool:
        """Whether it is the one thing that was broken."""
        return self.named == self.fault.code


@pytest.fixture(name="found", scope="module")
def _found(world: World) -> list[Found]:
    """Every fault in turn, on the one installation, which is healthy in between."""
    found = []
    for fault in FAULTS:
        with contextlib.contextmanager(fault.bring)(world) as namespaces:
            found.append(_examine(world, fault, namespaces))
        world.settle()
        one = found[-1]
        sys.stdout.write(
            f"{'ok ' if one.right else 'NOT'} {one.seconds:5.1f} s, status "
            f"{one.exit_code}  {fault.code:24} {one.named:24} {fault.name}\n"
        )
    return found


def _examine(world: World, fault: Fault, namespaces: tuple[str, ...]) -> Found:
    """Look until it is named, and once more: an answer has to stay."""
    started = time.monotonic()
    named, before = "", ""
    while time.monotonic() - started < PATIENCE:
        named, before = world.cause(*namespaces), named
        if named == before == fault.code:
            break
    seconds = time.monotonic() - started
    return Found(
        fault=fault, named=named, seconds=seconds, exit_code=status(world, namespaces)
    )


def status(world: World, namespaces: tuple[str, ...]) -> int:
    """The exit code of `kubectl tracking status`."""
    words = ["status", "--kubeconfig", str(world.plane.kubeconfig)]
    words += [word for name in namespaces for word in ("-n", name)]
    return CliRunner().invoke(cli, words).exit_code


def test_doctor_names_the_fault(found: list[Found]) -> None:
    """Exactly it, as what is to be mended first, in 95 of a hundred at least."""
    wrong = [
        f"{one.fault.name}: {one.named or 'nothing'}" for one in found if not one.right
    ]

    assert len(found) >= 40
    assert len(wrong) <= len(found) * 0.05, wrong


def test_status_is_never_content(found: list[Found]) -> None:
    """Nor is it with what somebody may have wanted: `--accept` says so."""
    assert [one.fault.name for one in found if one.exit_code == 0] == []


def test_the_page_has_every_fault(
    found: list[Found], request: pytest.FixtureRequest
) -> None:
    """As it is kept in the documentation; `--update-golden` writes it."""
    text = page(found)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text, "utf-8")

    assert PAGE.read_text("utf-8") == text


def page(found: list[Found]) -> str:
    """The table of faults."""
    rows = [
        f"| {one.fault.name} | [`{one.named}`](checks.md#{one.named.lower()}) | "
        f"{'not in order' if one.exit_code else 'in order'} |"
        for one in found
    ]
    head = (
        "# Faults\n\nWhat was broken on purpose, one thing at a time, on a real API "
        "server with the real companion and webhook;\nwhat `kubectl tracking doctor` "
        "named as the first cause; and what `status` made of it. "
        "`.ci/run doctor` does it again.\n\n"
    )
    table = ["| fault | first cause | `status` |", "|---|---|---|", *rows, ""]
    return head + "\n".join(table)
