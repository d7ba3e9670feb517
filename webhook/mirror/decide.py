"""Decides what becomes of each namespace's mirror, and why.

Pure: what is known of a namespace in, an action with a reason out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from webhook.injection.names import MANAGED_BY, PROFILE_LABEL, SOURCE_HASH_ANNOTATION
from webhook.mirror.merge import KeyFinding, MergedKeys, MergeFailure
from webhook.mirror.reasons import MirrorReason
from webhook.mirror.secret import MirrorFingerprint, fingerprint


class Action(StrEnum):
    """What to do."""

    NOTHING = "nothing"
    WRITE = "write"
    REMOVE = "remove"
    """Once no running pod refers to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorDecision:
    """What to do about one namespace's mirror, and why.

    Attributes:
        action: what to do.
        reason: why.
        detail: the source, profile or keys that the reason is about.
    """

    action: Action
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
        """Return why a labeled namespace gets nothing all the same."""
        if namespace in self.excluded:
            return MirrorReason.EXCLUDED_NAMESPACE
        if self.allowed and not any(fnmatchcase(namespace, p) for p in self.allowed):
            return MirrorReason.NOT_ALLOWED
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileContent:
    """What a profile has to give.

    Attributes:
        content: the last good merge; None when there never was one.
        problem: why the newest merge failed; None when it did not.
        since: when it began to fail.
    """

    content: MergedKeys | None = None
    problem: MergeFailure | None = None
    since: datetime | None = None

    @property
    def findings(self) -> tuple[KeyFinding, ...]:
        """Return what is worth knowing of single keys, of the newest merge first."""
        newest = self.problem.findings if self.problem else ()
        return newest or (self.content.findings if self.content else ())


def decide(
    namespace: LabeledNamespace | None,
    existing: ExistingMirror | None,
    profile: ProfileContent | None,
    namespaces: NamespaceFilter,
    enforced_keys: Sequence[str] = (),
    *,
    release: str = MANAGED_BY,
) -> MirrorDecision:
    """Decide about one namespace.

    Args:
        namespace: None when it is not labeled, or not there.
        existing: the Secret of the mirror's name there, if any.
        profile: what the namespace's profile gives; None when there is no such profile.
        namespaces: which ones may have keys.
        enforced_keys: what every mirror has to have.
        release: whose mirror it is to be.
    """
    if namespace is None:
        return _without(existing, MirrorReason.LEAVING)
    if namespace.terminating:
        return _nothing(MirrorReason.TERMINATING)
    exclusion = namespaces.exclusion(namespace.name)
    if exclusion is not None:
        return _without(existing, exclusion)
    if existing is not None and not existing.owned:
        return _nothing(MirrorReason.FOREIGN_SECRET)
    if profile is None:
        # Lost, renamed or mistyped: what is there stays, since pods rely on it.
        known = MirrorReason.UNKNOWN_PROFILE if existing is None else MirrorReason.STALE
        return _nothing(known, f"no profile {namespace.profile}")
    return _with(existing, profile, namespace.profile, enforced_keys, release)


def _nothing(reason: MirrorReason, detail: str = "") -> MirrorDecision:
    return MirrorDecision(action=Action.NOTHING, reason=reason, detail=detail)


def _without(existing: ExistingMirror | None, reason: MirrorReason) -> MirrorDecision:
    leaves = existing is not None and existing.owned
    action = Action.REMOVE if leaves else Action.NOTHING
    return MirrorDecision(action=action, reason=reason)


def _with(
    existing: ExistingMirror | None,
    profile: ProfileContent,
    name: str,
    enforced_keys: Sequence[str],
    release: str,
) -> MirrorDecision:
    content, problem = profile.content, profile.problem
    if content is None:
        if problem is None:
            return _nothing(MirrorReason.PENDING)
        reason = problem.reason if existing is None else MirrorReason.STALE
        return _nothing(reason, problem.detail)
    if existing is not None and _would_empty(existing, content, name):
        return _nothing(MirrorReason.STALE, f"profile {name} has no source any more")
    if existing is None or existing.fingerprint != fingerprint(content, name, release):
        return MirrorDecision(action=Action.WRITE, reason=MirrorReason.PENDING)
    if problem is not None:
        return _nothing(MirrorReason.STALE, problem.detail)
    return _in_place(content, name, enforced_keys)


def _in_place(
    content: MergedKeys, profile: str, enforced_keys: Sequence[str]
) -> MirrorDecision:
    """Return what there is to say about a mirror that is as it should be."""
    if not content.data:
        return _nothing(MirrorReason.NO_SOURCES, f"profile {profile}")
    missing = [key for key in enforced_keys if key not in content.data]
    if missing:
        return _nothing(MirrorReason.ENFORCED_KEY_MISSING, ", ".join(missing))
    return _nothing(MirrorReason.MIRRORED)


def _would_empty(existing: ExistingMirror, content: MergedKeys, profile: str) -> bool:
    """Return whether all keys would go that this very profile gave before."""
    if content.data:
        return False
    labels = dict(existing.fingerprint.labels)
    annotations = dict(existing.fingerprint.annotations)
    given = annotations.get(SOURCE_HASH_ANNOTATION, content.digest)
    return labels.get(PROFILE_LABEL) == profile and given != content.digest
