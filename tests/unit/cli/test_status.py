"""`status` says on one screen what is wrong, and its exit code says whether."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.fakes.installation import DIGEST, HOME, NAME, NOW, FakeInstallation
from tests.unit.companion.observation.test_troubles import found
from tests.unit.companion.test_report import mirrored, permitted
from webhook import __version__
from webhook.cli.main import cli
from webhook.cli.status_document import StatusDocument
from webhook.cli.status_view import StatusView, screen, span
from webhook.cluster.config import ClusterConnection
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    LEASE,
    WEBHOOK_CONFIGURATION,
)
from webhook.companion.audit import AuditReason, AuditResult
from webhook.companion.observation.reasons import InstallationReason
from webhook.companion.observation.trouble import warning
from webhook.companion.observation.troubles import troubles
from webhook.companion.results import CompanionResults
from webhook.egress.reasons import EgressReason
from webhook.mirror.reasons import MirrorReason


@contextmanager
def reached(site: FakeInstallation) -> Iterator[None]:
    """Commands reach this installation, by a context called `lab`."""
    port: Any = site.cluster.client()
    access = ClusterConnection(port, "default", "context lab of FILE", "https://lab")
    with (
        patch("webhook.cli.release.connect", lambda *_, **__: access),
        # It shakes hands and creates pods: `tests/cluster/doctor` has what it finds.
        patch("webhook.cli.status.deeper", lambda *_, **__: ()),
    ):
        yield


def run(site: FakeInstallation, *words: str, columns: str = "80") -> Result:
    """The command on this installation, in a pipe."""
    with reached(site), patch("webhook.cli.status.now", lambda: NOW):
        return CliRunner().invoke(cli, ("status", *words), env={"COLUMNS": columns})


def on_screen(
    site: FakeInstallation, width: int = 160, view: StatusView | None = None
) -> str:
    """What a person sees on a terminal of this width."""
    seen = site.observe()
    console = Console(width=width, file=None)
    with console.capture() as capture:
        told = troubles(seen, client=__version__)
        console.print(screen(seen, told, view or StatusView()))
    return capture.get()


def unfolded(text: str) -> str:
    """The same without line ends, as a reader puts it together."""
    return "".join(text.split())


def pending(body: dict[str, Any]) -> None:
    """No replica is ready."""
    body["status"] = {}


def test_exit_code_0_means_that_all_is_in_order(site: FakeInstallation) -> None:
    """And what is served, by whom, and for how long, is on the screen."""
    result = run(site)

    assert (result.exit_code, result.output.splitlines()[0]) == (
        0,
        "√ Everything is in order.",
    )
    assert "2/2 ready" in result.output
    assert DIGEST[:19] in result.output
    assert "one, renewed 0s ago" in result.output


def test_both_webhook_pods_pending_is_exit_code_1(site: FakeInstallation) -> None:
    """Whatever the companion reports."""
    site.change(DEPLOYMENT, ObjectKey(HOME, NAME), pending)
    result = run(site)

    assert result.exit_code == 1
    assert "WebhookDown: No replica of the webhook is ready" in result.output


def test_a_companion_dead_for_two_hours_is_exit_code_1(site: FakeInstallation) -> None:
    """Its last report said that all was well."""
    site.renewed(timedelta(hours=2))
    result = run(site)

    assert result.exit_code == 1
    assert "last renewed by one, 7200 s ago" in result.output


def test_unresolved_destinations_are_exit_code_1(site: FakeInstallation) -> None:
    """In a namespace where no policy isolates, too."""
    results = CompanionResults()
    results.egress.put("ray", permitted(EgressReason.NOT_ISOLATED, findings=2))
    site.publish(found(results))
    result = run(site)

    assert result.exit_code == 1
    assert "ray, egress: host-0.example.org" in result.output


def test_trouble_comes_first(site: FakeInstallation) -> None:
    """Before all that is well."""
    site.change(DEPLOYMENT, ObjectKey(HOME, NAME), pending)
    lines = run(site).output.splitlines()

    assert lines[:2] == [
        "× 1 thing is not in order.",
        "× WebhookDown: No replica of the webhook is ready: where the API server has "
        "no policy, new task pods start without keys.",
    ]


def missing(site: FakeInstallation, count: int = 3) -> dict[str, Any]:
    """Pods of a namespace run without keys; the report."""
    names = [f"worker-{number}" for number in range(count)]
    results = CompanionResults()
    audited = AuditResult(
        reason=AuditReason.MISSED,
        counts=Counter({AuditReason.MISSED: count}),
        without_keys=tuple((name, AuditReason.MISSED) for name in names),
    )
    results.audits.put("ray", audited)
    body = found(results)
    site.publish(body)
    return body


def test_names_of_pods_are_told_where_asked_for(site: FakeInstallation) -> None:
    """`-o wide`; else how many."""
    missing(site)

    assert "ray: 3 pods\n" in run(site).output
    assert "ray: 3 pods: worker-0, worker-1, worker-2" in run(site, "-o", "wide").output


def test_what_is_accepted_is_told_as_a_warning(site: FakeInstallation) -> None:
    """And counts no more; whatever else there is still does."""
    missing(site)

    result = run(site, "--accept", "OptedOut", "--accept", "Missed")
    assert result.exit_code == 0
    assert "‼ Missed: The pod runs without the tracking keys" in result.output
    assert run(site, "--accept", "OptedOut").exit_code == 1


def test_a_reason_that_there_is_not_cannot_be_accepted(site: FakeInstallation) -> None:
    """Else a typo would go unnoticed, and so would what it was meant for."""
    result = run(site, "--accept", "OptdOut")

    assert result.exit_code == 2
    assert "there is no reason 'OptdOut'. Did you mean OptedOut?" in result.output


def test_a_pipe_is_neither_cut_nor_folded(site: FakeInstallation) -> None:
    """However narrow the terminal that started it."""
    missing(site, 50)
    narrow, broad = (
        run(site, "-o", "wide", columns=columns).output for columns in ("20", "400")
    )

    assert narrow == broad
    assert "worker-49" in narrow
    assert "…" not in narrow


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_loses_nothing(site: FakeInstallation, width: int) -> None:
    """It folds: every word and every name is there."""
    names = {f"a-namespace-with-a-rather-long-name-{n:02}": n for n in range(4)}
    body = found() | {"namespaces": missing(site)["namespaces"]}
    body["certificates"] = {"line": "steady, good until 2026-04-02"}
    body["namespaces"] |= dict.fromkeys(names, body["namespaces"]["ray"])
    reasons = [reason.value for reason in MirrorReason][:4]
    for name, reason in zip(names, reasons, strict=True):
        body["namespaces"][name] = body["namespaces"][name] | {"reason": reason}
    site.publish(body)
    shown = on_screen(site, width, StatusView(wide=True))

    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    words = " ".join(shown.split())
    for wanted in (*reasons, *names, "3 missed", "worker-2", "good until"):
        assert wanted in words
    assert DIGEST in unfolded(shown)


def test_of_300_namespaces_the_troubled_are_what_one_sees(
    site: FakeInstallation,
) -> None:
    """The rest is a line; --all has them."""
    results = CompanionResults()
    for number in range(300):
        reason = MirrorReason.STALE if number in (7, 250) else MirrorReason.MIRRORED
        results.mirrors.put(f"team-{number:03}", mirrored(reason))
    site.publish(found(results))
    few = on_screen(site, 80, StatusView(every=False))
    many = on_screen(site, 80, StatusView(every=True))

    assert len(few.splitlines()) <= 24
    assert few.count("team-007") == few.count("team-250") == 2
    assert "300 namespaces more are in order; --all lists them." in few
    assert "team-123" not in few
    assert "team-123" in many


def test_a_trouble_of_many_namespaces_is_told_once(site: FakeInstallation) -> None:
    """With the first few of them."""
    results = CompanionResults()
    for number in range(300):
        results.mirrors.put(f"team-{number:03}", mirrored(MirrorReason.STALE))
    site.publish(found(results))
    few = on_screen(site, 80, StatusView(every=False))

    assert few.count(MirrorReason.STALE.sentence[:30]) == 1
    assert "and 295 more; --all lists them" in few


def test_a_namespace_asked_for_stands_for_itself(site: FakeInstallation) -> None:
    """Others' troubles are not its own; several may be asked for."""
    results = CompanionResults()
    results.mirrors.put("ray", mirrored(MirrorReason.STALE))
    site.publish(found(results))
    codes = {
        words: run(site, *words).exit_code
        for words in (("-n", "ray"), ("-n", "spark"), ("-n", "spark", "-n", "ray"))
    }

    assert list(codes.values()) == [1, 0, 1]
    none = run(site, "-n", "default")
    assert none.exit_code == 1
    assert "The namespace is not labeled for injection" in none.output


@pytest.mark.parametrize("broken", [False, True])
def test_the_document_is_what_its_schema_says(
    site: FakeInstallation, broken: bool
) -> None:
    """And its `inOrder` is the exit code."""
    if broken:
        missing(site)
        site.cluster.forbid(lambda call: call.kind in (LEASE, WEBHOOK_CONFIGURATION))
        site.cluster.drop(DEPLOYMENT, ObjectKey(HOME, NAME))
    result = run(site, "-o", "json")
    document = msgspec.json.decode(result.output, type=StatusDocument)

    assert document.in_order is not broken
    assert result.exit_code == int(broken)
    assert bool(document.unknown) is broken
    assert document.report is not None
    assert list(document.report.namespaces) == ["ray", "spark"]
    if broken:
        assert document.unknown["lease"].reason == "RightMissing"
        assert document.unknown["webhook"].reason == "Absent"


def test_a_release_is_found_by_itself(site: FakeInstallation) -> None:
    """By its report, or where those may not be listed by what API servers call."""
    assert f"{HOME}/{NAME}" in run(site).output

    site.cluster.forbid(lambda call: call.kind == CONFIG_MAP and call.verb == "list")
    assert f"{HOME}/{NAME}" in run(site).output


def test_where_none_may_be_looked_for_it_is_said_what_to_say(
    site: FakeInstallation,
) -> None:
    """With the context, the server and the right."""
    site.cluster.forbid(lambda call: call.verb == "list")
    site.cluster.forbid(lambda call: call.kind == WEBHOOK_CONFIGURATION)
    result = run(site)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: No release can be looked for (https://lab, context lab of FILE); say "
        "--release NAMESPACE/NAME. configmaps in all namespaces: the right to list "
        "configmaps in all namespaces is missing.\n"
    )
    assert run(site, "--release", f"{HOME}/{NAME}").exit_code == 1


def test_two_releases_are_named(site: FakeInstallation) -> None:
    """Nobody guesses which is meant."""
    body = site.cluster.stored(CONFIG_MAP, ObjectKey(HOME, f"{NAME}-status"))
    assert body is not None
    site.put(CONFIG_MAP, body | {"metadata": body["metadata"] | {"name": "b-status"}})
    result = run(site)

    assert result.exit_code == 2
    assert f"Releases are {HOME}/b, {HOME}/{NAME}" in result.stderr


@pytest.mark.parametrize("release", ["nowhere", "a/b"])
def test_a_release_that_is_not_there_is_an_error(
    site: FakeInstallation, release: str
) -> None:
    """By its namespace or by its name."""
    result = run(site, "--release", release)

    assert result.exit_code == 2
    assert release in result.stderr


def test_a_server_that_does_not_answer_is_one_sentence(site: FakeInstallation) -> None:
    """And no usage in front of it."""
    site.cluster.outage = True
    result = run(site, "--release", f"{HOME}/{NAME}")

    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "nobody answers" in result.stderr


def test_ages_are_as_kubectl_has_them() -> None:
    """One unit, the largest that has two."""
    seconds = (5, 119, 120, 7300, 200000)
    assert [span(s) for s in seconds] == ["5s", "119s", "2m", "2h", "2d"]


def test_the_command_explains_itself() -> None:
    """Without a cluster and without its client's help."""
    result = CliRunner().invoke(cli, ["status", "--help"])

    assert result.exit_code == 0
    assert "--release NAMESPACE[/NAME]" in result.output


def test_yaml_is_the_same_document(site: FakeInstallation) -> None:
    """For people who read it."""
    as_json = json.loads(run(site, "-o", "json").output)

    assert as_json["release"] == {"namespace": HOME, "name": NAME}
    assert "namespace: ml-tracking" in run(site, "-o", "yaml").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-A -n ray", "-A takes no --namespace."),
        ("-A --probe", "-A takes no --probe."),
        ("-A --watch", "-A takes no --watch."),
        ("-A --context lab", "-A takes no --context."),
        ("--watch -o json", "--watch takes no -o json."),
        ("--watch -o yaml", "--watch takes no -o yaml."),
        ("--watch --probe", "--watch takes no --probe."),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    site: FakeInstallation, words: str, said: str
) -> None:
    """A script would take silence for an answer."""
    result = run(site, *words.split())

    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {said}")


@pytest.mark.parametrize("words", [(), ("-A", "-o", "wide")], ids=["one", "all"])
def test_what_others_wrote_gives_a_terminal_no_command(
    site: FakeInstallation, words: tuple[str, ...], tmp_path: Path
) -> None:
    """Such as the message of another's webhook, or of a node."""
    odd = "\x1b[2J\x1b]0;owned\x07 said"
    seen = (warning(InstallationReason.NOT_READABLE, "doctor", odd),)
    config = tmp_path / "config"
    config.write_text("{contexts: [{name: lab, context: {}}]}")
    with (
        reached(site),
        patch("webhook.cli.status.troubles", lambda *_, **__: seen),
        patch("webhook.cli.fleet.troubles", lambda *_, **__: seen),
    ):
        result = CliRunner().invoke(cli, ["status", *words, f"--kubeconfig={config}"])

    assert " said" in result.output
    assert result.output.replace("\n", "").isprintable()


def test_watched_in_a_pipe_each_look_is_printed(site: FakeInstallation) -> None:
    """Until it is interrupted, which is exit code 130; a bad moment is no end."""
    away = iter([False, True, False])

    def pause(_: float) -> None:
        try:
            site.cluster.outage = next(away)
        except StopIteration:
            raise KeyboardInterrupt from None

    with patch("webhook.cli.status.time.sleep", pause):
        result = run(site, "--watch")

    assert result.exit_code == 130
    assert result.output.count("---\n") == 4
    assert "Nothing of ml-tracking/keys-for-tasks can be read" in result.output
