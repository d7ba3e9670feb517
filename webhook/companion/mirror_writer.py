"""Writes and deletes mirrors, and says what a refusal means.

What is stored is compared with what was written: another webhook or controller that
changes it each time must neither go unnoticed nor keep us writing in a loop.
"""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from webhook.cluster.backoff import LONGEST, Backoff
from webhook.cluster.errors import (
    ClusterError,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Rejected,
    Terminating,
)
from webhook.cluster.informer import Informer
from webhook.cluster.interface import Json, ObjectKey, Preconditions
from webhook.cluster.resources import SECRET
from webhook.companion.controller import Context
from webhook.companion.projections import ComputeNamespace, MirrorState
from webhook.injection.names import MIRROR_SECRET
from webhook.mirror.decide import ExistingMirror
from webhook.mirror.merge import MergedKeys
from webhook.mirror.reasons import MirrorReason
from webhook.mirror.secret import (
    MirrorFingerprint,
    desired_secret,
    fingerprint,
    fingerprint_of,
    is_owned,
    keys_removal,
)

_FROZEN: Final = frozenset({"data", "immutable"})
"""Fields that the API server names when it refuses a change of an immutable Secret."""
_SETTLED: Final = timedelta(minutes=1)
"""A mirror that stays as written for so long is contested no more."""


class ContestedError(ClusterError):
    """The mirror does not stay as it was written: others change it."""


_MEANINGS: Final = (
    (ContestedError, MirrorReason.CONTESTED),
    (Terminating | NotFound, MirrorReason.TERMINATING),
    (QuotaExceeded, MirrorReason.QUOTA_EXCEEDED),
    (Forbidden, MirrorReason.FORBIDDEN),
    (Rejected, MirrorReason.REFUSED),
    (ClusterError, MirrorReason.UNAVAILABLE),
)
"""The first that an error is an instance of says what it means."""


def meaning(error: Exception) -> MirrorReason:
    """Return what a failed write or read says about the namespace."""
    if isinstance(error, Invalid) and "type" in error.fields:
        # A Secret of another type is there, and the watch had not told yet.
        return MirrorReason.FOREIGN_SECRET
    found = (reason for kinds, reason in _MEANINGS if isinstance(error, kinds))
    return next(found, MirrorReason.INTERNAL_ERROR)


@dataclass(slots=True)
class _LastWrite:
    """What was last written to a namespace, and until when that is not repeated."""

    wanted: MirrorFingerprint
    until: datetime
    backoff: Backoff = field(default_factory=Backoff)


class MirrorWriter:
    """Writes mirrors; safe for several workers with different namespaces."""

    def __init__(self, context: Context, mirrors: Informer[MirrorState]) -> None:
        """Take the client, and the cache that is told of each write at once."""
        self._context = context
        self._mirrors = mirrors
        self._last: dict[str, _LastWrite] = {}
        self._thread = threading.local()

    @property
    def is_writing(self) -> bool:
        """Return whether this very thread tells the cache of a write of ours."""
        return getattr(self._thread, "writing", False)

    def write(
        self,
        namespace: ComputeNamespace,
        mirror: MirrorState | None,
        content: MergedKeys,
        now: datetime,
    ) -> ExistingMirror:
        """Write a mirror and return it as the API server stored it.

        Raises:
            ContestedError: it was changed again, or not even stored as written.
            ClusterError: it could not be written.
        """
        key, release = namespace.name, self._context.release
        wanted = fingerprint(content, namespace.profile, release)
        self._check_contest(key, wanted, now)
        body = self._put(namespace, mirror, content)
        self._thread.writing = True
        try:
            self._mirrors.update(body)
        finally:
            self._thread.writing = False
        self._remember(key, wanted, now)
        stored = ExistingMirror(is_owned(body, release), fingerprint_of(body))
        if stored.fingerprint != wanted:
            raise ContestedError(f"apply secrets {key}/{MIRROR_SECRET}: not kept")
        event = "mirror-created" if mirror is None else "mirror-changed"
        fields = {"namespace": key, "profile": namespace.profile}
        self._context.log.line("info", event, fields | {"keys": list(content.data)})
        return stored

    def delete(self, namespace: str, mirror: MirrorState) -> None:
        """Delete exactly this mirror, as it was last known.

        Raises:
            Conflict: it was changed or replaced meanwhile.
            ClusterError: it could not be deleted.
        """
        only = Preconditions(uid=mirror.uid, version=mirror.resource_version)
        with suppress(NotFound):
            self._context.client.delete(SECRET, MIRROR_SECRET, namespace, only=only)
        self._mirrors.forget(ObjectKey(namespace, MIRROR_SECRET))
        self._context.log.line("info", "mirror-removed", {"namespace": namespace})

    def forget(self, namespace: str) -> None:
        """Drop what is remembered of a namespace that has no mirror of ours."""
        self._last.pop(namespace, None)

    def _check_contest(
        self, key: str, wanted: MirrorFingerprint, now: datetime
    ) -> None:
        last = self._last.get(key)
        if last is None or last.wanted != wanted:
            return
        if timedelta(0) < last.until - now < timedelta(seconds=LONGEST):
            raise ContestedError(f"apply secrets {key}/{MIRROR_SECRET}: changed again")

    def _remember(self, key: str, wanted: MirrorFingerprint, now: datetime) -> None:
        last = self._last.get(key)
        if last is None or last.wanted != wanted or now > last.until + _SETTLED:
            self._last[key] = _LastWrite(wanted, now)
        else:
            last.until = now + timedelta(seconds=last.backoff.next())

    def _put(
        self,
        namespace: ComputeNamespace,
        mirror: MirrorState | None,
        content: MergedKeys,
    ) -> Json:
        """Apply a mirror; one that somebody made immutable is made again."""
        try:
            return self._apply(namespace, content)
        except Invalid as error:
            if mirror is None or not _FROZEN.intersection(error.fields):
                raise
        only = Preconditions(uid=mirror.uid)
        client = self._context.client
        with suppress(NotFound):
            client.delete(SECRET, MIRROR_SECRET, namespace.name, only=only)
        return self._apply(namespace, content)

    def _apply(self, namespace: ComputeNamespace, content: MergedKeys) -> Json:
        """Apply, then take away what others added: an apply leaves that alone."""
        client, name = self._context.client, namespace.name
        release = self._context.release
        wanted = desired_secret(name, content, namespace.profile, release)
        body = client.apply(SECRET, wanted)
        added = (body.get("data") or {}).keys() - content.data.keys()
        return client.patch(SECRET, keys_removal(name, added)) if added else body
