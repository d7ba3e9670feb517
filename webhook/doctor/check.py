"""A check, and what examining one thing after the other comes to.

Checks are in the order of causes: what fails first is what has to be mended first. A
check that cannot hold because an earlier one failed is skipped, and says which.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.reason import Reason

PAGE: Final = "docs/reference/checks.md"
"""Where each code has its section."""


class Outcome(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    """Task pods get their keys; somebody should know all the same."""
    FAILURE = "failure"
    """Task pods start without keys, or will, or cannot use them."""
    SKIPPED = "skipped"
    """An earlier check failed, or a right to look is missing."""

    @property
    def symbol(self) -> str:
        """Return how a table shows it."""
        return _SYMBOLS[self]


_SYMBOLS: Final[Mapping[Outcome, str]] = {
    Outcome.OK: "√",
    Outcome.WARNING: "‼",
    Outcome.FAILURE: "×",
    Outcome.SKIPPED: "-",
}


class UnseenError(Exception):
    """A piece could not be observed; the message names the right or the reason."""


P = TypeVar("P")
T = TypeVar("T")


def seen(piece: P | Unknown) -> P:
    """Return a piece of an observation.

    Raises:
        UnseenError: it could not be observed.
    """
    if isinstance(piece, Unknown):
        raise UnseenError(piece.sentence)
    return piece


def there(piece: P | Unknown) -> P | None:
    """Return a piece of an observation; None where the object does not exist.

    Raises:
        UnseenError: it could not be observed.
    """
    if isinstance(piece, Unknown) and piece.reason is UnknownReason.ABSENT:
        return None
    return seen(piece)


def mapped(convert: Callable[..., T | Unknown], *pieces: Any) -> T | Unknown:
    """Return what is made of pieces; of one that could not be observed, why not."""
    unknown = next((one for one in pieces if isinstance(one, Unknown)), None)
    return convert(*pieces) if unknown is None else unknown


class Facts(Protocol):
    """What checks of one scope look at."""

    @property
    def words(self) -> Mapping[str, str]:
        """Return what a remedy's placeholders stand for."""


F = TypeVar("F", bound=Facts)


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that is not as it should be.

    Attributes:
        subject: the object that it is about; never a value.
        detail: what is wrong with it, in one phrase.
        words: what further placeholders of the remedy stand for.
    """

    subject: str
    detail: str = ""
    words: Mapping[str, str] | None = None

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.subject}: {self.detail}" if self.detail else self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[F]):
    """One thing that should hold.

    Attributes:
        code: the word for its failing; where a reason says the same, that reason.
        title: what holds when it is in order.
        sentence: what it means when it is not.
        remedy: the command that mends it or shows the way; `{home}`, `{release}`,
            `{namespace}` and `{subject}` stand for what it is about.
        judge: the symptoms found in the facts; it raises `UnseenError` where a fact is
            not there.
        outcome: of its failing.
        after: codes of earlier checks that explain its failing.
    """

    code: str
    title: str
    sentence: str
    remedy: str
    judge: Callable[[F], Iterable[Symptom]]
    outcome: Outcome = Outcome.FAILURE
    after: tuple[str, ...] = ()

    @property
    def link(self) -> str:
        """Return where it is explained."""
        return f"{PAGE}#{self.code.lower()}"


def of_reason(reason: Reason, *, title: str, remedy: str, **more: Any) -> Check[Any]:
    """Return a check whose failing is one of the product's reasons."""
    return Check(
        code=reason.value,
        title=title,
        sentence=reason.sentence,
        remedy=remedy,
        **more,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What one check came to.

    Attributes:
        check: which.
        namespace: what it was about; empty for the cluster.
        place: where it was examined from, such as `pod/head`; empty for outside.
        outcome: what it came to.
        symptoms: what was found, the first in front.
        why: why it was skipped.
        remedy: the command, with names filled in; empty where all is in order.
    """

    check: Check[Any]
    namespace: str = ""
    place: str = ""
    outcome: Outcome = Outcome.OK
    symptoms: tuple[Symptom, ...] = ()
    why: str = ""
    remedy: str = ""

    @property
    def is_trouble(self) -> bool:
        """Return whether somebody should look into it."""
        return self.outcome in (Outcome.WARNING, Outcome.FAILURE)


def examine(
    checks: Sequence[Check[F]],
    facts: F,
    *,
    namespace: str = "",
    failed: frozenset[str] = frozenset(),
) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each check, in order.

    Args:
        checks: in the order of causes.
        facts: what was observed.
        namespace: what they are about; empty for the cluster.
        failed: codes that failed before, such as the cluster's before a namespace's.
    """
    known = set(failed)
    for check in checks:
        one = _diagnose(check, facts, namespace, known)
        if one.outcome is Outcome.FAILURE:
            known.add(check.code)
        yield one


def _diagnose(check: Check[F], facts: F, namespace: str, failed: set[str]) -> Diagnosis:
    diagnosis = partial(Diagnosis, check=check, namespace=namespace)
    cause = next((code for code in check.after if code in failed), None)
    if cause is not None:
        return diagnosis(outcome=Outcome.SKIPPED, why=f"first mend {cause}")
    try:
        symptoms = tuple(check.judge(facts))
    except UnseenError as error:
        return diagnosis(outcome=Outcome.SKIPPED, why=str(error))
    if not symptoms:
        return diagnosis()
    first = symptoms[0]
    words = {**facts.words, "subject": first.subject, **(first.words or {})}
    remedy = check.remedy.format_map(words)
    return diagnosis(outcome=check.outcome, symptoms=symptoms, remedy=remedy)


def examine_all(
    groups: Mapping[str, Sequence[Check[F]]],
    facts: F,
    *,
    namespace: str = "",
    failed: frozenset[str] = frozenset(),
) -> tuple[Diagnosis, ...]:
    """Return a diagnosis for each check of each group, in order."""
    checks = [check for group in groups.values() for check in group]
    return tuple(examine(checks, facts, namespace=namespace, failed=failed))


def first_cause(diagnoses: Iterable[Diagnosis]) -> Diagnosis | None:
    """Return what has to be mended first: the first failure, else the first warning."""
    troubled = [one for one in diagnoses if one.is_trouble]
    failures = [one for one in troubled if one.outcome is Outcome.FAILURE]
    return next(iter(failures or troubled), None)
