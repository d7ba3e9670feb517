"""Keeps one mirror in every namespace that should have one.

The key is the namespace. Those without a mirror overtake the others, since pods may be
waiting there. A mirror goes only once no pod refers to it any more: a container that
restarts without its Secret does not come back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from webhook.cluster.errors import Conflict, Forbidden, Invalid
from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import ListOptions, ObjectKey
from webhook.cluster.resources import POD, SECRET
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Caches
from webhook.companion.controller import SOON, Context, Notice, Result
from webhook.companion.mirror_writer import MirrorWriter, meaning
from webhook.companion.pauses import Pauses
from webhook.companion.profiles import ProfileStore
from webhook.companion.projections import ComputeNamespace, MirrorState, needs_mirror
from webhook.injection.names import DEFAULT_PROFILE, INJECT_ENABLED, MIRROR_SECRET
from webhook.mirror.decide import (
    Action,
    ExistingMirror,
    MirrorDecision,
    NamespaceFilter,
    ProfileContent,
    decide,
)
from webhook.mirror.merge import MergedKeys
from webhook.mirror.reasons import MirrorReason

WORKERS: Final = 4
"""Keys worked on together: one namespace with a slow admission chain holds up no other,
and an API server hardly notices four."""
INJECT_OFF: Final = "off"

_GRACE: Final = timedelta(seconds=10)
"""From switched off to removed: for so long an API server may still admit pods by the
old label, and a label that flaps costs nothing."""
_AGAIN: Final = 15.0
"""Seconds between two looks at whether the last pod is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorResult(Result):
    """The state of one namespace's mirror.

    Attributes:
        inject: `enabled` by the namespace's label, or `off` while its mirror stays.
        profile: what the namespace's label names.
        keys: names that the mirror holds.
        changed: when the mirror last changed.
    """

    reason: MirrorReason
    inject: str
    profile: str
    keys: tuple[str, ...]
    changed: datetime | None


class MirrorController:
    """The reconciler; safe for several workers."""

    name = "mirrors"

    def __init__(
        self,
        context: Context,
        caches: Caches,
        profiles: ProfileStore,
        queue: WorkQueue,
        *,
        namespaces: NamespaceFilter,
        enforced_keys: tuple[str, ...] = (),
    ) -> None:
        """Subscribe to everything that a mirror depends on.

        Args:
            context: what all controllers share.
            caches: what is known of the cluster.
            profiles: what there is to mirror.
            queue: gets the namespaces.
            namespaces: which of them may have keys.
            enforced_keys: what every mirror has to have.
        """
        self._context = context
        self._caches = caches
        self._profiles = profiles
        self._queue = queue
        self._filter = namespaces
        self._enforced_keys = enforced_keys
        self._writer = MirrorWriter(context, caches.mirrors)
        self._grace = Pauses()
        self._ready = False
        caches.namespaces.subscribe(self._namespace_changed, self._health_changed)
        caches.mirrors.subscribe(self._mirror_changed, self._health_changed)
        for source in caches.sources.values():
            source.subscribe(lambda _: None, self._health_changed)
        profiles.subscribe(self._profile_changed)
        self._health_changed()

    def reconcile(self, key: str, now: datetime) -> MirrorResult | None:
        """Write, remove or leave a namespace's mirror, as is decided."""
        if not self._ready:
            return None  # every namespace is queued once everything was listed
        namespace, mirror = self._caches.namespace(key), self._caches.mirror(key)
        unread = self._unread(key)
        if namespace is None and not unread and not _is_ours(mirror):
            self._grace.forget(key)
            self._writer.forget(key)
            return None
        if unread and (namespace is None or unread.startswith(SECRET.name)):
            # Nobody knows what would be overwritten or taken away.
            return self._result(key, MirrorReason.PROJECTION_FAILED)
        profile = self._profiles.content(namespace.profile) if namespace else None
        existing = mirror.existing if mirror else None
        decision = self._decide(namespace, existing, profile)
        if mirror is not None and decision.action is Action.REMOVE:
            return self._remove(key, mirror, decision, now)
        self._grace.forget(key)
        content = profile.content if profile else None
        if namespace and content and decision.action is Action.WRITE:
            written = self._write(namespace, mirror, content, now)
            if written is None:
                return self._postponed(key)
            decision = self._decide(namespace, written, profile)
        return self._result(key, decision.reason, decision.detail)

    def failure(self, key: str, error: Exception) -> MirrorResult:
        """Return the state of a namespace where something could not be done."""
        return self._result(key, meaning(error), error=error)

    def _write(
        self,
        namespace: ComputeNamespace,
        mirror: MirrorState | None,
        content: MergedKeys,
        now: datetime,
    ) -> ExistingMirror | None:
        """Write the mirror; None when it is to be tried again in a moment."""
        if not self._context.is_leader():
            return None
        try:
            return self._writer.write(namespace, mirror, content, now)
        except Invalid as error:
            if not namespace.is_news(error, now):
                raise
            return None

    def _decide(
        self,
        namespace: ComputeNamespace | None,
        existing: ExistingMirror | None,
        profile: ProfileContent | None,
    ) -> MirrorDecision:
        labeled = namespace.labeled if namespace else None
        return decide(
            labeled,
            existing,
            profile,
            self._filter,
            self._enforced_keys,
            release=self._context.release,
        )

    def _remove(
        self, key: str, mirror: MirrorState, decision: MirrorDecision, now: datetime
    ) -> MirrorResult | None:
        """Delete this very mirror after the grace, unless a pod needs it."""
        if key not in self._grace:
            self._grace.begin(key, now, _GRACE)
        if wait := self._grace.left(key, now):
            seconds = wait.total_seconds()
            return self._result(key, decision.reason, requeue_after=seconds)
        if not self._context.is_leader():
            return self._postponed(key)
        try:
            if self._is_needed(key):
                kept = MirrorReason.KEPT_FOR_PODS
                return self._result(key, kept, requeue_after=_AGAIN)
        except Forbidden as error:
            return self._result(key, MirrorReason.PODS_UNREADABLE, error=error)
        try:
            self._writer.delete(key, mirror)
        except Conflict:  # it changed meanwhile: look at it again
            return self._result(key, decision.reason, requeue_after=_AGAIN)
        self._grace.forget(key)
        labeled = self._caches.namespace(key) is not None
        return self._result(key, decision.reason) if labeled else None

    def _is_needed(self, namespace: str) -> bool:
        options = ListOptions(POD, namespace=namespace)
        pods = self._context.client.list(options, needs_mirror)
        return any(needed for _, needed in pods.items.values())

    def _unread(self, namespace: str) -> str:
        """Return the kind and error of an object that could not be read, or ""."""
        for informer, key in (
            (self._caches.mirrors, ObjectKey(namespace, MIRROR_SECRET)),
            (self._caches.namespaces, ObjectKey("", namespace)),
        ):
            error = informer.health.unprojected.get(key)
            if error is not None:
                return f"{informer.options.kind.name}: {error}"
        return ""

    def _postponed(self, key: str) -> MirrorResult:
        return self._result(key, MirrorReason.PENDING, requeue_after=SOON)

    def _result(
        self,
        key: str,
        reason: MirrorReason,
        detail: str = "",
        *,
        requeue_after: float | None = None,
        error: Exception | None = None,
    ) -> MirrorResult:
        namespace, mirror = self._caches.namespace(key), self._caches.mirror(key)
        ours = mirror if _is_ours(mirror) else None
        unread = self._unread(key)
        if unread and error is None:
            reason, detail = MirrorReason.PROJECTION_FAILED, unread
        notices: tuple[Notice, ...] = ()
        if not reason.is_in_order and reason is not MirrorReason.PENDING:
            about = self._caches.reference(key)
            if namespace is None and ours is not None:
                mirrored = ObjectKey(key, MIRROR_SECRET)
                about = ObjectReference.to(SECRET, mirrored, ours.uid)
            message = reason.sentence + (f" ({detail})" if detail else "")
            notices = (Notice(about=about, reason=reason, message=message),)
        return MirrorResult(
            reason=reason,
            detail=detail,
            requeue_after=requeue_after,
            error=error,
            notices=notices,
            inject=INJECT_ENABLED if namespace else INJECT_OFF,
            profile=namespace.profile if namespace else DEFAULT_PROFILE,
            keys=ours.keys if ours else (),
            changed=ours.changed if ours else None,
        )

    def _namespace_changed(self, key: ObjectKey) -> None:
        if self._caches.namespace(key.name) is not None:
            # Off, on and off again: the grace begins anew, though no worker saw it.
            self._grace.forget(key.name)
        self._add(key.name)

    def _mirror_changed(self, key: ObjectKey) -> None:
        if not self._writer.is_writing:  # else its result comes from what was stored
            self._add(key.namespace)

    def _profile_changed(self, profile: str) -> None:
        for namespace in self._caches.namespaces.items().values():
            if namespace.profile == profile:
                self._add(namespace.name)

    def _health_changed(self) -> None:
        """Queue every namespace once everything was listed for the first time."""
        if self._ready or not self._caches.is_synced():
            return
        self._ready = True
        namespaces, mirrors = self._caches.namespaces, self._caches.mirrors
        names = {key.name for key in namespaces.items()}
        names |= {key.name for key in namespaces.health.unprojected}
        names |= {key.namespace for key in mirrors.items()}
        for name in sorted(names):
            self._add(name)

    def _add(self, name: str) -> None:
        """Queue a namespace, first of all where pods may wait for a mirror."""
        labeled = self._caches.namespace(name) is not None
        self._queue.add(name, urgent=labeled and self._caches.mirror(name) is None)


def _is_ours(mirror: MirrorState | None) -> bool:
    return mirror is not None and mirror.existing.owned
