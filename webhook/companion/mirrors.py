"""Keeps one mirror in every namespace that should have one.

Each step judges every namespace anew from what the followers know, and then acts on the
most urgent few: where nothing is yet, pods may be waiting. So a burst of a thousand
updates never keeps a new namespace waiting for more than a handful of writes.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from webhook.cluster.errors import ClusterError, Throttled
from webhook.cluster.resources import SECRET
from webhook.companion.means import Means
from webhook.companion.observed import Observed
from webhook.companion.removal import Removal
from webhook.companion.seen import MirrorSeen, NamespaceSeen
from webhook.companion.supply import Supplies
from webhook.companion.troubles import ContestedError, Troubles
from webhook.injection.names import DEFAULT_PROFILE, INJECT_ENABLED, MIRROR_SECRET
from webhook.mirror.decide import (
    Action,
    MirrorDecision,
    NamespaceFilter,
    ProfileContent,
    decide,
)
from webhook.mirror.merge import MergedKeys
from webhook.mirror.reasons import MirrorReason
from webhook.mirror.secret import (
    desired_secret,
    fingerprint,
    fingerprint_of,
    keys_removal,
)

_AT_ONCE: Final = 16
"""Writes between two looks at everything: some 50 ms, in which nothing more urgent is
seen; a look at a thousand namespaces costs 10 ms."""
_WRITERS: Final = 4
"""Writes under way together: one namespace with a slow admission chain holds up no
other, and an API server hardly notices four."""

_REPORTED: Final = timedelta(seconds=1)
"""While there is much to write, it is told no more often: it costs as much."""

ANNOUNCED: Final = frozenset(
    {
        MirrorReason.NOT_ALLOWED,
        MirrorReason.UNKNOWN_PROFILE,
        MirrorReason.FOREIGN_SECRET,
        MirrorReason.SOURCE_MISSING,
        MirrorReason.SOURCE_UNREADABLE,
        MirrorReason.TOO_LARGE,
        MirrorReason.NO_KEYS,
        MirrorReason.QUOTA_EXCEEDED,
        MirrorReason.REFUSED,
        MirrorReason.CONTESTED,
    }
)
"""What the users of a namespace should see among its Events."""


@dataclass(frozen=True, slots=True)
class NamespaceReport:
    """How one namespace stands, for status and metrics.

    Attributes:
        inject: `enabled` by its label, or `off` while its mirror is still there.
        reason: the state of its mirror.
        detail: the source, key or profile that the reason is about.
        profile: what its label names.
        keys: names that its mirror holds.
        changed: when the mirror last changed.
    """

    inject: str
    reason: MirrorReason
    detail: str
    profile: str
    keys: tuple[str, ...]
    changed: datetime | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look at everything."""

    namespaces: Mapping[str, NamespaceSeen]
    mirrors: Mapping[str, MirrorSeen]


class Mirrors:
    """The concern."""

    name = "mirrors"

    def __init__(
        self,
        means: Means,
        observed: Observed,
        supplies: Supplies,
        *,
        scope: NamespaceFilter,
    ) -> None:
        """Prepares; the followers run already or will.

        Args:
            means: what it acts with.
            observed: what is followed.
            supplies: what the profiles give.
            scope: which namespaces may have keys.
        """
        self._means = means
        self._observed = observed
        self._supplies = supplies
        self._scope = scope
        self._removal = Removal(means, observed.mirrors)
        self._troubles = Troubles(means.log)
        self._writers = ThreadPoolExecutor(_WRITERS, "mirror-writer")
        self._reported_at = datetime.min.replace(tzinfo=UTC)
        self.report: Mapping[str, NamespaceReport] = {}
        """By namespace, as of the last step; replaced as a whole."""
        self.supplies: Mapping[str, ProfileContent] = {}
        """By profile, as of the last step; replaced as a whole."""

    def step(self, now: datetime) -> float | None:
        """Judges every namespace and acts on the most urgent."""
        if not self._observed.is_ready():
            return 1.0
        self.supplies = self._supplies.refresh(self._observed.seen_sources(), now=now)
        seen = self._look()
        verdicts = {name: self._judge(name, seen) for name in _names(seen)}
        writes = _urgent(verdicts, seen)
        self._troubles.keep_only(writes)
        due = [name for name in writes if self._troubles.is_due(name, now)]
        asked = self._write_all(due[:_AT_ONCE], seen, now)
        more = asked is None and len(due) > _AT_ONCE
        if more and now < self._reported_at + _REPORTED:
            return 0.0
        after = self._look()
        verdicts |= {name: self._judge(name, after) for name in due[:_AT_ONCE]}
        leaving = self._removal.step(verdicts, after.mirrors, now=now)
        self.report, self._reported_at = self._reported(verdicts, self._look()), now
        self._announce(after, now)
        if more:
            return 0.0
        pauses = (asked, leaving, self._troubles.pause(now))
        return min((pause for pause in pauses if pause is not None), default=None)

    def close(self) -> None:
        """Starts no more writes; those under way end by themselves."""
        self._writers.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> _Seen:
        namespaces = self._observed.namespaces.items()
        mirrors = self._observed.mirrors.items()
        return _Seen(
            {key.name: one for key, one in namespaces.items()},
            {key.namespace: one for key, one in mirrors.items()},
        )

    def _judge(self, name: str, seen: _Seen) -> MirrorDecision:
        namespace, mirror = seen.namespaces.get(name), seen.mirrors.get(name)
        labeled = namespace.labeled if namespace else None
        return decide(
            labeled,
            mirror.existing if mirror else None,
            self.supplies.get(labeled.profile) if labeled else None,
            self._scope,
        )

    def _write_all(
        self, batch: Sequence[str], seen: _Seen, now: datetime
    ) -> float | None:
        """Writes; returns the longest pause that the API server asked for, if any."""
        errors = self._writers.map(lambda name: self._write(name, seen), batch)
        pauses = []
        for name, error in zip(batch, errors, strict=True):
            if error is not None:
                self._troubles.note(name, error, now)
            if isinstance(error, Throttled):
                pauses.append(error.retry_after)
        return max(pauses, default=None)

    def _write(self, name: str, seen: _Seen) -> ClusterError | None:
        profile = seen.namespaces[name].labeled.profile
        content = self.supplies[profile].content
        if content is None or not self._means.may_act():
            return None
        try:
            self._put(name, content, profile)
        except ClusterError as error:
            return error
        event = "mirror-changed" if name in seen.mirrors else "mirror-created"
        fields = {"namespace": name, "profile": profile, "keys": list(content.data)}
        self._means.log.line("info", event, fields)
        return None

    def _put(self, name: str, content: MergedKeys, profile: str) -> None:
        """Applies, then takes away what others added: an apply leaves that alone."""
        body = self._means.resources.apply(
            SECRET, desired_secret(name, content, profile)
        )
        added = (body.get("data") or {}).keys() - content.data.keys()
        if added:
            body = self._means.resources.patch(SECRET, keys_removal(name, added))
        self._observed.mirrors.update(body)
        if fingerprint_of(body) != fingerprint(content, profile):
            raise ContestedError(f"apply secrets {name}/{MIRROR_SECRET}: not kept")

    def _reported(
        self, verdicts: Mapping[str, MirrorDecision], seen: _Seen
    ) -> dict[str, NamespaceReport]:
        """Every labeled namespace, and every other one that still has a mirror."""
        report = {}
        for name, verdict in verdicts.items():
            namespace, mirror = seen.namespaces.get(name), seen.mirrors.get(name)
            owned = mirror is not None and mirror.existing.owned
            if namespace is None and not owned:
                continue
            profile = namespace.labeled.profile if namespace else DEFAULT_PROFILE
            reason = self._troubles.reason(name) or verdict.reason
            if verdict.step is Action.REMOVE:
                reason = self._removal.reason(name, verdict.reason)
            report[name] = NamespaceReport(
                INJECT_ENABLED if namespace else "off",
                reason,
                verdict.detail,
                profile,
                mirror.keys if mirror and owned else (),
                mirror.changed if mirror and owned else None,
            )
        return report

    def _announce(self, seen: _Seen, now: datetime) -> None:
        for name, report in self.report.items():
            if report.reason in ANNOUNCED and name in seen.namespaces:
                detail = f" ({report.detail})" if report.detail else ""
                self._means.announcer.event(
                    seen.namespaces[name].subject,
                    report.reason,
                    report.reason.sentence + detail,
                    now=now,
                )


def _names(seen: _Seen) -> list[str]:
    return sorted(seen.namespaces.keys() | seen.mirrors.keys())


def _urgent(verdicts: Mapping[str, MirrorDecision], seen: _Seen) -> list[str]:
    """Where to write, namespaces without a mirror first: pods may wait for it."""
    writes = [n for n, verdict in verdicts.items() if verdict.step is Action.WRITE]
    return sorted(writes, key=lambda name: name in seen.mirrors)
