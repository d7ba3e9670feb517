"""The images that a node itself needs, packed from single static programs."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.lab import oci
from tests.lab.build import Toolbox
from tests.lab.node_settings import PAUSE

BUSYBOX: Final = "lab.local/busybox:1"
"""A shell and the usual small programs."""

_SHELL: Final = Path("/bin/busybox")  # Debian's busybox-static


def pack_basics(toolbox: Toolbox, folder: Path) -> list[Path]:
    """Pack the pause image, busybox and CoreDNS.

    Args:
        toolbox: Where CoreDNS is.
        folder: Where the archives go.

    Returns:
        The archives.
    """
    shell = oci.layer(folder / "busybox.tar", {"bin/busybox": _SHELL}, links=_applets())
    dns = oci.layer(folder / "coredns.tar", {"coredns": toolbox.program("coredns")})
    images = (
        (oci.Image(name=PAUSE, entrypoint=("/bin/sleep", "infinity")), shell),
        (oci.Image(name=BUSYBOX, environment={"PATH": "/bin"}), shell),
        (oci.Image(name="lab.local/coredns:1", entrypoint=("/coredns",)), dns),
    )
    archives = []
    for number, (image, layer) in enumerate(images):
        archives.append(folder / f"basic-{number}.oci.tar")
        oci.pack(archives[-1], image, [layer])
    return archives


def _applets() -> Mapping[str, str]:
    listed = subprocess.run(
        [_SHELL, "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    return {f"bin/{name}": "busybox" for name in listed if name != "busybox"}
