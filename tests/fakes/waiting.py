"""Waiting for what other threads do."""

import time
from collections.abc import Callable


def eventually(holds: Callable[[], object], seconds: float = 5.0) -> bool:
    """Return whether it comes to hold."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
