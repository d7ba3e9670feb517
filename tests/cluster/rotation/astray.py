"""The companion as its Deployment runs it, on a machine whose clock is ahead.

`python -m tests.cluster.rotation.astray DAYS companion …`
"""

import sys
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

from webhook.cli.main import cli
from webhook.companion.certificates.observe import Observation, Observer

_OBSERVE = Observer.observe


def run(days: int, words: list[str]) -> None:
    """Run the command with a wall clock of its own."""

    def ahead(observer: Observer) -> Observation:
        found = _OBSERVE(observer)
        return replace(found, now=found.now + timedelta(days=days))

    with patch.object(Observer, "observe", ahead):
        cli(words)


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2:])
