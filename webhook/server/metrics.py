"""Metrics of the serving process: one place for names, labels and buckets.

What each review counts is kept in plain memory and shown by `collect`: a request takes
no lock. No label has a value that a client chooses: whoever can reach the port could
invent namespaces, so they are in the log and in the companion's metrics.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from webhook import METRICS_PREFIX

BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.3, 1.0, 3.0,
)  # fmt: skip
"""Seconds: from the cost of one small pod to the API server's own timeout, 3 s."""


class Handshake(StrEnum):
    """How a TLS handshake ended."""

    COMPLETED = "completed"
    TIMED_OUT = "timed-out"
    DISCONNECTED = "disconnected"
    NOT_TLS = "not-tls"
    OLD_PROTOCOL = "old-protocol"
    NO_COMMON_CIPHER = "no-common-cipher"
    CERTIFICATE_REFUSED = "certificate-refused"
    NO_CERTIFICATE = "no-certificate"
    EVICTED = "evicted"
    OTHER = "other"


class Phase(StrEnum):
    """What a connection is doing; each phase has its own deadline."""

    HANDSHAKE = "handshake"
    FIRST_REQUEST = "first-request"
    REQUEST = "request"
    ANSWER = "answer"
    IDLE = "idle"
    CLOSING = "closing"


class ServerMetrics:
    """What the serving process counts, in a registry of the caller's."""

    def __init__(
        self, registry: CollectorRegistry, lines_dropped: Callable[[], int] = int
    ) -> None:
        """Register everything; label values of closed vocabularies begin at zero.

        Args:
            registry: Shows it all.
            lines_dropped: Log lines that were lost so far.
        """
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library's
        self._lines_dropped = lines_dropped
        self._decisions: dict[tuple[str, str, str], int] = {}
        self._seconds = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0
        registry.register(self)
        self.in_flight = _gauge(registry, "requests_in_flight", "Unanswered requests.")
        self.rejected = _counter(
            registry, "rejected_bodies", "Bodies that are no review.", "reason"
        )
        self.internal_errors = _counter(
            registry, "internal_errors", "Errors of ours; the pod was admitted."
        )
        self.not_after = _gauge(
            registry,
            "certificate_not_after_timestamp_seconds",
            "When the served certificate expires, in Unix time.",
        )
        self.certificate = _gauge(
            registry,
            "certificate_info",
            "SHA-256 of the served certificate.",
            "digest",
        )
        self.reload_errors = _counter(
            registry,
            "certificate_reload_errors",
            "Looks at the files that found no usable pair.",
            "problem",
        )
        self.connections = _gauge(registry, "connections", "Open connections.")
        self.handshakes = _counter(
            registry, "handshakes", "TLS handshakes by how they ended.", "result"
        )
        self.deadlines = _counter(
            registry, "deadline_closes", "Connections closed by a deadline.", "phase"
        )
        self.evictions = _counter(
            registry, "evicted_connections", "Connections that made room."
        )
        for result in Handshake:
            self.handshakes.labels(result)
        for phase in Phase:
            self.deadlines.labels(phase)

    def decided(self, workload: str, reason: str, by: str, seconds: float) -> None:
        """Count one answered review."""
        key = workload, reason, by
        self._decisions[key] = self._decisions.get(key, 0) + 1
        self._seconds[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        """Show what was decided; called by the registry, from any thread."""
        decisions = CounterMetricFamily(
            f"{METRICS_PREFIX}_decisions",
            "Answered reviews.",
            labels=("workload", "reason", "by"),
        )
        for labels, count in self._decisions.copy().items():
            decisions.add_metric(labels, count)
        yield decisions
        bounds = [*map(str, BUCKETS), "+Inf"]
        counts = accumulate(self._seconds)
        yield HistogramMetricFamily(
            f"{METRICS_PREFIX}_request_duration_seconds",
            "From a review's last byte to its answer's first.",
            buckets=list(zip(bounds, counts, strict=True)),
            sum_value=self._sum,
        )
        yield CounterMetricFamily(
            f"{METRICS_PREFIX}_log_lines_dropped",
            "Log lines dropped because stdout was blocked.",
            value=self._lines_dropped(),
        )


def _counter(
    registry: CollectorRegistry, name: str, text: str, *labels: str
) -> Counter:
    return Counter(name, text, labels, namespace=METRICS_PREFIX, registry=registry)


def _gauge(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, namespace=METRICS_PREFIX, registry=registry)
