"""Rotations on an unmodified API server while pods are created without a pause."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tests.cluster.injector import task_pod
from tests.cluster.rotation.installation import (
    NAMESPACE,
    Installation,
)
from tests.cluster.rotation.load import FAIL_OPEN, MANY, Load
from tests.lab.processes import wait_for
from webhook.injection.names import INJECTED_LABEL

if TYPE_CHECKING:
    import pytest

ROTATIONS = 10


def test_ten_rotations_miss_no_pod(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is seen by many pods; the API server's own count of failures says so."""
    seen_by = []
    with Load(installed.plane, NAMESPACE) as load:
        for _ in range(ROTATIONS):
            before = load.created
            installed.rotate()
            seen_by.append(load.created - before)

    with capsys.disabled():
        sys.stdout.write(
            f"\n{ROTATIONS} rotations in {load.seconds:.0f} s, {load.created} pods, "
            f"{load.rate:.0f}/s, {len(load.missed)} missed\n"
        )
    assert (load.missed, load.refused, load.failed_open()) == ([], [], 0.0)
    assert min(seen_by) >= MANY


def test_an_emptied_bundle_is_repaired_within_two_seconds(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a Helm-like apply; only pods of the repair's window are missed."""
    with Load(installed.plane, NAMESPACE) as load:
        time.sleep(2)
        emptied = time.time()
        installed.empty_bundles()
        wait_for("the repair", lambda: all(installed.bundles()), seconds=20)
        repaired = time.time()
        time.sleep(3)

    window = repaired - emptied
    with capsys.disabled():
        sys.stdout.write(
            f"\nrepaired in {window * 1000:.0f} ms, {len(load.missed)} pods missed\n"
        )
    assert window < 2
    # The API server takes up to a second to act on its own configuration.
    assert [at for at in load.missed if not emptied - 1 <= at <= repaired + 1] == []
    assert load.refused == []


def test_the_count_of_failed_calls_rises_when_nobody_answers(
    installed: Installation,
) -> None:
    """So that a count of 0 elsewhere means something."""
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    before = installed.plane.admin.metric(FAIL_OPEN)

    installed.stop_webhooks()
    pod = installed.plane.admin.create(pods, task_pod())

    assert INJECTED_LABEL not in pod["metadata"]["labels"]
    assert installed.plane.admin.metric(FAIL_OPEN) == before + 1
    installed.start_webhooks()
    wait_for("the webhooks", installed.is_verified)
