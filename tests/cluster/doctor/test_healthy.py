"""Doctor is silent where nothing is broken, whatever the cluster looks like."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import pytest

from tests.cluster.doctor.faults import add_pod, policy, remove_pod, settings
from tests.cluster.doctor.test_faults import status
from tests.cluster.doctor.world import TEAMS, World
from webhook.doctor.check import Outcome

LOOKS: Final = 15
"""At each shape; seven shapes make more than a hundred."""
ISOLATED: Final = {"podSelector": {}, "policyTypes": ["Egress", "Ingress"]}
DNS: Final = {
    "podSelector": {},
    "policyTypes": ["Egress"],
    "egress": [{"ports": [{"port": 53, "protocol": "UDP"}], "to": []}],
}


@contextmanager
def as_it_is(world: World) -> Iterator[None]:
    """Two namespaces, additive egress that has nothing to add."""
    del world
    yield


@contextmanager
def isolated(world: World) -> Iterator[None]:
    """Namespaces whose policies isolate pods: egress adds what is missing."""
    with (
        policy(world, TEAMS[0], "isolated", ISOLATED),
        policy(world, TEAMS[1], "dns", DNS),
    ):
        yield


@contextmanager
def egress_off(world: World) -> Iterator[None]:
    """A companion that leaves egress alone."""
    with settings(world, MTI_EGRESS_MODE="off"):
        yield


@contextmanager
def unaudited(world: World) -> Iterator[None]:
    """A companion that does not look at pods."""
    with settings(world, MTI_AUDIT="off"):
        yield


@contextmanager
def enforced(world: World) -> Iterator[None]:
    """Keys that hold whatever a pod sets, and a list of allowed namespaces."""
    with settings(
        world, MTI_ENFORCED_KEYS="TRACKING_URI", MTI_ALLOWED_NAMESPACES="team-*"
    ):
        yield


@contextmanager
def busy(world: World) -> Iterator[None]:
    """Pods of all sorts, injected ones among them."""
    pods = [add_pod(world, TEAMS[0]) for _ in range(5)]
    yield
    for name in pods:
        remove_pod(world, TEAMS[0], name)


@contextmanager
def large(world: World) -> Iterator[None]:
    """Fifty namespaces."""
    names = [world.namespace(f"team-{number:02}") for number in range(48)]
    yield
    world.remove(*names)


SHAPES: Final = (as_it_is, isolated, egress_off, unaudited, enforced, busy, large)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_no_false_alarm(
    world: World, shape: Callable[[World], AbstractContextManager[None]]
) -> None:
    """No failure and no warning, at any of many looks; and `status` is content."""
    with shape(world):
        world.settle()
        seconds = []
        for _ in range(LOOKS):
            started = time.monotonic()
            found = world.examine()
            seconds.append(time.monotonic() - started)
            alarms = [
                f"{one.namespace} {one.check.code}: {one.symptoms}"
                for one in found
                if one.outcome in (Outcome.WARNING, Outcome.FAILURE)
            ]
            assert alarms == []
        assert status(world, ()) == 0
        sys.stdout.write(
            f"\n{shape.__name__}: {LOOKS} looks without an alarm, "
            f"{max(seconds):.2f} s at worst\n"
        )
        assert max(seconds) < 10
    world.settle()
