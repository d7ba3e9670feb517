"""What every case ends with: reviews are answered, and nothing restarted.

The fixtures of the tiers whose tests the red team's resemble come from there.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.cluster.conftest import own_plane, toolbox
from tests.server.bodies import RAY_HEAD
from tests.server.conftest import _folder, _pair, _server
from tests.server.process import Server

__all__ = ["_folder", "_pair", "_server", "own_plane", "toolbox"]

REVIEWS: Final = 100
BEARABLE: Final = 1.0
"""Seconds: the 99th percentile of a hundred reviews, and a third of what API servers
wait."""


def waits(
    ask: Callable[[], bool], *, seconds: float = 2.0, pause: float = 0.01
) -> list[float]:
    """How long each of some answers takes; all are right."""
    found: list[float] = []
    end = time.monotonic() + seconds
    while len(found) < REVIEWS and (time.monotonic() < end or len(found) < 10):
        begun = time.perf_counter()
        assert ask()
        found.append(time.perf_counter() - begun)
        time.sleep(pause)
    return found


def held_back(found: list[float]) -> float:
    """The 99th percentile: of a hundred, the last but one."""
    return sorted(found)[-2]


@pytest.fixture(name="reviews_go_on", autouse=True)
def _reviews_go_on(server: Server) -> Iterator[None]:
    """After each case, whoever it attacked: reviews within 1 s, by the same process."""
    worker, process = server.worker(), server.process.pid
    yield
    with server.client() as client:
        found = waits(lambda: client.mutate(RAY_HEAD).status == 200, pause=0)
    assert held_back(found) < BEARABLE
    assert (server.worker(), server.process.pid) == (worker, process)
    assert server.process.poll() is None
