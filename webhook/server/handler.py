"""The webhook itself, without HTTP: a body in, an answer out, one line and one count.

Both ways a request can take end in `AdmissionHandler.answer`. Once a review is parsed
nothing that fails in here can keep its pod from being admitted.
"""

import os
import select
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)

from webhook import samples
from webhook.injection.decision import Decision, decide
from webhook.injection.policy import InjectionPolicy
from webhook.injection.reasons import InjectionReason, Rejection
from webhook.injection.review import MalformedReviewError, Review, answer, decode
from webhook.injection.selfcheck import selfcheck_errors
from webhook.injection.stamp import InjectedBy
from webhook.injection.workload import Workload
from webhook.jsonlog import JsonLog, failure
from webhook.server.certwatcher import CertWatcher
from webhook.server.metrics import ServerMetrics
from webhook.server.responses import JSON, Answer, error, rejected
from webhook.settings import LogFormat, Settings

CLIP: Final = 253
"""Characters of a logged name; Kubernetes allows no longer one."""
CONTAINERS: Final = 16
"""Containers that a line names; a pod of anybody's making may have any number."""


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def to_stdout(lines: bytes) -> None:
    """Write log lines to standard output.

    Only the log's own thread waits for a reader that stands still. A main thread,
    which answers or looks after who does, gets on without: its lines are lost.

    Raises:
        OSError: There is nobody to read, or no room now.
    """
    output = sys.stdout.fileno()
    main = threading.current_thread() is threading.main_thread()
    if main and not select.select([], [output], [], 0)[1]:
        raise BlockingIOError
    while lines:
        lines = lines[os.write(output, lines) :]


@dataclass(slots=True, kw_only=True)
class AdmissionHandler:
    """What every part of the serving process shares.

    Attributes:
        policy: What is given to which pod.
        metrics: Counts, in `registry`.
        registry: What `/metrics` shows.
        log: Where lines go.
        clock: The time now, in UTC.
        certificates: The served certificate, where this process serves TLS by itself.
        selfcheck_errors: Of the start; a build with any never becomes ready.
        draining: The process is stopping and wants no new work.
    """

    policy: InjectionPolicy
    metrics: ServerMetrics
    registry: CollectorRegistry
    log: JsonLog
    clock: Callable[[], datetime] = utc_now
    certificates: CertWatcher | None = None
    selfcheck_errors: tuple[str, ...] = ()
    draining: bool = field(default=False)

    def answer(self, body: bytes | bytearray, content_type: str) -> Answer:
        """Answer one request for a review.

        Args:
            body: As received, at most `BODY_LIMIT` bytes.
            content_type: The request's header; empty when it had none.

        Returns:
            200 with an AdmissionReview that allows the pod, or 4xx with a reason.
        """
        started = time.perf_counter()
        if content_type != JSON and media_type(content_type) != JSON:
            return self.reject(Rejection.WRONG_CONTENT_TYPE)
        try:
            review = decode(body)
        except MalformedReviewError as malformed:
            return self.reject(malformed.rejection)
        decision, answered = self._decide(review)
        seconds = time.perf_counter() - started
        workload = decision.workload or "none"
        by = decision.by or "none"
        self.metrics.decided(workload, decision.reason, by, seconds)
        if self.log.takes("info"):
            self.log.add(log_line(review, decision, seconds, self.clock()))
        return Answer(200, answered)

    def reject(self, rejection: Rejection) -> Answer:
        """Count, log and answer a body that is no review."""
        self.metrics.rejected.labels(rejection).inc()
        self.log.line("warning", "rejected", {"reason": rejection})
        return rejected(rejection)

    def failed(self, problem: Exception) -> Answer:
        """Count, log and answer an error of ours outside a review."""
        self.metrics.internal_errors.inc()
        self.log.line("error", "internal-error", failure(problem))
        return error(500)

    def _decide(self, review: Review) -> tuple[Decision, bytes]:
        try:
            decision = decide(review, self.policy)
            return decision, answer(review.uid, decision.patch)
        except Exception as problem:  # noqa: BLE001 - a pod must not wait for our bug
            self.failed(problem)
            decision = Decision(reason=InjectionReason.INTERNAL_ERROR)
            return decision, answer(review.uid, warnings=[decision.reason.sentence])

    def readiness_failures(self) -> list[str]:
        """Why this process should get no requests; none when it is ready."""
        found = list(self.selfcheck_errors)
        if self.draining:
            found.append("draining")
        if self.certificates is not None:
            current = self.certificates.current
            if current is None:
                found.append("no certificate")
            elif not current.valid_at(self.clock()):
                found.append("certificate not valid now")
        return found

    def warnings(self) -> list[str]:
        """What is wrong without being a reason to send requests elsewhere.

        A mounted pair that is refused reaches every replica at once. Were it to end
        their readiness, one slip in a Secret would end injection in the whole cluster,
        while each of them has a good certificate for weeks to come.
        """
        watch = self.certificates
        if watch is None or watch.problem is None:
            return []
        return [f"mounted certificate refused: {watch.problem}"]

    def reload_certificate(self) -> None:
        """Take a new certificate, if there is one, and report on it."""
        watch = self.certificates
        if watch is None:
            return
        before = watch.problem
        if watch.check() and watch.current is not None:
            current = watch.current
            self.metrics.certificate.clear()
            self.metrics.certificate.labels(current.fingerprint).set(1)
            self.metrics.not_after.set(current.not_after.timestamp())
            fields = {"digest": current.fingerprint, "not_after": current.not_after}
            self.log.line("info", "certificate", fields)
        elif watch.problem is not None:
            self.metrics.reload_errors.labels(watch.problem).inc()
            if watch.problem != before:
                fields = {
                    "problem": watch.problem,
                    "serving": watch.current is not None,
                }
                self.log.line("error", "certificate", fields)


def build(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = utc_now,
    write: Callable[[bytes], object] = to_stdout,
    certificates: CertWatcher | None = None,
    reviews: Mapping[str, bytes] | None = None,
) -> AdmissionHandler:
    """Make the handler and let it check itself.

    Args:
        settings: The operator's.
        clock: The time now, in UTC.
        write: Takes whole log lines.
        certificates: Where this process serves TLS by itself.
        reviews: For the self-check; the captured ones unless given.
    """
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    policy = settings.policy()
    log = JsonLog(
        write,
        clock,
        level=settings.log_level,
        text=settings.log_format is LogFormat.TEXT,
    )
    metrics = ServerMetrics(registry, lambda: log.dropped)
    errors = tuple(
        selfcheck_errors(reviews or samples.reviews(), policy, samples.NOT_A_TASK)
    )
    for flaw in errors:
        log.line("error", "self-check", {"flaw": flaw})
    return AdmissionHandler(
        policy=policy,
        metrics=metrics,
        registry=registry,
        log=log,
        clock=clock,
        certificates=certificates,
        selfcheck_errors=errors,
    )


def media_type(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


class DecisionLine(msgspec.Struct, kw_only=True):
    """A decision's log line: names and outcomes, never a spec."""

    time: datetime
    level: str = "info"
    event: str = "decision"
    uid: str
    namespace: str
    pod: str
    owner: str
    workload: Workload | None
    decision: str
    reason: InjectionReason
    by: InjectedBy | None
    containers: list[str]
    dry_run: bool
    seconds: float


def log_line(
    review: Review, decision: Decision, seconds: float, now: datetime
) -> bytes:
    """What a decision's log line says, cut to what names may have."""
    pod, owner = _names(review.pod)
    line = DecisionLine(
        time=now,
        uid=review.uid[:CLIP],
        namespace=review.namespace[:CLIP],
        pod=pod[:CLIP],
        owner=owner[:CLIP],
        workload=decision.workload,
        decision="patched" if decision.patch else "unchanged",
        reason=decision.reason,
        by=decision.by,
        containers=[name[:CLIP] for name in decision.containers[:CONTAINERS]],
        dry_run=review.dry_run,
        seconds=round(seconds, 6),
    )
    return _JSON_LINE.encode(line) + b"\n"


_JSON_LINE: Final = msgspec.json.Encoder()


def _names(pod: Any) -> tuple[str, str]:
    """The pod's name, or the start of one, and its owner's, whatever its shape."""
    # Whatever a pod's shape is, logging it cannot be what fails.
    try:
        metadata = pod["metadata"]
        name = metadata.get("name") or metadata.get("generateName") or ""
        owners = metadata.get("ownerReferences")
        owner = f"{owners[0]['kind']}/{owners[0]['name']}" if owners else ""
        return name if isinstance(name, str) else "", owner
    except (AttributeError, IndexError, KeyError, TypeError):
        return "", ""
