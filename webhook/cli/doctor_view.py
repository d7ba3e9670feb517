"""What doctor found: a table for people, JSON for programs, JUnit for CI."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from xml.etree import ElementTree as Xml

import click
import msgspec

from webhook.cli.output import encoded
from webhook.cli.streams import inert
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
    for about, group in groupby(one.diagnoses, _about):
        yield from _section(about or "installation", list(group), every=every)
    cause = one.cause
    if cause is None:
        unseen = sum(each.outcome is Outcome.SKIPPED for each in one.diagnoses)
        if unseen:
            said = f"Nothing fails, but {unseen} of {len(one.diagnoses)} checks "
            yield click.style(f"{said}were not examined.", fg="yellow")
        else:
            yield click.style("Everything is in order.", fg="green")
        return
    place = f" in {cause.namespace}" if cause.namespace else ""
    yield click.style(f"First mend {cause.check.code}{place}:", bold=True)
    yield f"  {cause.remedy}"


def _about(one: Diagnosis) -> str:
    """Return what a check was about, and where it was examined from."""
    return f"{one.namespace}, from {one.place}" if one.place else one.namespace


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
        yield f"    {inert(str(symptom))}"
    if (left := len(more) - _MOST + 1) > 0:
        yield f"    and {left} more"
    yield f"    {one.check.sentence}"
    yield f"    mend: {one.remedy}"
    yield f"    see:  {one.check.link}"


def _line(outcome: Outcome, text: str) -> str:
    return f"{click.style(outcome.symbol, **_STYLES[outcome])} {inert(text)}"


class CheckedSymptom(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be: what it is about, and what is wrong."""

    subject: str
    detail: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What one check came to.

    Attributes:
        code: the word for its failing.
        title: what holds when it is in order.
        outcome: what it came to.
        link: the page that explains it.
        namespace: what it was about; empty for the cluster.
        place: where it was examined from, such as `pod/head`; empty for outside.
        why: why it was not examined.
        sentence: what its failing means; empty where it is in order.
        remedy: the command that mends it.
        symptoms: everything that was found.
    """

    code: str
    title: str
    outcome: Outcome
    link: str
    namespace: str = ""
    place: str = ""
    why: str = ""
    sentence: str = ""
    remedy: str = ""
    symptoms: list[CheckedSymptom] = []


class FirstCause(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be mended first."""

    code: str
    namespace: str


class CheckedCluster(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One cluster.

    Attributes:
        context: its name in the kubeconfig; empty for the current one.
        about: the release, or what was looked at instead.
        in_order: nothing failed; there may be warnings.
        error: why nothing could be examined.
        first_cause: null where all is in order.
        checks: in the order of causes.
    """

    context: str
    about: str
    in_order: bool
    error: str
    first_cause: FirstCause | None
    checks: list[Checked]


class DoctorDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `doctor -o json` prints."""

    schema: int
    clusters: list[CheckedCluster]


def as_json(examinations: Sequence[Examination], *, every: bool) -> str:
    """Return it for programs: every check, whatever a table leaves out."""
    del every
    clusters = [_cluster(one) for one in examinations]
    return encoded(DoctorDocument(schema=SCHEMA, clusters=clusters))


def _cluster(one: Examination) -> CheckedCluster:
    cause = one.cause
    return CheckedCluster(
        context=one.context,
        about=one.about,
        in_order=not one.failed,
        error=one.error,
        first_cause=FirstCause(code=cause.check.code, namespace=cause.namespace)
        if cause
        else None,
        checks=[_checked(each) for each in one.diagnoses],
    )


def _checked(one: Diagnosis) -> Checked:
    return Checked(
        code=one.check.code,
        title=one.check.title,
        outcome=one.outcome,
        link=one.check.link,
        namespace=one.namespace,
        place=one.place,
        why=one.why,
        sentence=one.check.sentence if one.symptoms else "",
        remedy=one.remedy,
        symptoms=[
            CheckedSymptom(subject=each.subject, detail=each.detail)
            for each in one.symptoms
        ],
    )


def as_junit(examinations: Sequence[Examination], *, every: bool) -> str:
    """Return it for CI: a suite for each cluster and namespace.

    A warning is a passed case that says what it is: CI has no third color.
    """
    del every
    root = Xml.Element("testsuites", name="kubectl tracking doctor")
    for one in examinations:
        for about, group in groupby(one.diagnoses, _about):
            _suite(root, f"{one.context or one.about} {about}".strip(), group)
        if one.error:
            suite = Xml.SubElement(root, "testsuite", name=one.context or one.about)
            case = Xml.SubElement(suite, "testcase", name="access")
            Xml.SubElement(case, "error", message=one.error)
    Xml.indent(root)
    # XML may not hold a control character, in whatever form.
    return inert(Xml.tostring(root, encoding="unicode", xml_declaration=True))


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
