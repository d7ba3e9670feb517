"""The release: workflows that GitHub takes, a chart that Artifact Hub takes.

Artifact Hub's own linter cannot be had as a Go module, so its rules are written here,
after its documentation of annotations and what its tracker makes of them.
"""

import re
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import yaml

from tests.chart.rendering import CHART, Chart
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


HTTPS = re.compile(r"https://[\w.-]+(/\S*)?")


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


def test_no_pipe_of_a_workflow_hides_a_failure() -> None:
    """GitHub's own shell has no pipefail; the one that is named has."""
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text("utf-8"))
        default = workflow.get("defaults", {}).get("run", {}).get("shell")
        for step in (one for job in workflow["jobs"].values() for one in job["steps"]):
            if re.search(r"[^|]\|[^|]", step.get("run", "")):
                assert "bash" == step.get("shell", default), step


def test_what_a_job_takes_from_the_registry_it_may_read() -> None:
    """A first image is its owner's alone, and `docker` takes it as nobody."""
    release = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
    jobs = {
        name: job
        for name, job in release["jobs"].items()
        if "$IMAGE@" in yaml.safe_dump(job) or "$CHARTS" in yaml.safe_dump(job)
    }

    assert {"image", "chart", "publish"} == jobs.keys()
    for job in jobs.values():
        assert job["permissions"]["packages"] in {"read", "write"}
        assert re.search("login-action|registry login", yaml.safe_dump(job["steps"]))


def test_a_release_candidate_is_nobodys_newest() -> None:
    """GitHub shows it as one, and krew does not get it."""
    release = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
    making, krew = release["jobs"]["publish"]["steps"][-2:]
    flags = making["run"].partition("flags=()")[2].partition("gh release")[0]
    said = [
        subprocess.run(
            ["bash", "-euc", f'flags=()\n{flags}\necho "${{flags[@]}}"'],
            env={"VERSION": version},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for version in ("1.2.3", "1.2.3-rc.1")
    ]

    assert ["", "--prerelease"] == said
    assert "krew" in krew["uses"]
    assert "${{ !contains(needs.test.outputs.version, '-') }}" == krew["if"]


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


def entries(name: str, *fields: str) -> list[dict[str, Any]]:
    """An annotation that is a list, whose entries have just these fields."""
    found: list[dict[str, Any]] = yaml.safe_load(ANNOTATIONS[name])
    assert found
    assert all(set(fields) == one.keys() for one in found)
    assert all(HTTPS.fullmatch(one.get("url", "https://none")) for one in found)
    return found


def test_every_annotation_is_one_that_artifact_hub_knows() -> None:
    """Which drops any other without a word; a new one needs a test of its shape."""
    names = {"category", "images", "license", "links", "recommendations"}

    assert names == ANNOTATIONS.keys()
    assert {f"artifacthub.io/{name}" for name in names} == METADATA[
        "annotations"
    ].keys()
    assert all(isinstance(text, str) for text in ANNOTATIONS.values())
    assert ANNOTATIONS["category"] in CATEGORIES
    assert "Apache-2.0" == ANNOTATIONS["license"]
    assert entries("links", "name", "url")
    for one in entries("recommendations", "url"):
        assert one["url"].startswith("https://artifacthub.io/packages/helm/")


def test_artifact_hub_scans_the_images_that_the_chart_runs(chart: Chart) -> None:
    """All of them, for the platforms that a release builds."""
    release = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
    (built,) = (
        step["with"]["platforms"].split(",")
        for step in release["jobs"]["image"]["steps"]
        if step.get("id") == "build"
    )
    named = entries("images", "name", "image", "platforms")

    assert {one["image"] for one in named} == {
        container["image"]
        for pod in chart.render().pods()
        for container in pod["spec"]["containers"]
    }
    assert len(named) == len({one["name"] for one in named})
    assert all(built == one["platforms"] for one in named)


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
