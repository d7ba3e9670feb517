"""With the API server's own policy, no pod is missed whatever becomes of our pods.

Pods are created at 60 a second, as fast as a large cluster starts them, while the
webhook's pods are killed, replaced or away. A release's whole life has a module of its
own, for there it comes and goes (`test_in_tree_life.py`).
"""

import time
from collections.abc import Callable

import pytest

from tests.e2e.installation import PATIENCE, Installation
from tests.e2e.stream import Stream, fail_open
from tests.e2e.test_disruption import kill, mirrored, restart
from tests.lab.processes import wait_for
from webhook.companion.audit import AuditReason

RATE = 60
ONE_RUNS_OF = 600
AWAY = 120
"""Seconds without any webhook."""


def leave(installation: Installation) -> None:
    """Scale the webhook to nothing for two minutes."""
    installation.scale("webhook", 0)
    time.sleep(AWAY)
    installation.scale("webhook", 2)


@pytest.mark.parametrize("happens", [kill, restart, leave])
def test_no_pod_is_missed_whatever_becomes_of_the_webhook(
    installation: Installation,
    happens: Callable[[Installation], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each gets the keys once, and the auditor finds the same."""
    node, namespace = installation.node, mirrored(installation, happens.__name__)
    before = fail_open(node)

    with Stream(node, namespace, rate=RATE, one_runs_of=ONE_RUNS_OF) as stream:
        happens(installation)

    unanswered = fail_open(node) - before
    tell(capsys, f"{happens.__name__}: {unanswered:.0f} calls unanswered", stream)
    # Where nothing went unanswered, nothing was shown.
    assert unanswered or happens is restart
    assert ([], [], []) == (stream.refused, stream.missed, stream.doubled)
    found = {AuditReason.INJECTED: len(stream.created)}
    wait_for(
        f"{found} in {namespace}",
        lambda: found == audited(installation, namespace),
        seconds=PATIENCE,
    )
    stream.await_running()


def audited(installation: Installation, namespace: str) -> dict[str, int]:
    """What the companion's status says of a namespace's pods."""
    found = installation.status()["namespaces"].get(namespace, {})
    counts: dict[str, int] = found.get("pods", {})
    return counts


def tell(capsys: pytest.CaptureFixture[str], what: str, stream: Stream) -> None:
    """Print a figure for people."""
    seconds = stream.created[-1].answered - stream.created[0].sent
    rate = len(stream.created) / seconds
    with capsys.disabled():
        print(  # noqa: T201 - a figure for people
            f"\n{what}, {len(stream.missed)} of {len(stream.created)} pods missed the "
            f"keys ({rate:.0f} a second for {seconds:.0f} s, {stream.late:.1f} s late)"
        )
