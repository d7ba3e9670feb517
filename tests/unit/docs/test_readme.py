"""What README says after `make demo` works as it is printed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = re.findall(r"^\.venv/bin/(tracking-injector .*)$", README, re.MULTILINE)


def test_it_names_the_program_that_the_demo_made() -> None:
    """Where it is, and at least the two commands for a manifest."""
    assert {"inject", "explain"} <= {line.split()[1] for line in COMMANDS}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_line_works_as_printed(line: str) -> None:
    """In the clone, with the samples that it names."""
    program, *arguments = shlex.split(line)
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, True) == (done.returncode, "michelangelo-" in done.stdout), done.stderr


def test_both_ways_to_install_differ_in_the_chart_alone() -> None:
    """From a release and from a clone: the same lines, but for where the chart is."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    release, clone = (
        block.replace("make image image-load\n", "")
        for block in blocks
        if "helm install" in block
    )

    chart = "oci://ghcr.io/michelangelo-ai/charts/tracking-injector"
    assert clone == release.replace(chart, "charts/tracking-injector")


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/questions.md"])
def test_what_it_costs_is_what_was_measured(page: str) -> None:
    """By the webhook alone, and beside the policy that Kubernetes 1.36 adds."""
    measured = (ROOT / "docs" / "explanation" / "performance.md").read_text("utf-8")
    created = re.findall(
        r"^\| (nobody|webhook|both) \| ([\d.]+) ", measured, re.MULTILINE
    )
    nobody, webhook, both = (float(milliseconds) for _, milliseconds in created)
    (memory,) = re.findall(r"at the end: [\d.]+ and ([\d.]+) MiB", measured)
    text = (ROOT / page).read_text("utf-8")

    assert "one to three milliseconds for each task pod" in text
    assert 1 <= webhook - nobody <= both - nobody <= 3
    assert page != "README.md" or "40 MiB for each replica" in text
    assert 36 <= float(memory) <= 40
