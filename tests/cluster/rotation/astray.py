"""The companion as its Deployment runs it, on a machine whose clock is ahead.

`python -m tests.cluster.rotation.astray DAYS companion …`
"""

import sys
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

from webhook.cli.main import cli
from webhook.companion.certificates.look import Look, Looker

_LOOK = Looker.look


def run(days: int, words: list[str]) -> None:
    """Run the command with a wall clock of its own."""

    def ahead(looker: Looker) -> Look:
        found = _LOOK(looker)
        return replace(found, now=found.now + timedelta(days=days))

    with patch.object(Looker, "look", ahead):
        cli(words)


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2:])
