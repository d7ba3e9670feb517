"""Standard streams as they come: of any encoding, closed, or full."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest
import yaml
from click.testing import CliRunner

from tests.fakes.installation import NOW, FakeInstallation
from tests.unit.cli.certs_on_site import installed
from tests.unit.cli.certs_on_site import run as run_certs
from tests.unit.cli.test_plan_view import KEYS, WORLD
from tests.unit.cli.test_status import reached
from webhook.cli.main import cli

PROGRAM: Final = Path(sys.executable).with_name("tracking-injector")
ODD: Final = "\u20ac \u221a \U0001f600"
"""Of which a German terminal has the first, and none of an old Windows the last."""
POD: Final = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "a",
        "labels": {"ray.io/node-type": "head"},
        "annotations": {"said": ODD},
    },
    "spec": {
        "containers": [
            {"name": "ray-head", "image": "a", "env": [{"name": "A", "value": ODD}]}
        ]
    },
}
OBEYED: Final = "said\x1b[2J\x1b]0;owned\x07"
"""Of which a terminal would clear its screen, and take a title."""
COMMANDING: Final = (
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "a",
            "namespace": "team-a",
            "labels": {"ray.io/node-type": "head", "app": OBEYED},
        },
        "spec": {
            "containers": [
                {
                    "name": f"ray-head-{OBEYED}",
                    "image": "a",
                    "env": [{"name": OBEYED, "value": OBEYED}],
                    "envFrom": [{"configMapRef": {"name": OBEYED}}],
                }
            ]
        },
    },
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": OBEYED, "namespace": "team-a"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    },
)
"""A pod and a policy, whose names are commands."""
COMMANDING_KEYS: Final = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": OBEYED},
    "stringData": {"TRACKING_URI": "http://203.0.113.7", OBEYED: OBEYED},
}
CHARSETS: Final = ("ascii", "latin-1", "iso8859-15", "cp1252", "utf-8")


@pytest.fixture(name="pod")
def _pod(tmp_path: Path) -> str:
    path = tmp_path / "pod.yaml"
    path.write_text(yaml.safe_dump(POD, allow_unicode=True), "utf-8")
    return str(path)


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "-o", "wide"),
        ("status", "-o", "json"),
        ("status", "-o", "yaml"),
        ("doctor", "--all"),
        ("doctor", "-o", "json"),
        ("doctor", "-o", "junit"),
        ("version",),
        ("policy",),
    ],
    ids=" ".join,
)
def test_a_screen_is_told_in_any_encoding(
    site: FakeInstallation, words: tuple[str, ...], charset: str
) -> None:
    """What the encoding lacks is written by what it has."""
    with reached(site), patch("webhook.cli.status.now", lambda: NOW):
        result = CliRunner(charset=charset).invoke(cli, words)

    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.stdout_bytes


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_tree_and_certificates_are_told_in_any_encoding(
    tmp_path: Path, charset: str
) -> None:
    """Lines and dots are no letters of Latin 1."""
    (tmp_path / "world").write_text(WORLD)
    (tmp_path / "keys").write_text(KEYS)
    words = ["egress", "plan", "-n", "team-a", "-f", str(tmp_path / "world")]
    words += ["--secret", str(tmp_path / "keys")]
    plan = CliRunner(charset=charset).invoke(cli, words)
    certificates = run_certs(installed(), "show", charset=charset)

    assert plan.exit_code == 0, plan.exception
    assert certificates.exit_code == 0, certificates.exception


def test_severities_stay_apart_without_their_symbols(site: FakeInstallation) -> None:
    """Of an encoding without them."""
    with reached(site):
        result = CliRunner(charset="latin-1").invoke(cli, ["doctor", "--all"])

    begun = {line[:1] for line in result.stdout_bytes.decode("latin-1").splitlines()}
    assert {"v", "×"} <= begun
    assert "?" not in begun


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("output", ["yaml", "json"])
def test_a_manifest_is_utf_8_on_every_system(
    pod: str, charset: str, output: str
) -> None:
    """As its readers take it; nothing of it is lost."""
    words = ["inject", "-f", pod, "-o", output]
    result = CliRunner(charset=charset).invoke(cli, words)

    (written,) = yaml.safe_load_all(result.stdout_bytes.decode("utf-8"))
    assert written["metadata"]["annotations"]["said"] == ODD


@pytest.mark.parametrize("charset", CHARSETS)
def test_json_is_utf_8_on_every_system(pod: str, charset: str) -> None:
    """Also where it holds what a user wrote."""
    words = ["explain", "-f", pod, "--show-values", "-o", "json"]
    result = CliRunner(charset=charset).invoke(cli, words)

    assert ODD in json.dumps(json.loads(result.stdout_bytes), ensure_ascii=False)


@pytest.mark.parametrize(
    "words",
    [
        ("explain",),
        ("explain", "--show-values"),
        ("explain", "--key", OBEYED),
        ("inject",),
        ("egress", "plan", "-n", "team-a"),
        ("egress", "plan", "-n", "team-a", "-o", "yaml"),
        ("egress", "check", "a", "-n", "team-a"),
    ],
    ids=lambda words: " ".join(words).encode("unicode_escape").decode(),
)
def test_a_manifest_of_others_gives_a_terminal_no_command(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Whatever it names so; what is shown is the rest."""
    path, keys = tmp_path / "world.yaml", tmp_path / "keys.yaml"
    path.write_text(yaml.safe_dump_all(COMMANDING), "utf-8")
    keys.write_text(yaml.safe_dump(COMMANDING_KEYS), "utf-8")
    more = ("--secret", str(keys)) if words[0] == "egress" else ()
    given = [*words, "-f", str(path), *more]
    result = CliRunner().invoke(cli, given, color=True)

    assert result.exit_code in (0, 1), result.output
    assert "said" in result.output
    assert result.output.replace("\n", "").isprintable()


def test_a_closed_standard_input_holds_nothing() -> None:
    """As of a unit of systemd; it is told like an empty one."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" inject -f - <&-', str(PROGRAM)],
        capture_output=True,
        text=True,
        check=False,
    )

    said = "Error: standard input holds no document.\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize("words", [("policy",), ("policy", "-o", "json"), ("version",)])
def test_a_full_disk_is_one_sentence(words: tuple[str, ...]) -> None:
    """And no exit code that a script may take for an answer."""
    more = ("--client",) if words == ("version",) else ()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [PROGRAM, *words, *more],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    said = "Error: Input or output failed: No space left on device.\n"
    assert (done.returncode, done.stderr) == (2, said)
