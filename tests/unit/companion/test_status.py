"""The report says what stands where, and nothing that should not be said."""

import json
import threading
from collections import Counter
from datetime import UTC, datetime

from click.testing import CliRunner
from rich.console import Console

from tests.unit.companion.test_auditor import HEAD, Audited
from tests.unit.companion.world import CANARY, RELEASE
from webhook.cli.main import cli
from webhook.cli.status import is_in_order
from webhook.cli.status_view import screen, span
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import CONFIG_MAP
from webhook.companion.metrics import Reports
from webhook.companion.status import FIELD, Status


def reported(world: Audited) -> Status:
    """The concern that tells about this world."""
    return Status(
        world.means,
        ObjectKey(RELEASE, "tracking-injector-status"),
        world.supplies,
        world.mirrors,
        world.auditor,
    )


def shown(report: dict[str, object], *, wide: bool = False) -> str:
    """What a person sees on a wide terminal."""
    companion = {"leader": "one", "renewed": "2026-01-02T03:05:00.000000Z"}
    console = Console(width=160, record=True, file=None)
    at = datetime(2026, 1, 2, 3, 5, 10, tzinfo=UTC)
    with console.capture() as capture:
        console.print(screen(report | {"companion": companion}, wide=wide, at=at))
    return capture.get()


def test_it_is_written_when_something_changed_and_not_otherwise() -> None:
    """An idle cluster costs no request."""
    world = Audited()
    status = reported(world)
    world.audit()
    status.step(world.now)
    world.cluster.calls.clear()
    for _ in range(3):
        world.audit()
        status.step(world.now)
    assert world.writes() == 0

    world.run("p", HEAD)
    world.audit()
    status.step(world.now)
    assert world.writes() == 1 + 1  # the pod itself and the report


def test_it_holds_no_value() -> None:
    """Only names, reasons and times."""
    world = Audited()
    status = reported(world)
    world.audit()
    status.step(world.now)
    body = world.user.get(CONFIG_MAP, "tracking-injector-status", RELEASE)
    report = json.loads(body["data"][FIELD])

    assert report["schema"] == 1
    assert report["profiles"]["default"]["keys"] == ["TRACKING_API_KEY", "TRACKING_URI"]
    assert report["namespaces"]["ray"]["reason"] == "Mirrored"
    assert CANARY not in body["data"][FIELD]
    assert "mlflow" not in body["data"][FIELD]


def test_it_never_outgrows_a_config_map() -> None:
    """What is in order is left out first."""
    world = Audited()
    report = world.mirrors.report["ray"]
    world.mirrors.report = {f"{'n' * 50}-{n}": report for n in range(9000)}
    text = reported(world).text()

    assert len(text) < 1024 * 1024
    assert json.loads(text)["truncated"] is True
    assert json.loads(text)["total"] == 9000


def test_a_person_sees_what_is_wrong() -> None:
    """Red lines with the reason, and who leads."""
    world = Audited()
    world.run("p", HEAD)
    world.user.delete(CONFIG_MAP, "uri", RELEASE)
    world.step()
    world.audit()
    report = reported(world).report()
    seen = shown(report)

    assert "Stale" in seen
    assert "ConfigMap/uri" in seen
    assert "1 Missed" in seen
    assert "companion: one leads." in seen
    assert not is_in_order(report | {"companion": {"leader": "one"}})


def test_pods_that_nobody_looked_at_are_not_told_to_be_none() -> None:
    """A dash, and why."""
    world = Audited()
    report = reported(world).report() | {"audit": "off"}
    line = next(line for line in shown(report).splitlines() if line.startswith("ray"))

    assert line.split()[-3:] == ["-", "-", "-"]
    assert "Pods are not audited: off." in shown(report)


def test_ages_are_as_kubectl_has_them() -> None:
    """One unit, the largest that has two."""
    assert [span(s) for s in (5, 119, 120, 7300, 200000)] == [
        "5s",
        "119s",
        "2m",
        "2h",
        "2d",
    ]


def test_the_command_explains_itself() -> None:
    """Without a cluster and without its client's help."""
    result = CliRunner().invoke(cli, ["status", "--help"])

    assert result.exit_code == 0
    assert "--release NAMESPACE[/NAME]" in result.output


def test_only_the_leader_measures_the_cluster() -> None:
    """What one that once led found must not stand beside what is so now."""
    world = Audited()
    world.run("p", HEAD)
    world.audit()
    leads = threading.Event()
    reports = Reports(
        mirrors=world.mirrors,
        auditor=world.auditor,
        observed=world.observed,
        announcer=world.means.announcer,
        leads=leads.is_set,
        failures=Counter(),
    )

    def told() -> dict[str, float]:
        found = {f.name: sum(s.value for s in f.samples) for f in reports.collect()}
        prefix = "tracking_injector_companion_"
        names = ("leader", "namespaces", "task_pods")
        return {name: found[prefix + name] for name in names}

    leads.set()
    assert told() == {"leader": 1, "namespaces": 1, "task_pods": 1}
    leads.clear()
    assert told() == {"leader": 0, "namespaces": 0, "task_pods": 0}
