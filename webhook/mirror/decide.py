"""Decides what becomes of each namespace's mirror, and why.

Pure: what was seen in, a verdict with a reason out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from webhook.mirror.merge import MergedKeys, MergeFailure
from webhook.mirror.reasons import MirrorReason
from webhook.mirror.secret import MirrorFingerprint, fingerprint


class Action(StrEnum):
    """What to do."""

    NOTHING = "nothing"
    WRITE = "write"
    REMOVE = "remove"
    """Once no running pod refers to it."""


@dataclass(frozen=True, slots=True)
class MirrorDecision:
    """What to do about one namespace's mirror, and why."""

    step: Action
    reason: MirrorReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NamespaceFilter:
    """Which labeled namespaces may have keys.

    Attributes:
        allowed: names or patterns such as `team-*`; empty means any.
        excluded: names that never may.
    """

    allowed: Sequence[str] = ()
    excluded: Sequence[str] = ()

    def exclusion(self, namespace: str) -> MirrorReason | None:
        """Why a labeled namespace gets nothing all the same."""
        if namespace in self.excluded:
            return MirrorReason.EXCLUDED_NAMESPACE
        if self.allowed and not any(fnmatchcase(namespace, p) for p in self.allowed):
            return MirrorReason.NOT_ALLOWED
        return None


@dataclass(frozen=True, slots=True)
class LabeledNamespace:
    """A namespace that carries the label, as far as mirrors care."""

    name: str
    profile: str
    terminating: bool


@dataclass(frozen=True, slots=True)
class ExistingMirror:
    """A Secret of the mirror's name, without its values."""

    owned: bool
    fingerprint: MirrorFingerprint


@dataclass(frozen=True, slots=True)
class ProfileContent:
    """What a profile has to give.

    Attributes:
        content: the last good merge; None when there never was one.
        problem: why the newest merge failed; None when it did not.
        since: when it began to fail.
    """

    content: MergedKeys | None
    problem: MergeFailure | None
    since: datetime | None = None


def decide(
    namespace: LabeledNamespace | None,
    existing: ExistingMirror | None,
    supply: ProfileContent | None,
    scope: NamespaceFilter,
) -> MirrorDecision:
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
        return MirrorDecision(Action.NOTHING, MirrorReason.TERMINATING)
    exclusion = scope.exclusion(namespace.name)
    if exclusion is not None:
        return _without(existing, exclusion)
    if supply is None:
        return _without(existing, MirrorReason.UNKNOWN_PROFILE, namespace.profile)
    if existing is not None and not existing.owned:
        return MirrorDecision(Action.NOTHING, MirrorReason.FOREIGN_SECRET)
    return _with(existing, supply, namespace.profile)


def _without(
    existing: ExistingMirror | None, reason: MirrorReason, detail: str = ""
) -> MirrorDecision:
    leaves = existing is not None and existing.owned
    return MirrorDecision(Action.REMOVE if leaves else Action.NOTHING, reason, detail)


def _with(
    existing: ExistingMirror | None, supply: ProfileContent, profile: str
) -> MirrorDecision:
    problem = supply.problem
    if supply.content is None:
        if problem is None:
            return MirrorDecision(Action.NOTHING, MirrorReason.PENDING)
        reason = problem.reason if existing is None else MirrorReason.STALE
        return MirrorDecision(Action.NOTHING, reason, problem.detail)
    wanted = fingerprint(supply.content, profile)
    if existing is None or existing.fingerprint != wanted:
        return MirrorDecision(Action.WRITE, MirrorReason.PENDING)
    if problem is not None:
        return MirrorDecision(Action.NOTHING, MirrorReason.STALE, problem.detail)
    return MirrorDecision(Action.NOTHING, MirrorReason.MIRRORED)
