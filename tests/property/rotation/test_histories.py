"""Rotation under every fault we know of, over thousands of histories.

The invariants, checked whenever anything changes or time passes:

I1   API servers trust what replicas serve, by clocks within the skew.
I2   What is served was trusted for the dwell before.
I3   No root is dropped that a replica still serves.
I4   The bundle ends as what the state requires, at most three roots, none expired.
I5   The serving Secret always holds a pair.
I6   Of the webhook configuration nothing but bundles is written.
I7   No CA key is in any object: nothing that the codec writes has a place for one.
I8   Whoever finds everything in order writes nothing.
I9   Three calm hours bring everything in order.
I10  A Secret without our label is never written.

A failure prints the history; `play(seed)` repeats it.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import settings

from tests.property.rotation.histories import play

PER_EXAMPLE = 10
"""Histories for each of the profile's examples: 10 000, or 300 when it is quick."""
CHUNK = 100


def test_no_history_breaks_an_invariant() -> None:
    """Crashes, rivals, API errors, lag, skew and tampering, in any order."""
    histories = PER_EXAMPLE * settings().max_examples
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        causes = set().union(*pool.map(causes_of, range(0, histories, CHUNK)))

    # The histories reach what they are about, not only the fair-weather path.
    assert {
        "Bootstrap", "Emergency", "PairDrift", "Pruned", "Recovered", "Renewal",
        "Requested", "Retired", "Switch", "SwitchSeen", "TrustSeen", "Untrusted",
    } <= causes  # fmt: skip


def causes_of(first: int) -> set[str]:
    """What companions did in the histories from this seed on; in any process."""
    return {
        cause
        for seed in range(first, first + CHUNK)
        for companion in play(seed).companions
        for cause in companion.causes
    }


@pytest.mark.parametrize("seed", range(20))
def test_real_certificates_keep_the_invariants_too(seed: int) -> None:
    """The same histories with X.509 instead of the mint's names and dates."""
    history = play(seed, real=True)

    assert history.world.pair() is not None
