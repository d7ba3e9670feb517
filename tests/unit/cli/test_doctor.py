"""Doctor with few rights or none, and what it prints."""

import json
import os
import pty
import sys
from typing import Any, Final
from xml.etree import ElementTree as Xml

import pytest
from click import unstyle
from click.testing import CliRunner

from tests.fakes.installation import NOW, FakeInstallation
from tests.unit.cli.test_status import reached
from tests.unit.companion.observation.test_troubles import found
from tests.unit.doctor.test_check import CHECKS, Broken
from webhook.cli.doctor_examine import Examiner
from webhook.cli.doctor_view import Examination, as_json, as_junit, as_table
from webhook.cli.main import cli
from webhook.cluster.resources import (
    NAMESPACE,
    SECRET,
    SPARK_APPLICATION,
    WEBHOOK_CONFIGURATION,
)
from webhook.doctor.check import Diagnosis, Outcome, Symptom, examine

EVERY_POD: Final = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE"],
    "resources": ["pods"],
}


def examined(site: FakeInstallation) -> tuple[Diagnosis, ...]:
    """Everything that is said of an installation in memory."""
    return Examiner(client=site.cluster.client()).examine(site.release, (), NOW)


def why(diagnoses: tuple[Diagnosis, ...], code: str) -> str:
    """Why a check was not examined."""
    (one,) = [one for one in diagnoses if one.check.code == code and not one.namespace]
    assert one.outcome is Outcome.SKIPPED
    return one.why


def test_without_any_right_nothing_is_accused(site: FakeInstallation) -> None:
    """Whoever may see nothing can say nothing, and is told what is missing."""
    site.cluster.forbid(lambda _: True)
    diagnoses = examined(site)

    assert {one.outcome for one in diagnoses if one.is_trouble} == set()
    assert "the right to get" in why(diagnoses, "ConfigurationMissing")


def test_a_missing_right_is_named(site: FakeInstallation) -> None:
    """One check less, and the others as before."""
    site.cluster.forbid(lambda call: call.kind == SECRET)
    diagnoses = examined(site)

    said = why(diagnoses, "CertificateSecretMissing")
    assert said.endswith("the right to list secrets in ml-tracking is missing.")


def test_namespaces_are_known_from_the_report(site: FakeInstallation) -> None:
    """Where they may not be listed."""
    site.cluster.forbid(lambda call: (call.verb, call.kind) == ("list", NAMESPACE))
    names = {one.namespace for one in examined(site)}

    assert {"ray", "spark"} <= names


def test_an_object_that_cannot_be_read_is_no_crash(site: FakeInstallation) -> None:
    """Somebody else may have written it."""
    site.cluster.put(
        WEBHOOK_CONFIGURATION, {"metadata": {"name": "odd"}, "webhooks": [{"rules": 3}]}
    )

    assert examined(site)


@pytest.mark.parametrize(
    "egress",
    [{"mode": "of-a-later-version"}, {"mode": None}, {"mode": ["additive"]}],
    ids=repr,
)
def test_settings_of_another_version_are_no_crash(
    site: FakeInstallation, egress: object
) -> None:
    """Rights that are not known are not examined; the rest is."""
    site.publish(found() | {"settings": {"egress": egress}})
    diagnoses = examined(site)

    assert "the companion's settings" in why(diagnoses, "RightsMissing")
    assert any(one.outcome is Outcome.OK for one in diagnoses if one.namespace)


@pytest.mark.parametrize("egress", [None, 3, "x", [3], {}], ids=repr)
def test_settings_that_are_none_are_no_crash(
    site: FakeInstallation, egress: object
) -> None:
    """Somebody else may have written them."""
    site.publish(found() | {"settings": {"egress": egress}})

    assert any(one.outcome is Outcome.OK for one in examined(site))


@pytest.mark.parametrize(
    ("spec", "webhook", "told"),
    [
        ({"driver": {"env": [{"name": "A", "value": "b"}]}}, False, "driver.env"),
        ({"executor": {"envFrom": [{}]}}, False, "executor.envFrom"),
        ({"driver": {"envVars": {"A": "b"}}, "executor": {}}, False, ""),
        ({"driver": {"env": [{"name": "A", "value": "b"}]}}, True, ""),
        ({"driver": 3}, False, ""),
    ],
    ids=["env", "envFrom", "by Spark itself", "with its webhook", "odd"],
)
def test_what_sparks_webhook_would_have_done_is_missed(
    site: FakeInstallation, spec: dict[str, Any], webhook: bool, told: str
) -> None:
    """Only where an application asks for it."""
    meta = {"name": "nightly", "namespace": "ray"}
    site.put(SPARK_APPLICATION, {"metadata": meta, "spec": spec, "status": {"a": "b"}})
    if webhook:
        entry = {"name": "mutate--v1-pod.sparkoperator.k8s.io", "rules": [EVERY_POD]}
        theirs = {"metadata": {"name": "spark-operator"}, "webhooks": [entry]}
        site.put(WEBHOOK_CONFIGURATION, theirs)
    (one,) = [
        one
        for one in examined(site)
        if (one.check.code, one.namespace) == ("OperatorWebhookOff", "ray")
    ]

    assert [(s.subject, s.detail) for s in one.symptoms] == (
        [("sparkapplication/nightly", told)] if told else []
    )


def examination(*broken: str) -> Examination:
    """Of four checks, some of which fail."""
    facts = Broken(frozenset(broken))
    return Examination(
        context="lab", about="a/b", diagnoses=tuple(examine(CHECKS, facts))
    )


def test_a_table_has_the_command_that_mends() -> None:
    """And names what to mend first at its end."""
    text = unstyle(as_table([examination("A", "C")], every=False))

    assert "× A: pod/A: it is broken" in text
    assert "mend: kubectl describe pod/A -n ml-tracking" in text
    assert text.rstrip().endswith("kubectl describe pod/A -n ml-tracking")
    assert "√ A works" not in unstyle(as_table([examination()], every=False))
    assert "√ A works" in unstyle(as_table([examination()], every=True))


def test_what_was_not_examined_is_not_in_order() -> None:
    """The last line is what people read."""
    unseen = Diagnosis(check=CHECKS[0], outcome=Outcome.SKIPPED, why="a right")
    fine = Diagnosis(check=CHECKS[1])
    partly = Examination(context="", about="a/b", diagnoses=(unseen, fine))
    whole = Examination(context="", about="a/b", diagnoses=(fine,))

    *_, last = unstyle(as_table([partly], every=False)).splitlines()
    assert last == "Nothing fails, but 1 of 2 checks were not examined."
    *_, last = unstyle(as_table([whole], every=False)).splitlines()
    assert last == "Everything is in order."


def test_what_others_wrote_gives_a_terminal_no_command() -> None:
    """Nor a CI server XML that it cannot read: of a pod's message, or a plugin's."""
    odd = "\x1b[2J\x1b]0;owned\x07\x00\x9b2J\ud800 said"
    symptoms = (Symptom("pod/a", odd), Symptom("pod/b", odd))
    broken = Diagnosis(
        check=CHECKS[0], outcome=Outcome.FAILURE, symptoms=symptoms, remedy="mend"
    )
    unseen = Diagnosis(check=CHECKS[1], outcome=Outcome.SKIPPED, why=odd)
    found = [
        Examination(context="a", about="a/b", diagnoses=(broken, unseen)),
        Examination(context="b", about="not examined", error=odd),
    ]
    table, junit = unstyle(as_table(found, every=True)), as_junit(found, every=True)

    assert table.replace("\n", "").isprintable()
    assert Xml.fromstring(junit) is not None  # noqa: S314 - ours
    assert (table.count(" said"), junit.count(" said")) == (4, 4)


@pytest.mark.parametrize(
    ("environ", "colored"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
    ids=["a terminal", "NO_COLOR", "a dumb one"],
)
def test_a_terminal_has_colors_where_they_are_wanted(
    site: FakeInstallation,
    environ: dict[str, str],
    colored: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `status` has them: https://no-color.org."""
    site.cluster.forbid(lambda _: True)  # a short answer, which the terminal can hold
    terminal, written = pty.openpty()
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with reached(site), open(written, "w", encoding="utf-8") as stdout:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit):
            cli(["doctor"])
    shown = os.read(terminal, 1 << 16)
    os.close(terminal)

    assert (b"\x1b[" in shown) is colored
    assert b"not examined" in shown


def test_junit_tells_failures_from_what_was_not_examined() -> None:
    """As a CI server counts."""
    (suite,) = Xml.fromstring(as_junit([examination("A")], every=False))  # noqa: S314 - ours

    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    assert suite.get("skipped") == "1"


def test_a_cluster_without_access_hides_no_other() -> None:
    """It has a line of its own."""
    gone = Examination(context="gone", about="not examined", error="No access.")
    document = json.loads(as_json([gone, examination()], every=False))

    assert [one["inOrder"] for one in document["clusters"]] == [False, True]
    assert "No access." in as_table([gone, examination()], every=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pre", "-n", "ray"), "--pre takes no --namespace."),
        (("--pre", "--probe"), "--pre takes no --probe."),
        (("-A", "--context", "lab"), "-A takes no --context."),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    site: FakeInstallation, words: tuple[str, ...], said: str
) -> None:
    """A namespace of `--pre` may be meant for the release's, which --release says."""
    with reached(site):
        result = CliRunner().invoke(cli, ["doctor", *words])

    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {said}")


def test_a_time_that_is_none_is_refused(site: FakeInstallation) -> None:
    """In one sentence."""
    with reached(site):
        result = CliRunner().invoke(cli, ["doctor", "--wait", "soon"])

    assert result.exit_code == 2
    assert "no time such as 90s or 2m" in result.output
