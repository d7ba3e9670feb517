"""The image of the task pods: Ray, Spark with its Java, and MLflow, client and server.

One layer of a gigabyte, packed straight into an archive and kept in the lab's cache
under the digest of everything that it is made from.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from tests.lab import oci, system
from tests.lab.build import Draft, Say, Toolbox
from tests.lab.tools import LOCKS, LabError

NAME: Final = "lab.local/task:1"

_SYSTEM: Final = system.System(
    suite="bookworm",
    packages=(
        *("bash", "openjdk-17-jre-headless", "procps", "python3", "python3-pip"),
        "wget",  # KubeRay's probes
    ),
)
_LOCKS: Final = (LOCKS / "build.txt", LOCKS / "task.txt")
_ENTRYPOINT: Final = Path(__file__).parent / "task" / "entrypoint.sh"
_SPARK_HOME: Final = "/usr/local/lib/python3.11/dist-packages/pyspark"


def archive(toolbox: Toolbox) -> Path:
    """The image's archive.

    Raises:
        LabError: If it is not there.
    """
    path = _folder(toolbox) / "image.oci.tar"
    if not path.is_file():
        raise LabError(f"missing: the task image ({path}; run `.ci/run node-build`)")
    return path


def build(toolbox: Toolbox, *, say: Say) -> None:
    """Build the image unless it is there; needs root and the network.

    Raises:
        LabError: If a part fails.
    """
    folder = _folder(toolbox)
    if folder.is_dir():
        return
    with Draft(folder) as draft:
        root, layer = draft / "root", draft / "layer.tar"
        system.bootstrap(_SYSTEM, root, environ=toolbox.environ, say=say)
        system.pip_install(root, _LOCKS, environ=toolbox.environ, say=say)
        shutil.copy(_ENTRYPOINT, root / "opt" / "entrypoint.sh")
        say("packing the task image")
        system.pack_layer(root, layer)
        oci.pack(draft / "image.oci.tar", _image(), [layer])
        shutil.rmtree(root)
        layer.unlink()


def _image() -> oci.Image:
    return oci.Image(
        name=NAME,
        entrypoint=("/opt/entrypoint.sh",),
        environment={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "SPARK_HOME": _SPARK_HOME,
            "PYSPARK_PYTHON": "python3",
        },
    )


def _folder(toolbox: Toolbox) -> Path:
    parts = [repr(_SYSTEM), repr(_image())]
    made_by = (*_LOCKS, _ENTRYPOINT, Path(system.__file__))
    contents = [path.read_bytes() for path in made_by]
    recipe = b"\0".join([*(part.encode() for part in parts), *contents])
    return toolbox.cache / f"image-task-{hashlib.sha256(recipe).hexdigest()[:16]}"
