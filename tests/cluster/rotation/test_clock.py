"""A companion whose clock is a year ahead of the API server's."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tests.cluster.rotation.installation import (
    HOME,
    NAMESPACE,
    RELEASE,
    Installation,
)
from tests.cluster.rotation.load import Load
from tests.lab.processes import wait_for

if TYPE_CHECKING:
    import pytest

ASTRAY = (sys.executable, "-m", "tests.cluster.rotation.astray", "365")


def test_a_clock_a_year_ahead_breaks_nothing(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """By it every certificate has expired; no pod is missed, and nothing is written.

    Not even a rotation that somebody asks for begins; once the clock is right, it does.
    """
    installed.stop_companion()
    told = _told(installed)
    before = installed.current()
    with Load(installed.plane, NAMESPACE) as load:
        installed.start_companion(*ASTRAY)
        wait_for("the complaint", lambda: _told(installed) > told)
        wait_for("its Event", lambda: ("ClockDiffers", RELEASE) in _events(installed))
        installed.request_rotation()
        bundles = installed.bundles()
        time.sleep(6)  # it looks again after five seconds
        unchanged = (installed.current(), installed.bundles())
        installed.stop_companion()

    assert (before, bundles) == unchanged
    assert (load.missed, load.refused, load.failed_open()) == ([], [], 0.0)
    with capsys.disabled():
        sys.stdout.write(f"\na year ahead: {load.created} pods, none missed\n")
    installed.start_companion()
    wait_for(
        "the rotation that was asked for",
        lambda: installed.current() != before and installed.is_settled(),
    )


def test_a_clock_a_year_ahead_still_repairs_a_bundle(installed: Installation) -> None:
    """That takes no clock."""
    installed.stop_companion()
    before = installed.bundles()
    installed.start_companion(*ASTRAY)
    told = _told(installed)
    wait_for("the complaint", lambda: _told(installed) > told)

    installed.empty_bundles()
    wait_for("the repair", lambda: installed.bundles() == before, seconds=5)

    installed.stop_companion()
    installed.start_companion()


def _events(installed: Installation) -> set[tuple[str, str]]:
    """The reason of each Event in the release namespace, and what it is about."""
    found = installed.plane.admin.get(f"/api/v1/namespaces/{HOME}/events")["items"]
    return {(one["reason"], one["involvedObject"]["name"]) for one in found}


def _told(installed: Installation) -> int:
    return (
        (installed.folder / "companion.log")
        .read_text()
        .count('"reason":"ClockDiffers"')
    )
