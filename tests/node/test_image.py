"""Two builds of one checkout are one image, and leave none of it mounted.

Root only; run by `.ci/run e2e`.
"""

import os
import sys
from pathlib import Path

from tests.lab import own_image
from tests.lab.build import Toolbox


def test_two_builds_give_one_digest() -> None:
    """Without a cache, so that everything is downloaded, compiled and packed twice."""
    toolbox = Toolbox.from_environment(os.environ)  # noqa: TID251 - an entry point

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    first, second = (own_image.rebuilt(toolbox, say=say) for _ in range(2))

    mounted = f" {own_image.storage_of(toolbox)}/root/overlay/"
    assert mounted not in Path("/proc/mounts").read_text("utf-8")
    assert first == second
    assert first.startswith("sha256:")
