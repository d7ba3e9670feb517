"""Exponential backoff with jitter, bounded."""

import random
from dataclasses import dataclass
from typing import Final

SHORTEST: Final = 0.2
"""Seconds after the first failure: a restarted API server is back in about that."""
LONGEST: Final = 15.0
"""Seconds at most: what came back is noticed soon, and 1 000 clients are still few."""


@dataclass(slots=True)
class Backoff:
    """Seconds to wait after so many failures in a row.

    Half of the wait is fixed and half random, so that clients that failed together do
    not come back together. It never gives up.
    """

    failures: int = 0

    def next(self) -> float:
        """Return the seconds to wait after one more failure."""
        # The exponent is bounded: a float would overflow after a day of failures.
        ceiling = min(LONGEST, SHORTEST * 2.0 ** min(self.failures, 20))
        self.failures += 1
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - no secret: a wait

    def reset(self) -> None:
        """Start anew after a success."""
        self.failures = 0
