"""Takes policies of an earlier mode away where egress is off, and does nothing else.

A shadow left behind would go stale, and a namespace closed by `isolate` would stay
closed. Nothing is followed for it: it lists once, and again after a failure.
"""

from datetime import datetime
from typing import Any

from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Forbidden, NotFound
from webhook.cluster.interface import ListOptions, Preconditions
from webhook.cluster.resources import NETWORK_POLICY
from webhook.companion.means import Means
from webhook.egress.shadow import is_own
from webhook.injection.names import MANAGED_BY, MANAGED_BY_LABEL

_OURS = ListOptions(NETWORK_POLICY, labels=f"{MANAGED_BY_LABEL}={MANAGED_BY}")


class Farewell:
    """The concern in place of egress."""

    name = "egress"

    def __init__(self, means: Means) -> None:
        """Takes what it acts with."""
        self._means = means
        self._problem: ClusterError | None = None
        self._done = False
        self.is_waiting = False
        """Never: there is nothing to look up."""

    def step(self, now: datetime) -> float | None:
        """Takes away what there is, once."""
        del now  # there is nothing to wait for
        if self._done or not self._means.may_act():
            return None
        try:
            self.remove_all()
        except Forbidden as error:
            # Without the right there is nothing to do but to say so.
            self._problem = error
            fields = {"problem": str(error)}
            self._means.log.line("warning", "egress-policies-unknown", fields)
        self._done = True
        return None

    def remove_all(self) -> int:
        """Takes every policy of ours away.

        Returns:
            How many there were.

        Raises:
            ClusterError: They cannot be listed, or one could not be deleted.
        """
        listing = self._means.resources.list(_OURS, dict)
        own = [
            (key, metadata.uid(body))
            for key, (_, body) in sorted(listing.items.items())
            if is_own(metadata.labels(body), key.name)
        ]
        for key, uid in own:
            self._delete(key.name, key.namespace, uid)
        return len(own)

    def section(self) -> dict[str, Any]:
        """For the status: that it is off, and whether something may be left."""
        left = {"problem": str(self._problem)} if self._problem else {}
        return {"engines": {}, "findings": [], "namespaces": {}, "mode": "off", **left}

    def _delete(self, name: str, namespace: str, uid: str) -> None:
        only = Preconditions(uid=uid)
        try:
            self._means.resources.delete(NETWORK_POLICY, name, namespace, only=only)
        except NotFound:
            return
        fields = {"namespace": namespace, "name": name}
        self._means.log.line("info", "egress-policy-deleted", fields)
