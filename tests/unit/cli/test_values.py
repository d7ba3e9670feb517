"""No value leaves `explain` unless it is asked for."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from webhook.cli.main import cli

SECRET_MANIFEST = """
kind: Secret
metadata: {name: %s}
data: {TRACKING_API_KEY: c2VudGluZWwtMQ==, BINARY: //79}
stringData: {TRACKING_URI: sentinel-2, PEM: "sentinel-3\\nsecond"}
"""  # noqa: S105 - sentinels, to be looked for
CONFIG = """
kind: ConfigMap
metadata: {name: settings}
data: {TRACKING_URI: sentinel-4, SETTING: sentinel-5}
"""
POD = """
kind: Pod
metadata: {name: a, labels: {spark-role: driver}}
spec:
  containers:
  - name: spark-kubernetes-driver
    env: [{name: LITERAL, value: "sentinel-6 $(TRACKING_URI) $(MISSING) $$(LITERAL)"}]
    envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: own}, prefix: P_}]
"""


@pytest.fixture(name="arguments")
def _arguments(tmp_path: Path) -> str:
    files = {
        "pod": POD,
        "configmap": CONFIG,
        "secret": SECRET_MANIFEST % "own",
        "source": SECRET_MANIFEST % "central",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return (
        f"explain -f '{tmp_path}/pod' --configmap '{tmp_path}/configmap' "
        f"--secret '{tmp_path}/secret' --source '{tmp_path}/source'"
    )


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_no_value_is_printed(arguments: str, output: str) -> None:
    """Not a Secret's, not a ConfigMap's, not a literal."""
    result = CliRunner().invoke(cli, f"{arguments} -o {output}")

    assert 0 == result.exit_code
    assert "sentinel" not in result.output
    assert "TRACKING_API_KEY" in result.output


def test_values_are_printed_when_asked_for(arguments: str) -> None:
    """Decoded, merged, prefixed and with references resolved."""
    result = CliRunner().invoke(cli, f"{arguments} -o json --show-values")

    (explanation,) = json.loads(result.stdout)
    variables = explanation["containers"][0]["variables"]
    assert {
        "TRACKING_API_KEY": "sentinel-1",
        "TRACKING_URI": "sentinel-4",
        "PEM": "sentinel-3\nsecond",
        "SETTING": "sentinel-5",
        "P_TRACKING_API_KEY": "sentinel-1",
        "P_BINARY": "\\xff\\xfe\\xfd",
        "P_TRACKING_URI": "sentinel-2",
        "P_PEM": "sentinel-3\nsecond",
        "LITERAL": "sentinel-6 sentinel-4 $(MISSING) $(LITERAL)",
    } == {variable["name"]: variable["value"] for variable in variables}


def test_a_table_shows_no_control_character(arguments: str) -> None:
    """A value of several lines stays in its row."""
    result = CliRunner().invoke(cli, f"{arguments} --show-values")

    assert '"sentinel-3\\nsecond"' in result.stdout


def test_a_value_that_nodes_may_refuse_is_named_and_not_shown(tmp_path: Path) -> None:
    """Whoever wonders why the container does not start finds the name."""
    (tmp_path / "pod").write_text(POD)
    (tmp_path / "secret").write_text(SECRET_MANIFEST % "own")
    words = f"explain -f '{tmp_path}/pod' --secret '{tmp_path}/secret'"

    result = CliRunner().invoke(cli, words)
    shown = CliRunner().invoke(cli, f"{words} -o yaml --show-values")

    assert "may not start: not every node takes the value of P_BINARY" in result.output
    assert "xff" not in result.output
    assert "- P_BINARY" in shown.output
    assert "xff\\xfe" in shown.output.replace("\\\\", "\\")


def test_piped_text_has_no_color_codes(arguments: str) -> None:
    """A file or a pager gets plain text."""
    result = CliRunner().invoke(cli, arguments)

    assert "\x1b" not in result.stdout


def test_a_key_that_would_not_be_mirrored_is_named(arguments: str) -> None:
    """As the companion would say it, without the value."""
    result = CliRunner().invoke(cli, f"{arguments} --show-values")

    assert result.stderr.startswith("Secret/central, key BINARY: ")
    assert "xff" not in result.stderr


def test_sources_that_make_no_mirror_are_refused(tmp_path: Path) -> None:
    """A name that would break a container is no key."""
    (tmp_path / "pod").write_text(POD)
    (tmp_path / "source").write_text(
        "{kind: ConfigMap, metadata: {name: c}, data: {PATH: sentinel-7}}"
    )

    result = CliRunner().invoke(
        cli, f"explain -f '{tmp_path}/pod' --source '{tmp_path}/source' --show-values"
    )

    assert 2 == result.exit_code
    assert "ConfigMap/c, key PATH: " in result.stderr
    assert "sentinel-7" not in result.stderr
