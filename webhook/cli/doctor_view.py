"""What doctor found: a table for people, JSON for programs, JUnit for CI."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from xml.etree import ElementTree as Xml

import click

from webhook.doctor.check import Diagnosis, Outcome, first_cause

SCHEMA: Final = 1
"""Of the JSON; grows when a field changes its meaning or goes."""
_STYLES: Final[Mapping[Outcome, dict[str, Any]]] = {
    Outcome.OK: {"fg": "green"},
    Outcome.WARNING: {"fg": "yellow"},
    Outcome.FAILURE: {"fg": "red"},
    Outcome.SKIPPED: {"dim": True},
}
_MOST: Final = 3
"""Symptoms of one check that a table shows; JSON has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What came out for one cluster.

    Attributes:
        context: its name in the kubeconfig; empty for the current one.
        about: the release, or what was looked at instead.
        diagnoses: in the order of causes.
        error: why nothing could be examined; empty otherwise.
    """

    context: str
    about: str
    diagnoses: tuple[Diagnosis, ...] = ()
    error: str = ""

    @property
    def cause(self) -> Diagnosis | None:
        """Return what has to be mended first."""
        return first_cause(self.diagnoses)

    @property
    def failed(self) -> bool:
        """Return whether anything has to be mended; a warning alone has not."""
        return bool(self.error) or any(
            one.outcome is Outcome.FAILURE for one in self.diagnoses
        )


def as_table(examinations: Sequence[Examination], *, every: bool) -> str:
    """Return it for people; `every` check, or those in order as a count."""
    return "\n".join(
        line for one in examinations for line in _examination(one, every=every)
    )


def _examination(one: Examination, *, every: bool) -> Iterator[str]:
    where = f"{one.context}: " if one.context else ""
    yield click.style(f"{where}{one.about}", bold=True)
    if one.error:
        yield _line(Outcome.FAILURE, one.error)
        return
    for namespace, group in groupby(one.diagnoses, lambda each: each.namespace):
        yield from _section(namespace or "installation", list(group), every=every)
    cause = one.cause
    if cause is None:
        yield click.style("Everything is in order.", fg="green")
        return
    place = f" in {cause.namespace}" if cause.namespace else ""
    yield click.style(f"First mend {cause.check.code}{place}:", bold=True)
    yield f"  {cause.remedy}"


def _section(
    name: str, diagnoses: Sequence[Diagnosis], *, every: bool
) -> Iterator[str]:
    troubled = [one for one in diagnoses if one.outcome is not Outcome.OK]
    fine = len(diagnoses) - len(troubled)
    if not every:
        yield _line(Outcome.OK, f"{name}: {fine} of {len(diagnoses)} checks in order")
    else:
        yield f"{name}:"
    for one in diagnoses if every else troubled:
        yield from _diagnosis(one)


def _diagnosis(one: Diagnosis) -> Iterator[str]:
    if one.outcome is Outcome.OK:
        yield _line(one.outcome, one.check.title)
        return
    if one.outcome is Outcome.SKIPPED:
        yield _line(one.outcome, f"{one.check.title} (not examined: {one.why})")
        return
    first, *more = one.symptoms
    yield _line(one.outcome, f"{one.check.code}: {first}")
    for symptom in more[: _MOST - 1]:
        yield f"    {symptom}"
    if (left := len(more) - _MOST + 1) > 0:
        yield f"    and {left} more"
    yield f"    {one.check.sentence}"
    yield f"    mend: {one.remedy}"
    yield f"    see:  {one.check.link}"


def _line(outcome: Outcome, text: str) -> str:
    return f"{click.style(outcome.symbol, **_STYLES[outcome])} {text}"


def as_json(examinations: Sequence[Examination], *, every: bool) -> str:
    """Return it for programs: every check, whatever a table leaves out."""
    del every
    document = {"schema": SCHEMA, "clusters": [_cluster(one) for one in examinations]}
    return json.dumps(document, indent=2, ensure_ascii=False)


def _cluster(one: Examination) -> dict[str, Any]:
    cause = one.cause
    told: dict[str, Any] = {"context": one.context, "about": one.about}
    if one.error:
        return told | {"inOrder": False, "error": one.error, "checks": []}
    return told | {
        "inOrder": not one.failed,
        "firstCause": cause
        and {
            "code": cause.check.code,
            "namespace": cause.namespace,
        },
        "checks": [_check(each) for each in one.diagnoses],
    }


def _check(one: Diagnosis) -> dict[str, Any]:
    told: dict[str, Any] = {
        "code": one.check.code,
        "title": one.check.title,
        "outcome": one.outcome,
        "link": one.check.link,
    }
    if one.namespace:
        told["namespace"] = one.namespace
    if one.why:
        told["why"] = one.why
    if one.symptoms:
        told["sentence"] = one.check.sentence
        told["remedy"] = one.remedy
        told["symptoms"] = [
            {"subject": each.subject, "detail": each.detail} for each in one.symptoms
        ]
    return told


def as_junit(examinations: Sequence[Examination], *, every: bool) -> str:
    """Return it for CI: a suite for each cluster and namespace.

    A warning is a passed case that says what it is: CI has no third color.
    """
    del every
    root = Xml.Element("testsuites", name="kubectl tracking doctor")
    for one in examinations:
        suites = groupby(one.diagnoses, lambda each: each.namespace)
        for namespace, group in suites:
            _suite(root, f"{one.context or one.about} {namespace}".strip(), group)
        if one.error:
            suite = Xml.SubElement(root, "testsuite", name=one.context or one.about)
            case = Xml.SubElement(suite, "testcase", name="access")
            Xml.SubElement(case, "error", message=one.error)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True)


def _suite(root: Xml.Element, name: str, diagnoses: Iterable[Diagnosis]) -> None:
    suite = Xml.SubElement(root, "testsuite", name=name)
    counts = dict.fromkeys(("tests", "failures", "skipped"), 0)
    for one in diagnoses:
        case = Xml.SubElement(
            suite, "testcase", classname=one.check.code, name=one.check.title
        )
        counts["tests"] += 1
        said = "; ".join(map(str, one.symptoms))
        if one.outcome is Outcome.FAILURE:
            counts["failures"] += 1
            failure = Xml.SubElement(case, "failure", message=said)
            failure.text = f"{one.check.sentence}\n{one.remedy}\n{one.check.link}"
        elif one.outcome is Outcome.SKIPPED:
            counts["skipped"] += 1
            Xml.SubElement(case, "skipped", message=one.why)
        elif one.outcome is Outcome.WARNING:
            out = Xml.SubElement(case, "system-out")
            out.text = f"{said}\n{one.check.sentence}\n{one.remedy}"
    for key, count in counts.items():
        suite.set(key, str(count))


FORMATS: Final = {"table": as_table, "json": as_json, "junit": as_junit}
"""By the name that `-o` takes."""
