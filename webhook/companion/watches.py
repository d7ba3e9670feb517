"""Turns the health of informers into results: watches that fail, odd objects.

What cannot be read is named with its kind and key, in the log of every replica, as an
Event about the object, and in the status; never with its content.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from webhook.cluster.errors import Forbidden
from webhook.cluster.events import ObjectReference
from webhook.cluster.informer import Informer, InformerHealth
from webhook.cluster.interface import ObjectKey
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Caches
from webhook.companion.controller import Log, Notice, Result
from webhook.reason import Reason

_ANYWHERE: Final = "default"
"""Where Events about objects without a namespace go, as Kubernetes' own do."""


class WatchReason(Reason):
    """How a watch stands."""

    WATCHING = "Watching", "The objects are watched, and each can be read."
    NOT_PERMITTED = (
        "NotPermitted",
        "The optional right to see these objects is not given; what follows from "
        "them is left out.",
    )
    WATCH_FAILED = (
        "WatchFailed",
        "The objects cannot be listed or watched; what was known of them stays.",
    )
    PROJECTION_FAILED = (
        "ProjectionFailed",
        "The object has a value that cannot be read, or finds no room beside others "
        "of its namespace; what was known of it stays.",
    )

    @property
    def is_in_order(self) -> bool:
        """Return whether nobody has to do anything about it."""
        return self in (WatchReason.WATCHING, WatchReason.NOT_PERMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchResult(Result):
    """How one watch stands.

    Attributes:
        reason: one word for it.
        unprojected: objects that cannot be read, each with the kind of error.
    """

    reason: WatchReason
    unprojected: Mapping[ObjectKey, str] = field(default_factory=dict)


class WatchController:
    """Follows the health of every informer; a key is a watch."""

    name = "watches"

    def __init__(
        self, caches: Caches, *, home: ObjectReference, log: Log, queue: WorkQueue
    ) -> None:
        """Subscribe to every informer.

        Args:
            caches: the informers.
            home: what Events about a whole watch refer to.
            log: gets a line when a watch begins to fail and when it recovers, and for
                each object that cannot be read.
            queue: gets the watch whose health changed.
        """
        self._home = home
        self._log = log
        self._queue = queue
        self._informers = {str(one.options): one for one in caches.all()}
        self._optional = {caches.egress.nodes} if caches.egress else set()
        for name, one in self._informers.items():
            self._subscribe(name, one)

    def reconcile(self, key: str, now: datetime) -> WatchResult:
        """Return how a watch stands; there is nothing to apply."""
        del now
        informer = self._informers[key]
        health = informer.health
        reason = self._reason(informer, health)
        notices: tuple[Notice, ...] = ()
        if reason is WatchReason.WATCH_FAILED:
            message = f"{reason.sentence} {health.failing}"
            notices = (Notice(about=self._home, reason=reason, message=message),)
        elif reason is WatchReason.PROJECTION_FAILED:
            notices = tuple(
                Notice(
                    about=_about(informer, one),
                    reason=reason,
                    message=f"{reason.sentence} ({error})",
                )
                for one, error in sorted(health.unprojected.items())
            )
        return WatchResult(
            reason=reason,
            detail="" if reason.is_in_order else str(health.failing or ""),
            unprojected=health.unprojected,
            notices=notices,
        )

    def failure(self, key: str, error: Exception) -> WatchResult:
        """Return what it means that a watch could not even be asked about."""
        return WatchResult(reason=WatchReason.WATCH_FAILED, detail=key, error=error)

    def _reason(self, informer: Informer[Any], health: InformerHealth) -> WatchReason:
        if health.failing is not None:
            optional = informer in self._optional
            if optional and isinstance(health.failing, Forbidden):
                return WatchReason.NOT_PERMITTED
            return WatchReason.WATCH_FAILED
        if health.unprojected:
            return WatchReason.PROJECTION_FAILED
        return WatchReason.WATCHING

    def _subscribe(self, watch: str, informer: Informer[Any]) -> None:
        """Log what changes, each thing once, and queue the watch."""
        failing = ""
        unreadable: set[ObjectKey] = set()

        def on_health() -> None:
            nonlocal failing
            error = informer.health.failing
            found = type(error).__name__ if error else ""
            if found and found != failing:
                fields = {"watch": watch, "problem": str(error)}
                self._log.line("warning", "watch-failed", fields)
            elif failing and not found:
                self._log.line("info", "watch-recovered", {"watch": watch})
            failing = found
            self._queue.add(watch)

        def on_change(key: ObjectKey) -> None:
            error = informer.problem(key)
            if (error is None) is (key not in unreadable):
                return
            if error is None:
                unreadable.discard(key)
            else:
                unreadable.add(key)
                fields = {"watch": watch, "object": str(key), "error": error}
                self._log.line("warning", "projection-failed", fields)
            self._queue.add(watch)

        informer.subscribe(on_change, on_health)


def _about(informer: Informer[Any], key: ObjectKey) -> ObjectReference:
    where = ObjectKey(key.namespace or _ANYWHERE, key.name)
    return ObjectReference.to(informer.options.kind, where)
