"""Keeps the tracking server's CA in every compute namespace.

The key is the namespace. The ConfigMap outlives the mirror, since a task that runs
keeps reading the file: where the mirror stays for pods, it stays too.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from webhook.cluster.errors import NotFound
from webhook.cluster.informer import Informer
from webhook.cluster.interface import ObjectKey, Preconditions
from webhook.cluster.resources import CONFIG_MAP
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Caches
from webhook.companion.controller import SOON, Context, Notice, Result
from webhook.companion.pauses import Pauses
from webhook.injection.names import CA_CONFIG_MAP
from webhook.mirror.certificates import (
    TrackingCa,
    TrackingCaReason,
    desired_config_map,
    judge,
    usable,
)
from webhook.mirror.decide import NamespaceFilter
from webhook.mirror.profile import CaSource
from webhook.mirror.reasons import MirrorReason

_PACE: Final = timedelta(seconds=5)
"""Between two writes of a namespace, whoever changes the ConfigMap in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingCaResult(Result):
    """The state of the tracking server's CA in one namespace."""

    reason: TrackingCaReason


class CertificateMirrorController:
    """The reconciler."""

    name = "tracking-ca"

    def __init__(
        self,
        context: Context,
        caches: Caches,
        copies: Informer[TrackingCa],
        source: CaSource,
        queue: WorkQueue,
        *,
        namespaces: NamespaceFilter,
    ) -> None:
        """Subscribe to everything that a copy depends on.

        Args:
            context: what all controllers share.
            caches: what is known of the cluster.
            copies: every ConfigMap of the CA's name.
            source: where the certificates lie.
            queue: gets the namespaces.
            namespaces: which of them may have keys.
        """
        self._context = context
        self._caches = caches
        self._copies = copies
        self._source = source
        self._queue = queue
        self._filter = namespaces
        self._pauses = Pauses()
        self._parsed: object = None
        self._pem = ""
        caches.namespaces.subscribe(lambda key: queue.add(key.name), self._add_all)
        caches.mirrors.subscribe(lambda key: queue.add(key.namespace), self._add_all)
        copies.subscribe(lambda key: queue.add(key.namespace), self._add_all)
        caches.sources[source.ref].subscribe(lambda _: self._add_all(), self._add_all)

    def reconcile(self, key: str, now: datetime) -> TrackingCaResult | None:
        """Write, remove or leave a namespace's copy."""
        if not (self._caches.is_synced() and self._copies.health.synced):
            return None  # every namespace is queued once all was listed
        copy = self._copies.get(ObjectKey(key, CA_CONFIG_MAP))
        if not self._is_wanted(key):
            return self._remove(key, copy)
        pem = self._certificates()
        reason = judge(copy, pem)
        if reason is not TrackingCaReason.CA_PENDING:
            return self._result(key, reason)
        return self._write(key, pem, now, is_new=copy is None)

    def failure(self, key: str, error: Exception) -> TrackingCaResult:
        """Return the state of a namespace where something could not be done."""
        return self._result(key, TrackingCaReason.CA_REFUSED, error=error)

    def _write(
        self, key: str, pem: str, now: datetime, *, is_new: bool
    ) -> TrackingCaResult:
        if wait := self._pauses.left(key, now):
            return self._postponed(key, wait.total_seconds())
        if not self._context.is_leader():
            return self._postponed(key, SOON)
        self._pauses.begin(key, now, _PACE)
        body = desired_config_map(key, pem, self._context.release)
        # Somebody may have made one of the name that no watch has told of yet.
        stored = self._context.client.apply(CONFIG_MAP, body, force=not is_new)
        self._copies.update(stored)
        fields = {"namespace": key, "configMap": CA_CONFIG_MAP}
        self._context.log.line("info", "tracking-ca-written", fields)
        return self._result(key, TrackingCaReason.CA_MIRRORED)

    def _is_wanted(self, key: str) -> bool:
        namespace = self._caches.namespace(key)
        if namespace is None or namespace.terminating:
            return False
        return self._filter.exclusion(key) is None

    def _certificates(self) -> str:
        found = self._caches.source(self._source.ref)
        if isinstance(found, MirrorReason):
            return ""
        # A cache keeps the same object until it changes; certificates cost to parse.
        if self._parsed is not found:
            self._pem = usable(found.content.get(self._source.key))
            self._parsed = found
        return self._pem

    def _remove(self, key: str, copy: TrackingCa | None) -> TrackingCaResult | None:
        self._pauses.forget(key)
        if copy is None or not copy.owned:
            return None
        mirror = self._caches.mirror(key)
        if mirror is not None and mirror.existing.owned:
            return self._result(key, TrackingCaReason.CA_PENDING)  # after the mirror
        if not self._context.is_leader():
            return self._postponed(key, SOON)
        delete_copy(self._context, key, copy)
        self._copies.forget(ObjectKey(key, CA_CONFIG_MAP))
        return None

    def _postponed(self, key: str, seconds: float) -> TrackingCaResult:
        return self._result(key, TrackingCaReason.CA_PENDING, requeue_after=seconds)

    def _result(
        self,
        key: str,
        reason: TrackingCaReason,
        *,
        requeue_after: float | None = None,
        error: Exception | None = None,
    ) -> TrackingCaResult:
        notices: tuple[Notice, ...] = ()
        if not reason.is_in_order:
            about = self._caches.reference(key)
            notices = (Notice(about=about, reason=reason, message=reason.sentence),)
        return TrackingCaResult(
            reason=reason,
            detail=str(self._source),
            requeue_after=requeue_after,
            error=error,
            notices=notices,
        )

    def _add_all(self) -> None:
        """Queue every namespace that has, or should have, a copy."""
        names = {key.name for key in self._caches.namespaces.items()}
        names |= {key.namespace for key in self._copies.items()}
        for name in sorted(names):
            self._queue.add(name)


def delete_copy(context: Context, namespace: str, copy: TrackingCa) -> None:
    """Delete exactly this copy, as it was last known.

    Raises:
        Conflict: it was changed or replaced meanwhile.
        ClusterError: it could not be deleted.
    """
    only = Preconditions(uid=copy.uid, version=copy.resource_version)
    with suppress(NotFound):
        context.client.delete(CONFIG_MAP, CA_CONFIG_MAP, namespace, only=only)
