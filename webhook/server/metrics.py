"""Metrics of the serving process: one place for names, labels and buckets."""

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from webhook import METRICS_PREFIX

BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.3, 1.0, 3.0,
)  # fmt: skip
"""Seconds: from the cost of one small pod to the API server's own timeout, 3 s."""

MAX_NAMESPACES: Final = 1000
"""Distinct namespaces in metrics; whoever can reach the port can invent more."""
OTHER_NAMESPACES: Final = "other"


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

    FIRST_REQUEST = "first-request"
    REQUEST = "request"
    ANSWER = "answer"
    IDLE = "idle"
    CLOSING = "closing"


class ServerMetrics:
    """What the serving process counts, in a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything; label values of closed vocabularies begin at zero."""
        self._namespaces: set[str] = set()
        self._decisions = Counter(
            "decisions",
            "Answered reviews.",
            ("namespace", "workload", "reason"),
            namespace=METRICS_PREFIX,
            registry=registry,
        )
        self._children: dict[tuple[str, str, str], Counter] = {}
        self.seconds = Histogram(
            "request_seconds",
            "From a review's last byte to its answer's first.",
            namespace=METRICS_PREFIX,
            registry=registry,
            buckets=BUCKETS,
        )
        self.in_flight = _gauge(registry, "requests_in_flight", "Unanswered requests.")
        self.rejected = _counter(
            registry, "rejected_bodies", "Bodies that are no review.", "reason"
        )
        self.internal_errors = _counter(
            registry, "internal_errors", "Errors of ours; the pod was admitted."
        )
        self.not_after = _gauge(
            registry,
            "certificate_not_after_seconds",
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
        self.log_lines_dropped = _gauge(
            registry,
            "log_lines_dropped",
            "Lines that the log's reader was too slow for.",
        )
        for result in Handshake:
            self.handshakes.labels(result)
        for phase in Phase:
            self.deadlines.labels(phase)

    def decided(self, namespace: str, workload: str, reason: str) -> None:
        """Count one answered review."""
        key = (self._bounded(namespace), workload, reason)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._decisions.labels(*key)
        child.inc()

    def _bounded(self, namespace: str) -> str:
        if namespace not in self._namespaces:
            if len(self._namespaces) >= MAX_NAMESPACES or len(namespace) > 63:
                return OTHER_NAMESPACES
            self._namespaces.add(namespace)
        return namespace


def _counter(
    registry: CollectorRegistry, name: str, text: str, *labels: str
) -> Counter:
    return Counter(name, text, labels, namespace=METRICS_PREFIX, registry=registry)


def _gauge(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, namespace=METRICS_PREFIX, registry=registry)
