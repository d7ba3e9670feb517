"""Where gunicorn's own protocol accepts a request, ours gives the same answer."""

import asyncio

from tests.server.framing import fuzz


def test_framing_is_gunicorns() -> None:
    """Streams split, pipelined, broken and smuggled; `.ci/run fuzz` has far more."""
    totals = asyncio.run(fuzz(5_000, seed=8))

    assert totals["accepted"] > 2_000
    assert totals["answers"] > totals["accepted"]
