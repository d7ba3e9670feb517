"""From its installation to its end a release with the policy misses no pod."""

import time

import pytest

from tests.e2e.installation import PATIENCE, Installation, delete_namespaces
from tests.e2e.stream import Stream
from tests.e2e.test_disruption import OTHER_TAG
from tests.e2e.test_in_tree import ONE_RUNS_OF, RATE, tell
from tests.lab import own_image
from tests.lab.listing import listing
from tests.lab.node import Node
from tests.lab.processes import wait_for
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL


def test_through_its_life_a_release_misses_no_pod_and_leaves_nothing(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the end of the installation to the begin of the uninstall."""
    before = listing(node.plane)
    namespace = node.plane.namespace("life", {INJECT_LABEL: INJECT_ENABLED})
    image = f"{own_image.REPOSITORY}:{own_image.TAG}"
    node.tag(image, f"{own_image.REPOSITORY}:{OTHER_TAG}")

    with Stream(node, namespace, rate=RATE, one_runs_of=ONE_RUNS_OF) as stream:
        release = Installation.install(node, {})
        begin = time.monotonic()
        release.upgrade({"image.tag": OTHER_TAG})
        release.rollback()
        release.upgrade({"injection.inTree": "false"})
        release.upgrade({"injection.inTree": "true"})
        end = time.monotonic()
        release.uninstall()

    tell(capsys, "install, upgrade, rollback, off, on, uninstall", stream)
    kept = [one for one in stream.created if begin < one.sent and one.answered < end]
    injected = [one for one in stream.created if one.references]
    first = min(one.answered for one in injected)
    last = max(one.sent for one in injected)
    between = [o for o in stream.created if first < o.sent and o.answered < last]
    assert first < begin
    assert ([], []) == (stream.refused, stream.doubled)
    assert {1} == {one.references for one in kept}
    # Nor while Helm still waited for the pods of the release, or for their end.
    assert {1} == {one.references for one in between}
    delete_namespaces(node, namespace)
    wait_for(
        "a cluster as before",
        lambda: before == listing(node.plane),
        seconds=PATIENCE,
    )
