"""The product's image, from this checkout: the locked dependencies, then the project.

The layer with the system and the dependencies is kept in the lab's cache under the
digest of what it is made from; the project's own layer is packed anew each time.
"""

import hashlib
import shutil
import tarfile
from pathlib import Path
from typing import Final

from tests.lab import oci, system
from tests.lab.build import Draft, Say, Toolbox
from tests.lab.tools import LOCKS, LabError

REPOSITORY: Final = "lab.local/tracking-injector"
TAG: Final = "lab"

_PROJECT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("webhook", "certs")
_COMPILER: Final = ("gcc", "libc6-dev", "python3-dev")  # one dependency is a source
_SYSTEM: Final = system.System(
    suite="bookworm", packages=("python3", "python3-pip", *_COMPILER)
)
_LOCKS: Final = (LOCKS / "build.txt", _PROJECT / "requirements" / "run.txt")
_START: Final = "import sys; from webhook.cli.main import main; sys.exit(main())"


def build_base(toolbox: Toolbox, *, say: Say) -> None:
    """Build the layer below the project unless it is there; root and network.

    Raises:
        LabError: If a part fails.
    """
    folder = _folder(toolbox)
    if folder.is_dir():
        return
    with Draft(folder) as draft:
        root = draft / "root"
        system.bootstrap(_SYSTEM, root, environ=toolbox.environ, say=say)
        system.pip_install(root, _LOCKS, environ=toolbox.environ, say=say)
        system.remove(root, (*_COMPILER, "python3-pip"), say=say)
        system.pack_layer(root, draft / "base.tar")
        shutil.rmtree(root)


def pack(toolbox: Toolbox, folder: Path, *, tag: str = TAG) -> Path:
    """Pack the image of the checkout as it is now, and return its archive.

    Raises:
        LabError: If the base is not built.
    """
    base = _folder(toolbox) / "base.tar"
    if not base.is_file():
        raise LabError(f"missing: the image's base ({base}; run `.ci/run node-build`)")
    project = folder / "project.tar"
    with tarfile.open(project, "w") as tar:
        for package in _PACKAGES:
            tar.add(_PROJECT / package, f"app/{package}", filter=_plain)
    image = oci.Image(
        name=f"{REPOSITORY}:{tag}",
        entrypoint=("/usr/bin/python3", "-c", _START),
        environment={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": "/app",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        user="65532",
    )
    archive = folder / f"tracking-injector-{tag}.oci.tar"
    oci.pack(archive, image, [base, project])
    return archive


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Drop caches; everything is root's and readable by all."""
    if info.name.endswith("__pycache__"):
        return None
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() else 0o644
    return info


def _folder(toolbox: Toolbox) -> Path:
    contents = [path.read_bytes() for path in (*_LOCKS, Path(system.__file__))]
    recipe = b"\0".join([repr(_SYSTEM).encode(), *contents])
    return toolbox.cache / f"image-base-{hashlib.sha256(recipe).hexdigest()[:16]}"
