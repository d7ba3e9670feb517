"""Takes from Debian what a node is made of: the container runtime and its plugins."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

from tests.lab.tools import LabError

NODE: Final = (
    "busybox-static",
    "containerd",
    "containernetworking-plugins",
    "iproute2",
    "iptables",
    "nftables",
    "runc",
)
"""What the node runs."""

IMAGES: Final = ("buildah", "debootstrap")
"""What images are built with."""


def install(packages: Sequence[str], *, say: Callable[[str], None]) -> None:
    """Install the packages that are missing, naming them.

    Raises:
        LabError: Without apt-get or root, or when apt-get fails.
    """
    if shutil.which("dpkg-query") is None:
        raise LabError(f"not a Debian; install these yourself: {' '.join(packages)}")
    missing = [name for name in packages if not _installed(name)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise LabError(f"missing packages, and no root to install: {' '.join(missing)}")
    say(f"installing from Debian: {' '.join(missing)}")
    _apt("update", "-qq")
    _apt("install", "-qq", "--no-install-recommends", *missing)


def _installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "-y", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},  # noqa: TID251 - apt's
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"apt-get {' '.join(arguments)}: {done.stderr.strip()}")
