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
