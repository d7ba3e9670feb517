"""README and the pages of docs/, as somebody reads them: blocks of code, and commands.

What people are told to type is followed on the lab's node by `e2e/test_pages.py`, block
after block as a page has them. Here it says which pages, from where, and what is shown
elsewhere; `unit/docs/test_followed.py` holds that to the pages.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "charts").rglob("README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
INSTALL: Final = "docs/how-to/install.md"
TUTORIAL: Final = "docs/tutorial/first-run.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What a reader types in one go.

    Attributes:
        page: The page's path, from the root.
        blocks: Which of its console blocks, where they are alternatives; else all.
        namespaces: The namespaces that are there before.
        files: Pages whose files the reader has, in order; a later one wins.
    """

    page: str
    blocks: tuple[int, ...] = ()
    namespaces: tuple[str, ...] = ("team-a",)
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the page, and which alternative of it."""
        return "-".join([self.page, *map(str, self.blocks)])

    def console(self) -> Iterator[str]:
        """The console blocks, in the page's order."""
        for number, block in enumerate(blocks(ROOT / self.page, "console")):
            if not self.blocks or number in self.blocks:
                yield block

    def commands(self) -> Iterator[str]:
        """Each command line of those that are not shown elsewhere."""
        for block in self.console():
            for line in lines(block):
                if not elsewhere(line):
                    yield line


FROM_NOTHING: Final = (
    Walk(page="README.md", blocks=(0, 1, 2, 3, 5)),
    Walk(page="README.md", blocks=(4,)),
    Walk(page="charts/tracking-injector/README.md"),
    Walk(page="docs/index.md"),
    Walk(page=INSTALL),
    Walk(page="docs/how-to/credentials.md", namespaces=("ml-tracking",)),
    Walk(page="docs/how-to/trackers/comet.md", namespaces=("ml-tracking",)),
    Walk(page="docs/how-to/trackers/mlflow.md", namespaces=("ml-tracking",)),
    Walk(page="docs/how-to/trackers/wandb.md", namespaces=("ml-tracking",)),
    Walk(page="docs/how-to/several-clusters.md", namespaces=("ml-tracking",)),
    Walk(page="docs/explanation/environment.md", namespaces=()),
)
"""What is followed where the product is not installed."""

INSTALLED: Final = (
    Walk(page="docs/how-to/label-a-namespace.md"),
    Walk(page="docs/how-to/write-a-task.md"),
    Walk(page="docs/how-to/migrate-from-michelangelo-config.md"),
    Walk(page="docs/how-to/rotate-a-key.md"),
    Walk(page="docs/how-to/restrict-egress.md"),
    Walk(page="docs/how-to/debug-a-pod-that-got-nothing.md"),
    Walk(page="docs/how-to/find-the-cause.md"),
    Walk(page="docs/how-to/certificates.md"),
    Walk(page="docs/how-to/upgrade.md", files=(INSTALL,)),
)
"""What a reader follows who has followed the installation, and whose tasks run."""

UNINSTALLED: Final = (
    Walk(page="docs/how-to/uninstall.md", blocks=(0,)),
    Walk(page="docs/how-to/uninstall.md", blocks=(1,)),
    Walk(page="docs/how-to/uninstall.md", blocks=(2,)),
)
"""Three ways to be rid of it."""

WALKS: Final = (Walk(page=TUTORIAL), *FROM_NOTHING, *INSTALLED, *UNINSTALLED)

ELSEWHERE: Final[Mapping[str, str]] = {
    r"kind |minikube |k3d ": "the lab's node is the cluster",
    r"git clone |make (demo|test)\b": "tests/lab/clean_room.py: with Python alone",
    r"(IMAGE=\S+ )?make image": "tests/unit/test_image_script.py: with each tool",
    r"docker build .*docs/tutorial": "tests/lab/task_image.py: without a registry",
    r"docker (run|push) ": "ghcr.io and registry.example.com are not the lab's",
    r"buildah bud |docker buildx": "tests/node/test_image.py: the same image twice",
    r"helm repo |helm install kuberay": "KubeRay runs beside the lab's control plane",
    r"pipx install ": "tests/command/test_installed.py",
    r"kubectl krew ": "tests/command/test_installed.py: the file that krew brings",
}
"""By how they begin: commands that no walk runs, and what stands in for them."""

NOT_FOLLOWED: Final[Mapping[str, str]] = {
    "CONTRIBUTING.md": "every line is shown elsewhere",
    "docs/explanation/supply-chain.md": "every line is shown elsewhere",
    "docs/reference/checks.md": (
        "tests/cluster/doctor/test_remedies.py: each is for one fault"
    ),
}
"""Pages with console blocks that no walk follows, and why."""


def blocks(page: Path, language: str) -> Iterator[str]:
    """The content of each fenced block of a language, without its indent."""
    fence = re.compile(rf"^( *)```{language}\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
    for indent, text in fence.findall(page.read_text("utf-8")):
        yield "".join(
            line.removeprefix(indent) for line in text.splitlines(keepends=True)
        )


def lines(block: str) -> Iterator[str]:
    """Each command line of a console block, continued lines as one."""
    yield from filter(None, block.replace("\\\n", " ").splitlines())


def elsewhere(line: str) -> str:
    """Why no walk runs a command; empty where one has to."""
    return next((why for how, why in ELSEWHERE.items() if re.match(how, line)), "")


def files(page: str) -> Iterator[tuple[str, str]]:
    """The files that a page shows: a block that begins with comments such as # a.yaml.

    The last of them is the file's name; of two of one name the first counts, since
    those that follow are variants.
    """
    seen = set()
    for block in blocks(ROOT / page, "yaml"):
        names = re.match(r"(?:# [\w-]+\.yaml\n)+", block)
        name = names[0].split()[-1] if names else ""
        if name and name not in seen:
            seen.add(name)
            yield name, block
