"""Publishes the report in one ConfigMap, written when it has changed and not otherwise.

The ConfigMap is watched, so that a report that somebody emptied or deleted is written
again, and an idle cluster costs no request.
"""

import hashlib
from datetime import datetime
from typing import Final

from webhook.cluster.errors import ClusterError
from webhook.cluster.informer import Informer
from webhook.cluster.interface import Json, ObjectKey
from webhook.cluster.resources import CONFIG_MAP
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.controller import Context, Result
from webhook.companion.report import FIELD, ReportSource, render
from webhook.reason import Reason

KEY: Final = "status"
_PACE: Final = 0.25
"""Seconds between two looks at whether a result has changed, which costs nothing."""
_PER_CHANGE: Final = 0.0125
"""Seconds that a look waits longer for each result that has changed: a thousand
namespaces change one after the other, and a report costs as much as ten of them."""
_LONGEST: Final = 2.0


class StatusReason(Reason):
    """How the report stands."""

    PUBLISHED = "Published", "The ConfigMap holds the newest report."
    WRITE_REFUSED = (
        "WriteRefused",
        "The report could not be written; it is tried again.",
    )


def digest(body: Json) -> str:
    """Keep of the ConfigMap what its report is compared by."""
    return _digest((body.get("data") or {}).get(FIELD, ""))


class StatusController:
    """Writes the report."""

    name = "status"

    def __init__(
        self,
        context: Context,
        source: ReportSource,
        kept: Informer[str],
        queue: WorkQueue,
    ) -> None:
        """Subscribe to the ConfigMap.

        Args:
            context: what all controllers share.
            source: what the report is made of.
            kept: the ConfigMap, by `digest`.
            queue: its own.
        """
        self._context = context
        self._source = source
        self._kept = kept
        self.config_map = ObjectKey(kept.options.namespace, kept.options.name)
        """Where the report is."""
        self._rendered: tuple[object, str] = (None, "")
        self._profile_changes = 0
        self._written = ""
        self._changes = 0
        self._queue = queue
        kept.subscribe(self._kept_changed)
        source.profiles.subscribe(self._profile_changed)
        queue.add(KEY)

    def reconcile(self, key: str, now: datetime) -> Result:
        """Write the report if it has changed, or is not what was written."""
        del key, now  # there is one report, and its ages are times
        text = self.text()
        wanted = _digest(text)
        kept = self._kept.get(self.config_map)
        if wanted != self._written or (self._kept.health.synced and kept != wanted):
            meta = {
                "name": self.config_map.name,
                "namespace": self.config_map.namespace,
            }
            body = {"metadata": meta, "data": {FIELD: text}}
            answer = self._context.client.apply(CONFIG_MAP, body)
            self._written = wanted
            self._kept.update(answer)
        return Result(reason=StatusReason.PUBLISHED, requeue_after=self._pace())

    def failure(self, key: str, error: Exception) -> Result:
        """Return what it means that the report could not be written."""
        del key
        detail = str(error) if isinstance(error, ClusterError) else ""
        return Result(reason=StatusReason.WRITE_REFUSED, detail=detail, error=error)

    def text(self) -> str:
        """Return the report, rendered anew only if something in it has changed."""
        version = (self._source.results.version, self._profile_changes)
        if version != self._rendered[0]:
            self._rendered = (version, render(self._source))
        return self._rendered[1]

    def _pace(self) -> float:
        before, self._changes = self._changes, sum(self._source.results.version)
        return min(_LONGEST, max(_PACE, (self._changes - before) * _PER_CHANGE))

    def _kept_changed(self, key: ObjectKey) -> None:
        """Look at once at what somebody else made of the report."""
        if self._kept.get(key) != self._written:
            self._queue.add(KEY)

    def _profile_changed(self, name: str) -> None:
        del name
        self._profile_changes += 1


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
