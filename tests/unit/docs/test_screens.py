"""The pictures of commands in README and docs are what the commands print today.

`--update-golden` draws them anew.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.text import Text

from tests.documentation import PAGES, ROOT
from tests.fakes.installation import HOME, NOW, FakeInstallation
from tests.unit.cli.test_status import reached
from tests.unit.companion.test_report import mirrored, permitted, report
from webhook.cli.doctor_view import Examination
from webhook.cli.main import cli
from webhook.companion.audit import AuditReason, AuditResult
from webhook.companion.results import CompanionResults
from webhook.doctor.check import Check, Symptom, examine
from webhook.doctor.registry import CLUSTER, NAMESPACE
from webhook.mirror.reasons import MirrorReason

IMAGES: Final = ROOT / "docs" / "images"
COLUMNS: Final = 100
RELEASE: Final = "tracking-injector"
TEAMS: Final = ("team-a", "team-b", "team-c")
BROKEN: Final = "WebhookImagePull"
POD: Final = "pod/tracking-injector-7d9f6c5b8-x2k4q"

COMMANDS: Final[Mapping[str, str]] = {
    "status": "status",
    "doctor": "doctor",
    "explain": (
        "explain -f docs/samples/ray-cluster.yaml"
        " --source docs/samples/tracking-secret.yaml"
        " --configmap docs/samples/michelangelo-config.yaml"
    ),
}


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three namespaces: one waits for its mirror, of one a pod was missed."""
    monkeypatch.chdir(ROOT)
    results = CompanionResults()
    for name in TEAMS:
        results.mirrors.put(name, mirrored())
        results.egress.put(name, permitted())
    results.mirrors.put("team-b", mirrored(MirrorReason.FOREIGN_SECRET))
    counts = {AuditReason.INJECTED: 11, AuditReason.MISSED: 1}
    missed = AuditResult(
        reason=AuditReason.MISSED,
        counts=Counter(counts),
        without_keys=(("train-worker-7xk2p", AuditReason.MISSED),),
    )
    results.audits.put("team-c", missed)
    site = FakeInstallation(release=RELEASE, teams=TEAMS)
    site.publish(report(results) | {"audit": "complete"})
    with (
        reached(site),
        patch("webhook.cli.status.now", lambda: NOW),
        patch("webhook.cli.doctor._examine", lambda *_: examined()),
    ):
        yield


def examined() -> Examination:
    """What doctor's own checks come to where the webhook's image cannot be pulled."""
    facts = Told()
    diagnoses = [*examine([told(one) for one in flat(CLUSTER)], facts)]
    failed = frozenset({BROKEN})
    for name in TEAMS:
        checks = [told(one) for one in flat(NAMESPACE)]
        diagnoses += examine(checks, facts, namespace=name, failed=failed)
    return Examination(
        context="", about=f"{HOME}/{RELEASE}", diagnoses=tuple(diagnoses)
    )


class Told:
    """Facts whose judgment is known."""

    words: Final = {
        "home": HOME,
        "release": RELEASE,
        "companion": f"{RELEASE}-companion",
    }


def told(check: Check[Any]) -> Check[Any]:
    """The check, which finds what is broken and nothing else."""
    found = [Symptom(POD, "ErrImagePull: manifest unknown")]
    return replace(check, judge=lambda _: found if check.code == BROKEN else [])


def flat(groups: Mapping[str, tuple[Check[Any], ...]]) -> list[Check[Any]]:
    """Every check, in order."""
    return [check for group in groups.values() for check in group]


def drawn(name: str) -> str:
    """What a terminal shows of a command, as an SVG that loads nothing."""
    environ = {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    words = COMMANDS[name]
    result = CliRunner().invoke(cli, words, env=environ, color=True)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(f"kubectl tracking {words}", style="bold", highlight=False)
    console.print(Text.from_ansi(result.stdout.rstrip()), soft_wrap=False)
    svg = console.export_svg(title=f"kubectl tracking {name}", unique_id=name)
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_picture_is_what_the_command_prints(
    name: str, pytestconfig: pytest.Config
) -> None:
    """Character by character, in its colors."""
    path = IMAGES / f"{name}.svg"
    picture = drawn(name)
    if pytestconfig.getoption("update_golden"):
        path.write_text(picture, "utf-8")

    assert path.read_text("utf-8") == picture, "`--update-golden` draws it anew"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_shows_it(name: str) -> None:
    """README, or a page of docs/."""
    assert any(f"images/{name}.svg)" in page.read_text("utf-8") for page in PAGES)
