"""The release: workflows that GitHub takes, a chart that Artifact Hub takes.

Artifact Hub's own linter cannot be had as a Go module, so its rules are written here,
after its documentation.
"""

import re
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import yaml

from tests.chart.rendering import CHART
from tests.lab.build import Toolbox
from webhook import __version__

ROOT = CHART.parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
METADATA: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
ANNOTATIONS = {
    name.removeprefix("artifacthub.io/"): value
    for name, value in METADATA["annotations"].items()
}
CATEGORIES = {
    *("ai-machine-learning", "database", "integration-delivery"),
    *("monitoring-logging", "networking", "security", "storage"),
    *("streaming-messaging", "skip-prediction"),
}


def test_every_workflow_is_one_that_github_takes(toolbox: Toolbox) -> None:
    """By actionlint: keys, contexts, expressions, shells."""
    done = subprocess.run(
        [toolbox.program("actionlint"), "-no-color", *WORKFLOWS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stdout)
    assert {"ci", "release"} <= {path.stem for path in WORKFLOWS}


def test_a_workflow_calls_steps_that_exist() -> None:
    """Each `.ci/run NAME` of the workflows, and each script."""
    steps = set(re.findall(r"^step_([-\w]+)\(\)", (ROOT / ".ci/run").read_text(), re.M))
    text = "".join(path.read_text("utf-8") for path in WORKFLOWS)
    called = re.findall(r"\.ci/run ([-\w ]+)", text)

    assert {name for line in called for name in line.split()} <= steps
    assert all((ROOT / name).exists() for name in re.findall(r"\.ci/\w+\.py", text))


def test_a_release_signs_and_attests_what_it_makes() -> None:
    """Image, chart and files; each job with no more rights than it needs."""
    release = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
    text = yaml.safe_dump(release["jobs"])

    assert {"contents": "read"} == release["permissions"]
    assert 2 == text.count("cosign sign --yes")
    assert 2 == text.count("actions/attest-build-provenance@")
    assert "linux/amd64,linux/arm64" in text
    build = next(
        step["with"]
        for step in release["jobs"]["image"]["steps"]
        if step.get("id") == "build"
    )
    assert (True, "mode=max") == (build["sbom"], build["provenance"])


def test_artifact_hub_knows_what_the_chart_says_of_itself() -> None:
    """A category and a license of its lists, and YAML of its shapes."""
    images = yaml.safe_load(ANNOTATIONS["images"])
    links = yaml.safe_load(ANNOTATIONS["links"])

    assert ANNOTATIONS["category"] in CATEGORIES
    assert "Apache-2.0" == ANNOTATIONS["license"]
    assert {"name", "image"} <= images[0].keys()
    assert images[0]["image"].endswith(f"/tracking-injector:{__version__}")
    assert all({"name", "url"} == link.keys() for link in links)
    for one in yaml.safe_load(ANNOTATIONS["recommendations"]):
        assert one["url"].startswith("https://artifacthub.io/packages/")


def test_the_chart_says_where_it_is_from() -> None:
    """Home, sources, maintainers, and an icon that is a picture."""
    icon = METADATA["icon"].partition("/main/")[2]

    assert METADATA["home"] in METADATA["sources"]
    assert all({"name", "url"} <= one.keys() for one in METADATA["maintainers"])
    root = ElementTree.parse(ROOT / icon).getroot()  # noqa: S314 - a file of our own
    assert root.tag.endswith("svg")


def test_the_krew_manifest_names_what_the_release_makes() -> None:
    """An archive for each platform of the matrix."""
    release = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
    matrix = release["jobs"]["command"]["strategy"]["matrix"]["include"]
    krew = (ROOT / ".krew.yaml").read_text("utf-8")

    assert {one["platform"] for one in matrix} == set(
        re.findall(r"kubectl-tracking-([-\w]+)\.tar\.gz", krew)
    )


def source(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `.ci/source.py` says, under no environment of ours."""
    return subprocess.run(
        [sys.executable, "-I", ROOT / ".ci" / "source.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_version_is_in_one_place() -> None:
    """Which the release's tag has to agree with; everything else is made of it."""
    assert f"{__version__}\n" == source("version").stdout
    for name in ("pyproject.toml", "Dockerfile"):
        assert __version__ not in re.findall(
            r"(?i)version\W+([\d.]+)", (ROOT / name).read_text("utf-8")
        )


def test_a_version_without_its_section_is_not_released() -> None:
    """CHANGELOG collects under *Unreleased*, which a release dates."""
    refused = source("changes", "0.0.0")

    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert (1, "CHANGELOG.md has no section `## 0.0.0 - DATE`\n") == (
        refused.returncode,
        refused.stderr,
    )
