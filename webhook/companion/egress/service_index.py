"""Caches the index of Services, endpoints and nodes that rules are computed from."""

import threading
from collections.abc import Callable

from webhook.cluster.interface import ObjectKey
from webhook.companion.caches import EgressCaches
from webhook.egress.services import ServiceIndex


class ServiceIndexCache:
    """Builds the index when it is asked for and something has changed; thread-safe."""

    def __init__(self, caches: EgressCaches, domain: str) -> None:
        """Take the informers and the cluster's DNS domain."""
        self._caches, self._domain = caches, domain
        self._on_change: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._outdated = threading.Event()
        self._outdated.set()
        self._index = ServiceIndex()
        caches.services.subscribe(self._outdate)
        caches.slices.subscribe(self._outdate)
        # Nodes that may not be seen are something else than none.
        caches.nodes.subscribe(self._outdate, self._outdate)

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Call back, in an informer's thread, when the index is no longer current."""
        self._on_change.append(on_change)

    def index(self) -> ServiceIndex:
        """Return the index; the same object while nothing changed."""
        with self._lock:
            if self._outdated.is_set():
                # Cleared first: what changes from here on outdates it again.
                self._outdated.clear()
                nodes = self._caches.nodes
                addresses = [a for found in nodes.items().values() for a in found]
                self._index = ServiceIndex.of(
                    self._caches.services.items().values(),
                    self._caches.slices.items().values(),
                    self._domain,
                    addresses if nodes.health.synced else None,
                )
            return self._index

    def _outdate(self, _: ObjectKey | None = None) -> None:
        """Any object may be part of anybody's rules."""
        self._outdated.set()
        for on_change in self._on_change:
            on_change()
