"""A walk through a page of the documentation, as somebody who follows it.

The page's files are written, and its console blocks become one shell script, which
stops at the first command that fails. Its Helm is Helm 4; what is there before a walk
was installed by Helm 3.
"""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.documentation import ROOT, Walk, files
from tests.e2e.installation import CHART, PATIENCE, await_pod, delete_namespaces
from tests.e2e.taskpods import create, worker
from tests.lab import own_image, task_image
from tests.lab.node import Node
from tests.lab.operators import install_crds
from tests.lab.processes import wait_for
from tests.programs import lay_out
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL, MIRROR_SECRET

RELEASE: Final = "tracking-injector"
HOME: Final = "ml-tracking"
COMPUTE: Final = "team-a"
SOURCE: Final = "tracking-credentials"
KEY: Final = "canary-0c1e77d2a9"
VARIABLES: Final = {"KEY": KEY, "NEW_KEY": KEY[::-1]}
"""What the shell of each page has."""

SAMPLES: Final = ROOT / "docs" / "samples"
CONTEXTS: Final = ("eu", "us")
"""The clusters of the documentation, which are one here."""

STAND_INS: Final[Mapping[str, str]] = {
    r"oci://ghcr.io/michelangelo-ai/charts/tracking-injector( +--version \S+)?": (
        "charts/tracking-injector"
    ),
    # It serves until it is told to stop.
    r"^(kubectl port-forward .*[^&])$": r"timeout 5 \1 || [ $? = 124 ]",
}


def follow(
    walk: Walk, node: Node, folder: Path, placeholders: Mapping[str, str]
) -> str:
    """Type what a walk says, from its first line to its last.

    Args:
        walk: What to follow.
        node: The cluster.
        folder: An empty folder, which becomes a clone as far as a page can tell.
        placeholders: What stands for the page's words in capitals.

    Returns:
        Everything that the commands printed, each after its own line.

    Raises:
        AssertionError: A command failed; the message ends with it and what it said.
    """
    path = _furnish(walk, node, folder)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script(walk, placeholders)],
        cwd=folder,
        env={
            **node.plane.environ(_contexts(node, folder)),
            "PATH": path,
            **VARIABLES,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        seen = node.plane.kubectl("get", "pods", "-A")
        raise AssertionError(f"{walk}:\n{done.stdout[-3000:]}\n{seen}")
    return done.stdout


def script(walk: Walk, placeholders: Mapping[str, str]) -> str:
    """The walk's commands, each printed before it runs."""
    commands = []
    for line in walk.commands():
        command = line
        for pattern, stand_in in STAND_INS.items():
            command = re.sub(pattern, stand_in, command)
        for word, value in placeholders.items():
            command = re.sub(rf"(?<![$\w]){word}\b(?!=)", value, command)
        commands.append(command)
    return "\n".join(f"echo {_quoted(line)}\n{line}" for line in commands)


def _quoted(line: str) -> str:
    """A line as one word of the shell."""
    return "'$ " + line.replace("'", "'\\''") + "'"


def _furnish(walk: Walk, node: Node, folder: Path) -> str:
    """Lay out a clone, files and programs; return the `PATH` of these."""
    for name in ("charts", "docs"):
        (folder / name).symlink_to(ROOT / name)
    for sample in SAMPLES.glob("*.yaml"):
        (folder / sample.name).write_bytes(sample.read_bytes())
    for page in (*walk.files, walk.page):
        for name, content in files(page):
            (folder / name).write_text(content, "utf-8")
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    return lay_out(programs, node.plane.toolbox, Path("/usr/bin/grep"))


def _contexts(node: Node, folder: Path) -> Path:
    """The lab's kubeconfig, with the contexts that pages speak of."""
    config: dict[str, Any] = yaml.safe_load(node.plane.kubeconfig.read_text("utf-8"))
    [own] = config["contexts"]
    config["contexts"] += [{**own, "name": name} for name in CONTEXTS]
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path


def bring_images(node: Node) -> None:
    """Give the node the images that the pages build, under their names."""
    image = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["image"]
    version = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]
    node.load(task_image.archive(node.plane.toolbox))
    ours = f"{own_image.REPOSITORY}:{own_image.TAG}"
    node.tag(ours, f"{image['repository']}:{version}")
    node.tag(task_image.NAME, "docker.io/library/tracking-tutorial:1")


def install(node: Node) -> dict[str, str]:
    """Bring a reader to where the page about the installation ends, with tasks.

    Returns:
        What stands for the placeholders of pages.
    """
    plane = node.plane
    plane.namespace(HOME)
    secret = {
        "metadata": {"name": SOURCE},
        "stringData": {"TRACKING_API_KEY": KEY},
    }
    plane.admin.create(f"/api/v1/namespaces/{HOME}/secrets", secret)
    plane.helm(
        *("install", RELEASE, CHART, "--namespace", HOME),
        *("--set", "tracking.uri=https://203.0.113.7"),
        *("--set", f"tracking.existingSecret={SOURCE}"),
        *("--wait", "--timeout", f"{PATIENCE}s"),
    )
    plane.namespace(COMPUTE, {INJECT_LABEL: INJECT_ENABLED})
    plane.kubectl("apply", "-f", SAMPLES / "michelangelo-config.yaml")
    install_crds(plane, plane.toolbox.share("spark-operator", "config/crd/bases"))
    mirror = f"/api/v1/namespaces/{COMPUTE}/secrets/{MIRROR_SECRET}"
    wait_for("the mirror", lambda: plane.admin.exists(mirror), seconds=PATIENCE)
    cluster = ROOT / "docs" / "tutorial" / "ray-cluster.yaml"
    plane.kubectl("apply", "-n", COMPUTE, "-f", cluster)
    pod = create(node, COMPUTE, worker("task"))
    await_pod(node, COMPUTE, pod)
    return {"TASK_POD": pod, "POD": pod, "NAME": "first-run"}


def remove(node: Node) -> None:
    """Take away what pages left, wherever one of them stopped."""
    plane = node.plane
    if RELEASE in plane.helm("list", "-q", "-n", HOME, program="helm-4"):
        plane.helm("uninstall", RELEASE, "-n", HOME, "--wait", program="helm-4")
    delete_namespaces(node, COMPUTE, HOME, "mlflow")
