"""Decides what becomes of each namespace's mirror, and why.

Pure: what was seen in, a verdict with a reason out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from webhook.mirror.desired import Fingerprint, fingerprint
from webhook.mirror.merge import Merged, Unmergeable
from webhook.mirror.reasons import MirrorReason


class Step(StrEnum):
    """What to do."""

    NOTHING = "nothing"
    WRITE = "write"
    REMOVE = "remove"
    """Once no running pod refers to it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about one namespace's mirror, and why."""

    step: Step
    reason: MirrorReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which labeled namespaces may have keys.

    Attributes:
        allowed: names or patterns such as `team-*`; empty means any.
        excluded: names that never may.
    """

    allowed: Sequence[str] = ()
    excluded: Sequence[str] = ()

    def objection(self, namespace: str) -> MirrorReason | None:
        """Why a labeled namespace gets nothing all the same."""
        if namespace in self.excluded:
            return MirrorReason.EXCLUDED_NAMESPACE
        if self.allowed and not any(fnmatchcase(namespace, p) for p in self.allowed):
            return MirrorReason.NOT_ALLOWED
        return None


@dataclass(frozen=True, slots=True)
class Labeled:
    """A namespace that carries the label, as far as mirrors care."""

    name: str
    profile: str
    terminating: bool


@dataclass(frozen=True, slots=True)
class Existing:
    """A Secret of the mirror's name, without its values."""

    owned: bool
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Supply:
    """What a profile has to give.

    Attributes:
        content: the last good merge; None when there never was one.
        problem: why the newest merge failed; None when it did not.
        since: when it began to fail.
    """

    content: Merged | None
    problem: Unmergeable | None
    since: datetime | None = None


def judge(
    namespace: Labeled | None,
    existing: Existing | None,
    supply: Supply | None,
    scope: Scope,
) -> Verdict:
    """Decides about one namespace.

    Args:
        namespace: None when it is not labeled, or not there.
        existing: the Secret of the mirror's name there, if any.
        supply: of the namespace's profile; None when there is no such profile.
        scope: which namespaces may have keys.
    """
    if namespace is None:
        return _without(existing, MirrorReason.LEAVING)
    if namespace.terminating:
        return Verdict(Step.NOTHING, MirrorReason.TERMINATING)
    objection = scope.objection(namespace.name)
    if objection is not None:
        return _without(existing, objection)
    if supply is None:
        return _without(existing, MirrorReason.UNKNOWN_PROFILE, namespace.profile)
    if existing is not None and not existing.owned:
        return Verdict(Step.NOTHING, MirrorReason.FOREIGN_SECRET)
    return _with(existing, supply, namespace.profile)


def _without(
    existing: Existing | None, reason: MirrorReason, detail: str = ""
) -> Verdict:
    leaves = existing is not None and existing.owned
    return Verdict(Step.REMOVE if leaves else Step.NOTHING, reason, detail)


def _with(existing: Existing | None, supply: Supply, profile: str) -> Verdict:
    problem = supply.problem
    if supply.content is None:
        if problem is None:
            return Verdict(Step.NOTHING, MirrorReason.PENDING)
        reason = problem.reason if existing is None else MirrorReason.STALE
        return Verdict(Step.NOTHING, reason, problem.detail)
    wanted = fingerprint(supply.content, profile)
    if existing is None or existing.fingerprint != wanted:
        return Verdict(Step.WRITE, MirrorReason.PENDING)
    if problem is not None:
        return Verdict(Step.NOTHING, MirrorReason.STALE, problem.detail)
    return Verdict(Step.NOTHING, MirrorReason.MIRRORED)
