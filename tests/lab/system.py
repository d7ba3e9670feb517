"""Root file systems of Debian, made by debootstrap, and layers packed from them."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.build import Say, run_long
from tests.lab.tools import LabError

_MIRROR: Final = "http://deb.debian.org/debian"
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_PACKED: Final = (
    *("./dev/*", "./proc/*", "./sys/*", "./tmp/*", "./run/*"),
    *("./var/cache/*", "./var/lib/apt/lists/*", "./var/log/*"),
    *("./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A Debian to make.

    Attributes:
        suite: Debian's release, such as `bookworm`.
        packages: What it holds beyond the minimum.
    """

    suite: str
    packages: Sequence[str]


def bootstrap(
    system: System, root: Path, *, environ: Mapping[str, str], say: Say
) -> None:
    """Make a root file system.

    Raises:
        LabError: If debootstrap fails.
    """
    run_long(
        [
            *("debootstrap", "--variant=minbase"),
            f"--include={','.join(system.packages)}",
            *(system.suite, str(root), _MIRROR),
        ],
        what=f"Debian {system.suite}",
        unit="lines from debootstrap",
        cwd=root.parent,
        env=environ,
        say=say,
    )


def let_reach_out(root: Path, environ: Mapping[str, str]) -> None:
    """Give a root file system that builds our way to PyPI: CAs and pip's settings."""
    settings = {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("PIP_")
    }
    if _CERTIFICATES.exists():
        (root / "etc" / "lab-ca.crt").write_bytes(_CERTIFICATES.read_bytes())
        settings["cert"] = "/etc/lab-ca.crt"
    lines = ["[global]", *(f"{name} = {value}" for name, value in settings.items())]
    (root / "etc" / "pip.conf").write_text("\n".join(lines) + "\n", "utf-8")


def pip_install(
    root: Path, locks: Sequence[Path], *, environ: Mapping[str, str], say: Say
) -> None:
    """Install Python packages inside, with the system's own pip and our network.

    Args:
        root: A root file system with `python3-pip`.
        locks: Requirements with hashes, installed one after the other.
        environ: Where pip's own settings (`PIP_…`) are taken from.
        say: Takes one line of progress at a time.

    Raises:
        LabError: If pip fails.
    """
    ours = {name: value for name, value in environ.items() if name.startswith("PIP_")}
    scratch = root / "tmp" / "pip"
    scratch.mkdir()
    (root / "etc/resolv.conf").write_bytes(Path("/etc/resolv.conf").read_bytes())
    if _CERTIFICATES.exists():
        (scratch / "ca.crt").write_bytes(_CERTIFICATES.read_bytes())
        ours |= {"PIP_CERT": "/tmp/pip/ca.crt"}  # noqa: S108 - inside
    pip = ("python3", "-m", "pip", "install", "--break-system-packages")
    how = ("--require-hashes", "--no-build-isolation", "--no-cache-dir")
    for lock in locks:
        (scratch / lock.name).write_bytes(lock.read_bytes())
        run_long(
            ["chroot", str(root), *pip, *how, "-r", f"/tmp/pip/{lock.name}"],  # noqa: S108 - inside
            what=f"{lock.stem} from PyPI",
            unit="lines from pip",
            cwd=root,
            env={"PATH": _PATH, "HOME": "/root", **ours},
            say=say,
        )


def pack_layer(root: Path, layer: Path) -> None:
    """Pack a root file system into an uncompressed layer.

    Raises:
        LabError: If tar fails.
    """
    leave_out = [f"--exclude={pattern}" for pattern in _NOT_PACKED]
    tar = ["tar", "--numeric-owner", "--sort=name", *leave_out]
    done = subprocess.run(
        [*tar, "-C", root, "-cf", layer, "."],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"packing {root}: {done.stderr.strip()}")
