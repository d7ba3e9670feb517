"""The product's built image, read as the archive that it is, without any registry."""

import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer.

    Attributes:
        size: Bytes of its files.
        files: Their paths, without a leading slash.
    """

    size: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image in the OCI layout.

    Attributes:
        archive: The file that it is read from.
        config: What it says of itself: user, labels, entrypoint, environment.
        layers: Lowest first.
    """

    archive: Path
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]

    @classmethod
    def read(cls, archive: Path) -> Self:
        """Read an archive with one image."""
        manifest = _manifest(archive)
        config = json.loads(_blob(archive, manifest["config"]["digest"]))
        layers = []
        for descriptor in manifest["layers"]:
            with _open_layer(archive, descriptor["digest"]) as layer:
                files = [one for one in layer if not one.isdir()]
                layers.append(
                    Layer(
                        size=sum(one.size for one in files),
                        files=tuple(one.name for one in files),
                    )
                )
        return cls(archive=archive, config=config["config"], layers=tuple(layers))

    @property
    def size(self) -> int:
        """Bytes of everything in it."""
        return sum(layer.size for layer in self.layers)

    def file(self, path: str) -> bytes:
        """The content of a file, as the highest layer has it."""
        for descriptor in reversed(_manifest(self.archive)["layers"]):
            with _open_layer(self.archive, descriptor["digest"]) as layer:
                for one in layer:
                    content = layer.extractfile(one) if one.name == path else None
                    if content is not None:
                        return content.read()
        raise FileNotFoundError(path)


def _manifest(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as outer:
        index = outer.extractfile("index.json")
        assert index is not None
        [entry] = json.load(index)["manifests"]
    manifest: dict[str, Any] = json.loads(_blob(archive, entry["digest"]))
    return manifest


def _blob(archive: Path, digest: str) -> bytes:
    with tarfile.open(archive) as outer:
        content = outer.extractfile(f"blobs/{digest.replace(':', '/')}")
        assert content is not None
        return content.read()


@contextmanager
def _open_layer(archive: Path, digest: str) -> Iterator[tarfile.TarFile]:
    with tarfile.open(archive) as outer:
        blob = outer.extractfile(f"blobs/{digest.replace(':', '/')}")
        with tarfile.open(fileobj=blob, mode="r|*") as layer:
            yield layer
