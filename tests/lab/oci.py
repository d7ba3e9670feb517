"""Packs an image archive straight from layers, for images that no tool has to build.

A layer is a tar file, named by its digest; nothing is compressed. The archive is
what `ctr images import` takes, in the OCI image layout.

Source: https://github.com/opencontainers/image-spec (image-layout, manifest, config).
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_TYPE: Final = "application/vnd.oci.image"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What an image says beside its layers.

    Attributes:
        name: Full reference, such as `lab.local/pause:1`.
        entrypoint: The program it starts and its arguments.
        environment: The image's `ENV`.
        user: User id that it runs as; empty is root.
    """

    name: str
    entrypoint: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""


def pack(archive: Path, image: Image, layers: Sequence[Path]) -> None:
    """Write an archive with one image.

    Args:
        archive: The file to make.
        image: What it says.
        layers: Uncompressed tar files, lowest first.
    """
    digests = [_digest(layer) for layer in layers]
    config = _json(
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {
                "Entrypoint": list(image.entrypoint),
                "Env": [f"{k}={v}" for k, v in image.environment.items()],
                "User": image.user,
            },
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": [{"created_by": "packed"} for _ in digests],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_TYPE}.manifest.v1+json",
            "config": _descriptor("config.v1+json", config),
            "layers": [
                {
                    "mediaType": f"{_TYPE}.layer.v1.tar",
                    "digest": digest,
                    "size": layer.stat().st_size,
                }
                for digest, layer in zip(digests, layers, strict=True)
            ],
        }
    )
    names = {"io.containerd.image.name": image.name}
    entry = _descriptor("manifest.v1+json", manifest) | {"annotations": names}
    with tarfile.open(archive, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2, "manifests": [entry]}))
        for blob in (config, manifest):
            _add(tar, _blob_path(_digest_of(blob)), blob)
        for digest, layer in zip(digests, layers, strict=True):
            tar.add(layer, _blob_path(digest))


def layer(
    path: Path, programs: Mapping[str, Path], *, links: Mapping[str, str] | None = None
) -> Path:
    """Write a layer of single programs, and return its path.

    Args:
        path: The tar file to make.
        programs: Where each goes in the image, without a leading slash; where it is.
        links: Symbolic links: where, and to what.
    """
    with tarfile.open(path, "w") as tar:
        for name, program in programs.items():
            _add(tar, name, program.read_bytes(), mode=0o755)
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return path


def _add(tar: tarfile.TarFile, name: str, body: bytes, *, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(body), mode
    tar.addfile(info, io.BytesIO(body))


def _descriptor(kind: str, body: bytes) -> dict[str, Any]:
    return {
        "mediaType": f"{_TYPE}.{kind}",
        "digest": _digest_of(body),
        "size": len(body),
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
