"""A memory cgroup of a container's limit, for processes that are to stay within it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.tools import LabError

_V1: Final = Path("/sys/fs/cgroup/memory")
"""The first version of cgroups has a tree for memory alone."""
_V2: Final = Path("/sys/fs/cgroup")
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryGroup:
    """A cgroup, as a kubelet makes one for a container with this limit.

    Attributes:
        folder: Where it is.
        is_v1: Whether it is one of the first version.
    """

    folder: Path
    is_v1: bool

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Have processes that start in this block, and their children, belong to it.

        Ourselves too, for so long: what we take up then counts as theirs.
        """
        _join(self.folder)
        try:
            yield
        finally:
            _join(self.folder.parent)

    @property
    def peak_mib(self) -> float:
        """The most that was ever held in there."""
        name = "memory.max_usage_in_bytes" if self.is_v1 else "memory.peak"
        return int((self.folder / name).read_text("ascii")) / _MIB

    @property
    def kills(self) -> int:
        """How many processes the kernel killed for want of memory."""
        name = "memory.oom_control" if self.is_v1 else "memory.events"
        lines = (self.folder / name).read_text("ascii").splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])


@contextlib.contextmanager
def memory_group(limit_mib: int) -> Iterator[MemoryGroup]:
    """A cgroup that is gone after the block, as its processes have to be.

    Raises:
        LabError: Without the right to make one.
    """
    is_v1 = _V1.is_dir()
    folder = (_V1 if is_v1 else _V2) / f"tracking-injector-{os.getpid()}"
    try:
        folder.mkdir()
    except PermissionError as error:
        raise LabError("a memory cgroup needs root") from error
    limit = folder / ("memory.limit_in_bytes" if is_v1 else "memory.max")
    try:
        limit.write_text(str(limit_mib * _MIB), "ascii")
        yield MemoryGroup(folder=folder, is_v1=is_v1)
    finally:
        _join(folder.parent)
        folder.rmdir()


def _join(folder: Path) -> None:
    (folder / "cgroup.procs").write_text(str(os.getpid()), "ascii")
