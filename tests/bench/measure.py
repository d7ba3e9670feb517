"""What a process tree costs: CPU, memory, descriptors, time to its first answer."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from webhook.samples import reviews

TICKS = os.sysconf("SC_CLK_TCK")
PLACEHOLDER = "00000000-0000-0000-0000-000000000000"
"""Where the load generator writes each request's uid."""

BODIES = ("ray-head-michelangelo", "spark-driver-plain")


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return
    for child in children:
        yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree."""
    total = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_mib(pid: int, kind: str = "Pss") -> float:
    """The tree's memory; proportional, as a pod's limit counts it."""
    total = 0
    for one in tree(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                total += int(line.split()[1])
    return total / 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What all processors did so far, in ticks."""

    busy: int
    stolen: int

    @classmethod
    def now(cls) -> Self:
        """Read it: user, nice, system, idle, iowait, irq, softirq, steal."""
        line = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
        user, nice, system, _, _, irq, softirq, steal = map(int, line[:8])
        return cls(busy=user + nice + system + irq + softirq, stolen=steal)

    def others(self, before: Self, ours: float, seconds: float) -> float:
        """The share of the machine that neither we nor our client had since."""
        taken = self.busy - before.busy + self.stolen - before.stolen
        there = seconds * (os.cpu_count() or 1)
        return max(0.0, taken / TICKS - ours) / there


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the tree holds at one moment."""

    pss_mib: float
    descriptors: int
    threads: int


def held(pid: int) -> Held:
    """Memory, descriptors and threads of the tree."""
    pids = list(tree(pid))
    return Held(
        pss_mib=round(memory_mib(pid), 1),
        descriptors=sum(_count(f"/proc/{one}/fd") for one in pids),
        threads=sum(_count(f"/proc/{one}/task") for one in pids),
    )


def _count(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def write_bodies(directory: Path) -> list[Path]:
    """The captured reviews as kube-apiserver sends them: compact, with a new uid."""
    paths = []
    for name in BODIES:
        review = json.loads(reviews()[name])
        review["request"]["uid"] = PLACEHOLDER
        path = directory / f"{name}.json"
        path.write_text(json.dumps(review, separators=(",", ":")))
        paths.append(path)
    return paths


def pin(core: int | None) -> list[str]:
    """A prefix that keeps a program on one core."""
    return [] if core is None else ["taskset", "-c", str(core)]


def load(
    binary: Path,
    port: int,
    bodies: Sequence[Path],
    *,
    conns: int,
    seconds: float,
    core: int | None = None,
) -> dict[str, Any]:
    """Run the load generator and return its report."""
    command = [*pin(core), str(binary), "-addr", f"127.0.0.1:{port}"]
    command += ["-conns", str(conns), "-seconds", str(seconds), *map(str, bodies)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report
