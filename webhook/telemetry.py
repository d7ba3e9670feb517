"""Metrics and the JSON log: one place for names, fields and buckets.

Neither ever blocks the caller: a counter is memory, and a line is handed to a thread
of the journal's own, which drops and counts lines when their reader stands still.
No line has room for a body, a patch, an environment or the text of an exception.
"""

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

NAMESPACE: Final = "tracking_injector"

BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.3, 1.0, 3.0,
)  # fmt: skip
"""Seconds: from the cost of one small pod to the API server's own timeout, 3 s."""

MAX_NAMESPACES: Final = 1000
"""Distinct namespaces in metrics; whoever can reach the port can invent more."""
OTHER_NAMESPACES: Final = "other"

LINE_LIMIT: Final = 4096
"""Lines kept for a reader that stands still: about 2 MB, half a second at full load."""
LINE_BATCH: Final = 256
"""Lines written at once, so that a backlog is never there twice."""
FLUSH_SECONDS: Final = 0.1


class Journal:
    """JSON lines, in order, written by a thread that nobody waits for.

    Until `start` lines are written at once: the process that only forks workers
    answers nobody, and a thread would not survive the fork.
    """

    def __init__(
        self, write: Callable[[bytes], object], clock: Callable[[], datetime]
    ) -> None:
        """Keep the sink and the clock.

        Args:
            write: Takes some whole lines; may block, may raise OSError.
            clock: The time now, in UTC.
        """
        self._write = write
        self._clock = clock
        self._lines: deque[bytes] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Add a line; a full journal drops it and counts.

        Args:
            level: As in `logging`, in lower case.
            event: What happened, from a closed vocabulary or a fixed sentence.
            fields: JSON-able, and never the content of a request.
        """
        if len(self._lines) >= LINE_LIMIT:
            self.dropped += 1
            return
        head = {"time": self._clock(), "level": level, "event": event}
        # Copied to its size: orjson cuts it from a KiB, whose rest nothing else fits.
        text = orjson.dumps(head | fields, option=_LINE)
        self._lines.append(bytes(memoryview(text)))
        if self._thread is None:
            self._flush()

    def start(self) -> None:
        """Write from a thread from now on."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 1.0) -> None:
        """Write what is left, for at most `timeout` seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        while self._lines:
            count = min(len(self._lines), LINE_BATCH)
            lines = [self._lines.popleft() for _ in range(count)]
            try:
                self._write(b"".join(lines))
            except OSError:
                self.dropped += count


_LINE: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


class JournalHandler(logging.Handler):
    """Brings what libraries log into the journal.

    Of an exception it keeps the type and the places, never its text or a message
    made with it, which may quote what somebody sent.
    """

    def __init__(self, journal: Journal) -> None:
        """Log to `journal`."""
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line for `record`."""
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1]:
            # asyncio puts the exception's text into the lines that follow.
            event = str(record.msg).partition("\n")[0]
            fields |= failure(record.exc_info[1])
        else:
            event = record.getMessage()
        self._journal.line(record.levelname.lower(), event, fields)


def failure(error: BaseException) -> dict[str, Any]:
    """What a log line may say about an exception: its type and its places."""
    places = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return {"error": type(error).__name__, "at": places}


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
            namespace=NAMESPACE,
            registry=registry,
        )
        self._children: dict[tuple[str, str, str], Counter] = {}
        self.seconds = Histogram(
            "request_seconds",
            "From a review's last byte to its answer's first.",
            namespace=NAMESPACE,
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
    return Counter(name, text, labels, namespace=NAMESPACE, registry=registry)


def _gauge(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, namespace=NAMESPACE, registry=registry)
