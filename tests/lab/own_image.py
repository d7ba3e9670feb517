"""The product's image, built from the checkout's own Dockerfile.

Only the two bases that it names are made here, by debootstrap instead of from a
registry: Debian's Python stands where the Dockerfile expects one. They are kept in
the lab's cache, and so are buildah's layers, so that a change of code costs seconds.
"""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.lab import oci, system
from tests.lab.build import Draft, Say, Toolbox, run_long
from tests.lab.tools import LabError
from webhook import __version__

REPOSITORY: Final = "lab.local/tracking-injector"
TAG: Final = "lab"
EPOCH: Final = 315532800
"""The time of every file in an image that is built twice: that of the Dockerfile."""

_PROJECT: Final = Path(__file__).parents[2]
_SUITE: Final = "trixie"
_BASE: Final = system.System(suite=_SUITE, packages=("python3",))
_BUILD_BASE: Final = system.System(
    suite=_SUITE,
    packages=("gcc", "libc6-dev", "python3", "python3-dev", "python3-venv"),
)


def build(toolbox: Toolbox, *, say: Say) -> None:
    """Build the image of the checkout as it is now; needs root and the network.

    Raises:
        LabError: If a part fails.
    """
    target = archive(toolbox)
    target.unlink(missing_ok=True)
    name = f"{REPOSITORY}:{TAG}"
    with _alone(toolbox):
        _bud(toolbox, "--layers", "--tag", name, say=say)
        _run([*_buildah(toolbox), "push", name, f"oci-archive:{target}:{name}"])


def rebuilt(toolbox: Toolbox, *, say: Say) -> str:
    """Build it from nothing, as a release is built, and return its digest.

    Raises:
        LabError: If a part fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "id")
        how = ("--no-cache", f"--timestamp={EPOCH}", f"--iidfile={written}")
        with _alone(toolbox):
            _bud(toolbox, *how, say=say)
            identity = written.read_text("ascii").strip()
            _run([*_buildah(toolbox), "rmi", identity])
    return identity


@contextmanager
def _alone(toolbox: Toolbox) -> Iterator[None]:
    """Let no other build of the lab's run, and leave nothing mounted at the end.

    Of each build buildah 1.28 keeps the container of the base that another stage copies
    from, mounted.
    """
    storage = storage_of(toolbox)
    storage.mkdir(parents=True, exist_ok=True)
    with (storage / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield
        finally:
            _run([*_buildah(toolbox), "rm", "--all"])


def _bud(toolbox: Toolbox, *how: str, say: Say) -> None:
    bases = [
        f"--build-arg={name}={_build_base(toolbox, name, base, say=say)}"
        for name, base in (("BUILD_BASE", _BUILD_BASE), ("BASE", _BASE))
    ]
    run_long(
        [
            *(*_buildah(toolbox), "bud", "--isolation=chroot", "--pull=never"),
            *(*bases, f"--build-arg=VERSION={__version__}", *how, str(_PROJECT)),
        ],
        what="the product's image",
        unit="lines from buildah",
        cwd=_PROJECT,
        env=toolbox.environ,
        say=say,
    )


def storage_of(toolbox: Toolbox) -> Path:
    """Where buildah keeps layers, and mounts them while it builds."""
    return toolbox.cache / "buildah"


def archive(toolbox: Toolbox) -> Path:
    """Where the image's archive is, once it is built."""
    return toolbox.cache / "image-tracking-injector.oci.tar"


def _build_base(toolbox: Toolbox, name: str, base: system.System, *, say: Say) -> str:
    """Make one base unless it is there, and return what buildah calls it."""
    recipe = repr(base).encode() + Path(system.__file__).read_bytes()
    digest = hashlib.sha256(recipe).hexdigest()[:16]
    folder = toolbox.cache / f"image-{name.lower()}-{digest}"
    if not folder.is_dir():
        with Draft(folder) as draft:
            root, layer = draft / "root", draft / "layer.tar"
            system.bootstrap(base, root, environ=toolbox.environ, say=say)
            if base is _BUILD_BASE:
                system.let_reach_out(root, toolbox.environ)
            system.pack_layer(root, layer)
            image = oci.Image(name=f"localhost/{name.lower()}")
            oci.pack(draft / f"{name}.tar", image, [layer])
            shutil.rmtree(root)
            layer.unlink()
    buildah = _buildah(toolbox)
    pulled = _run([*buildah, "pull", "--quiet", f"oci-archive:{folder / name}.tar"])
    return pulled.split()[-1]


def _buildah(toolbox: Toolbox) -> Sequence[str]:
    """Buildah, all its files in the lab's cache."""
    storage = storage_of(toolbox)
    where = (f"--root={storage / 'root'}", f"--runroot={storage / 'run'}")
    return ("buildah", *where, "--storage-driver=overlay")


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
