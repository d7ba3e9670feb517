"""`status` says on one screen what is wrong, and its exit code says whether."""

from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from tests.unit.companion.test_report import mirrored, permitted, report
from webhook.cli.main import cli
from webhook.cli.status_view import screen, span
from webhook.companion.report import is_in_order
from webhook.companion.results import CompanionResults
from webhook.companion.watches import WatchReason, WatchResult
from webhook.egress.reasons import EgressReason
from webhook.mirror.reasons import MirrorReason

LED = {"companion": {"leader": "one", "renewed": "2026-01-02T03:05:00.000000Z"}}


def found(results: CompanionResults | None = None) -> dict[str, Any]:
    """A report of two namespaces, as the command has it."""
    results = results or CompanionResults()
    for name in ("ray", "spark"):
        if results.mirrors.get(name) is None:
            results.mirrors.put(name, mirrored())
        if results.egress.get(name) is None:
            results.egress.put(name, permitted())
    return report(results) | LED


def shown(report: dict[str, Any], *, wide: bool = False) -> str:
    """What a person sees on a wide terminal."""
    console = Console(width=160, record=True, file=None)
    at = datetime(2026, 1, 2, 3, 5, 10, tzinfo=UTC)
    with console.capture() as capture:
        console.print(screen(report, wide=wide, at=at))
    return capture.get()


def test_everything_in_order_is_in_order() -> None:
    """And who leads is said."""
    assert is_in_order(found())
    assert "companion: one leads." in shown(found())


@pytest.mark.parametrize("reason", MirrorReason)
def test_a_mirror_not_in_order_fails_and_is_said(reason: MirrorReason) -> None:
    """Each reason by its sentence."""
    results = CompanionResults()
    results.mirrors.put("ray", mirrored(reason))

    assert is_in_order(found(results)) is reason.is_in_order
    said = " ".join(shown(found(results)).split())
    assert (f"ray: {reason.sentence}" in said) is not reason.is_in_order


@pytest.mark.parametrize("reason", EgressReason)
def test_egress_not_in_order_fails_and_is_said(reason: EgressReason) -> None:
    """Each reason by its sentence."""
    results = CompanionResults()
    results.egress.put("ray", permitted(reason))

    assert is_in_order(found(results)) is reason.is_in_order
    said = " ".join(shown(found(results)).split())
    assert (f"ray, egress: {reason.sentence}" in said) is not reason.is_in_order


def test_a_failing_watch_fails_and_is_named() -> None:
    """With what the API server said."""
    results = CompanionResults()
    failed = WatchResult(reason=WatchReason.WATCH_FAILED, detail="a right is missing")
    results.watches.put("services *", failed)

    assert not is_in_order(found(results))
    assert "services *: The objects cannot be listed" in shown(found(results))
    assert "(a right is missing)" in shown(found(results))


@pytest.mark.parametrize(
    "change",
    [
        {"companion": {"leader": ""}},
        {"certificates": {"problems": ["StateMissing"], "line": "no state"}},
        {"profiles": {"default": {"inOrder": False}}},
        {"watches": {"failing": [], "unreadable": 1, "objects": []}},
        {"reasons": {"mirror": {}, "egress": {}, "pods": {"Missed": 1}}},
    ],
)
def test_anything_else_not_in_order_fails(change: dict[str, Any]) -> None:
    """Whatever the namespaces say."""
    assert not is_in_order(found() | change)


def test_a_namespace_asked_for_stands_for_itself() -> None:
    """Others' troubles are not its own."""
    results = CompanionResults()
    results.mirrors.put("ray", mirrored(MirrorReason.STALE))
    whole = found(results)
    entries = whole["namespaces"]
    asked = {name: whole | {"asked": name} for name in ("ray", "spark", "none")}
    for name, one in asked.items():
        one["namespaces"] = {name: entries[name]} if name in entries else {}

    assert {name: is_in_order(one) for name, one in asked.items()} == {
        "ray": False,
        "spark": True,
        "none": False,
    }


def test_what_was_cut_is_not_said_to_be_unlabeled() -> None:
    """Of thousands, some are left out."""
    cut = found() | {"namespaces": {}, "total": 6000, "truncated": {"namespaces": 6000}}

    assert "labeled" not in shown(cut)
    assert "was cut" in shown(cut | {"asked": "ray"})
    assert "Cut: 6000 namespaces in all." in shown(cut)
    assert "No namespace is labeled" in shown(found() | {"namespaces": {}, "total": 0})


def test_pods_that_nobody_looked_at_are_not_told_to_be_none() -> None:
    """A dash, and why."""
    line = next(one for one in shown(found()).splitlines() if one.startswith("ray"))

    assert line.split()[-3:] == ["-", "-", "-"]
    assert "Pods are not audited: off." in shown(found())


def test_ages_are_as_kubectl_has_them() -> None:
    """One unit, the largest that has two."""
    seconds = (5, 119, 120, 7300, 200000)
    assert [span(s) for s in seconds] == ["5s", "119s", "2m", "2h", "2d"]


def test_the_command_explains_itself() -> None:
    """Without a cluster and without its client's help."""
    result = CliRunner().invoke(cli, ["status", "--help"])

    assert result.exit_code == 0
    assert "--release NAMESPACE[/NAME]" in result.output
