"""Checks in the order of causes, and what is said of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.doctor.check import (
    Check,
    Diagnosis,
    Outcome,
    Symptom,
    examine,
    first_cause,
    seen,
    there,
)

REFUSED = Unknown(
    reason=UnknownReason.RIGHT_MISSING, what="pods", detail="to list pods"
)
ABSENT = Unknown(reason=UnknownReason.ABSENT, what="leases a/b")


@dataclass(frozen=True)
class Broken:
    """Names of what is broken; a piece may be unknown."""

    parts: frozenset[str] | Unknown

    @property
    def words(self) -> Mapping[str, str]:
        """What remedies may name."""
        return {"home": "ml-tracking"}


def check(code: str, **more: Any) -> Check[Broken]:
    """A check that fails when the part of its name is broken."""

    def judge(facts: Broken) -> Iterator[Symptom]:
        if code in seen(facts.parts):
            yield Symptom(f"pod/{code}", "it is broken")

    return Check(
        code=code,
        title=f"{code} works",
        sentence=f"{code} does not work.",
        remedy="kubectl describe {subject} -n {home}",
        judge=judge,
        **more,
    )


CHECKS = (
    check("A"),
    check("B", after=("A",)),
    check("C", outcome=Outcome.WARNING),
    check("D", after=("C",)),
)


def outcomes(*broken: str) -> list[Outcome]:
    """What each check came to."""
    return [one.outcome for one in examine(CHECKS, Broken(frozenset(broken)))]


def cause(*broken: str) -> Diagnosis | None:
    """What has to be mended first."""
    return first_cause(examine(CHECKS, Broken(frozenset(broken))))


def test_all_is_in_order() -> None:
    """Nothing is said."""
    assert outcomes() == [Outcome.OK] * 4
    assert cause() is None


def test_a_consequence_is_not_examined() -> None:
    """It names the cause, whether or not it would fail too."""
    found = list(examine(CHECKS, Broken(frozenset({"A", "B"}))))

    assert found[1].outcome is Outcome.SKIPPED
    assert found[1].why == "first mend A"


def test_a_warning_explains_nothing() -> None:
    """What comes after it is examined."""
    assert outcomes("C", "D")[2:] == [Outcome.WARNING, Outcome.FAILURE]


def test_a_failure_comes_before_an_earlier_warning() -> None:
    """Warnings are mended when nothing fails."""
    found = cause("C", "D")
    assert found is not None
    assert found.check.code == "D"
    alone = cause("C")
    assert alone is not None
    assert alone.check.code == "C"


def test_a_remedy_names_what_it_is_about() -> None:
    """The command can be pasted."""
    found = cause("A")
    assert found is not None
    assert found.remedy == "kubectl describe pod/A -n ml-tracking"
    assert found.check.link.endswith("#a")


def test_a_missing_right_is_named_and_is_no_failure() -> None:
    """Less is examined, and it is said what is missing."""
    found = list(examine(CHECKS, Broken(REFUSED)))

    assert {one.outcome for one in found} == {Outcome.SKIPPED}
    assert found[0].why == "pods: the right to list pods is missing."


def test_what_does_not_exist_is_a_fact() -> None:
    """Only `there` may ask for it."""
    assert there(ABSENT) is None


def test_a_failure_before_is_taken_into_account() -> None:
    """As of the cluster's, for a namespace."""
    (_, second, *_) = examine(CHECKS, Broken(frozenset()), failed=frozenset({"A"}))

    assert second.outcome is Outcome.SKIPPED
