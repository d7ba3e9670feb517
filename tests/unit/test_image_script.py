"""`make image` and `make image-load`, with programs that only write down calls."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from webhook import __version__

SCRIPT = Path(__file__).parents[2] / ".ci" / "image"
IMAGE = f"ghcr.io/michelangelo-ai/tracking-injector:{__version__}"
USUAL = ("bash", "dirname", "git", "mktemp", "rm", "sed")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with just the programs that it is given.

    Attributes:
        folder: Its PATH.
    """

    folder: Path

    def has(self, name: str, *, works: bool = True, says: str = "") -> None:
        """Give it a program, which does nothing but say something, or fails."""
        log = self.folder / "log"
        program = self.folder / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $*" >>"{log}"\n[ -z "{says}" ] || echo "{says}"\n'
            f"exit {0 if works else 1}\n"
        )
        program.chmod(0o755)

    def run(self, what: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the script there."""
        return subprocess.run(
            ["/bin/bash", SCRIPT, what],
            env={"PATH": str(self.folder), **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What was called, but for questions."""
        lines = (self.folder / "log").read_text("utf-8").splitlines()
        return [line for line in lines if " info" not in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One with the shell's usual company."""
    for name in USUAL:
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("there", "silent", "taken"),
    [
        (["docker", "podman", "buildah"], [], "docker build"),
        (["docker", "podman"], ["docker"], "podman build"),
        (["docker", "buildah"], ["docker"], "buildah bud --layers"),
    ],
)
def test_the_first_tool_that_answers_builds(
    machine: Machine, there: list[str], silent: list[str], taken: str
) -> None:
    """Docker's client without its daemon builds nothing; it says which one does."""
    for name in there:
        machine.has(name, works=name not in silent)

    done = machine.run("build")

    assert f"building {IMAGE} with {taken.partition(' ')[0]}\n" in done.stdout
    (call,) = machine.calls()
    assert call.startswith(f"{taken} --build-arg VERSION={__version__} ")
    assert call.endswith(f" --tag {IMAGE} .")


def test_a_name_and_bases_of_ones_own_are_taken(machine: Machine) -> None:
    """By variables, as for a registry of one's own and a mirror."""
    machine.has("podman")

    machine.run("build", IMAGE="r.example/i:1", BASE="m.example/python:3.13")

    (call,) = machine.calls()
    assert "--build-arg BASE=m.example/python:3.13 " in call
    assert call.endswith("--tag r.example/i:1 .")


def test_no_tool_is_named_and_so_is_one_that_does_not_answer(machine: Machine) -> None:
    """What any one of them would do, and what is the matter with docker."""
    machine.has("docker", works=False)

    done = machine.run("build")

    assert (1, "") == (done.returncode, done.stdout)
    assert "missing: docker, podman or buildah" in done.stderr
    assert "docker is here, and `docker info` fails" in done.stderr


@pytest.mark.parametrize(
    ("context", "program", "call"),
    [
        ("kind-ml", "kind", "kind load image-archive TAR --name ml"),
        ("k3d-ml", "k3d", "k3d image import TAR --cluster ml"),
        ("minikube", "minikube", "minikube --profile minikube image load TAR"),
    ],
)
@pytest.mark.parametrize("tool", ["docker", "buildah"])
def test_the_image_goes_into_the_current_contexts_cluster(
    machine: Machine, tool: str, context: str, program: str, call: str
) -> None:
    """Saved by whichever tool built it."""
    machine.has("kubectl", says=context)
    machine.has(program)
    machine.has(tool)

    done = machine.run("load")

    assert (0, f"{context} has {IMAGE}, which the chart asks for\n") == (
        done.returncode,
        done.stdout,
    ), done.stderr
    saved, loaded = machine.calls()[-2:]
    assert saved.startswith({"docker": "docker save", "buildah": "buildah push"}[tool])
    assert IMAGE in saved
    place = next(word for word in loaded.split() if word.endswith("image.tar"))
    assert call == loaded.replace(place, "TAR")
    assert not Path(place).parent.exists()


@pytest.mark.parametrize(
    ("there", "context", "named"),
    [
        ([], "", "missing: kubectl"),
        (["kubectl"], "kind-ml", "missing: kind (the context is kind-ml)"),
        (["kubectl"], "k3d-ml", "missing: k3d (the context is k3d-ml)"),
        (["kubectl"], "prod", "missing: minikube (the context prod is neither"),
        (["kubectl", "kind"], "kind-ml", "missing: docker, podman or buildah"),
    ],
)
def test_each_missing_program_is_named(
    machine: Machine, there: list[str], context: str, named: str
) -> None:
    """Before anything is done."""
    for name in there:
        machine.has(name, says=context if name == "kubectl" else "")

    done = machine.run("load")

    assert 1 == done.returncode
    assert named in done.stderr


def test_another_cluster_gets_no_image(machine: Machine) -> None:
    """A context that is neither kind's nor k3d's, and no profile of minikube's."""
    machine.has("kubectl", says="prod")
    machine.has("minikube", works=False)
    machine.has("docker")

    done = machine.run("load")

    assert 1 == done.returncode
    assert "minikube has no such profile" in done.stderr
    assert not [call for call in machine.calls() if call.startswith("docker save")]
