"""Reconciles the webhook's certificates: observe, plan, write, until nothing is due."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from certs.codec import NewerFormatError
from certs.issue import issue
from certs.model import Generation
from certs.plan import Cause, RotationPlan
from certs.policy import CertificatePolicy
from certs.recover import recover
from certs.rotation import plan
from certs.state import ReplicaCertificate
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Conflict
from webhook.cluster.events import EventType
from webhook.cluster.informer import WATCH_SECONDS, Informer
from webhook.cluster.interface import KubeClient, ListOptions
from webhook.cluster.resources import SECRET, SERVICE, WEBHOOK_CONFIGURATION
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.certificates.objects import ObjectNames
from webhook.companion.certificates.observe import Observation, Observer, body_of
from webhook.companion.certificates.probe import ReplicaAddress
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.certificates.result import (
    CertificateResult,
    Condition,
    condition_of,
)
from webhook.companion.controller import Context, Notice

KEY: Final = "certificates"
"""The only key."""

_MAX_PASSES: Final = 8
"""Passes in one reconcile; a first installation takes five."""
_UNDER_WAY: Final = timedelta(seconds=5)
"""How old the API server's time may be when ours is read: it is in whole seconds, and
an answer takes its time."""
_AT_LATEST: Final = 600.0
"""Seconds between two reconciles although nothing changed: expiry is on the wall clock,
and a timer set for weeks ahead would not count while a machine sleeps."""
_PENDING: Final = 5.0
"""Seconds between two reconciles while replicas have yet to serve the new certificate,
or something is in the way: neither announces its end."""
_SLACK: Final = 0.5
"""Seconds after a dwell's end, so that one more reconcile is enough."""

Prober = Callable[[tuple[ReplicaAddress, ...], bytes], tuple[ReplicaCertificate, ...]]
"""Probes replicas for their certificate, given the bundle that API servers have."""
Issue = Callable[[CertificatePolicy, datetime], Generation]
"""Makes a new generation."""


class CertificateController:
    """Issues, stages, switches and retires certificates."""

    name = "certificates"

    def __init__(
        self,
        context: Context,
        names: ObjectNames,
        policy: CertificatePolicy,
        probe: Prober,
        *,
        monotonic: Callable[[], float] | None,
        issue: Issue = issue,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            context: what all controllers share.
            names: the objects concerned.
            policy: names and durations.
            probe: asks replicas for their certificate.
            monotonic: seconds that never go back; None for a process that reconciles
                once and exits.
            issue: makes a new generation.
        """
        self._context = context
        self._names = names
        self._policy = policy
        self._probe = probe
        self._issue = issue
        self._observer = Observer(
            client=context.client, names=names, clock=context.clock, monotonic=monotonic
        )
        self._writes: Counter[str] = Counter()
        self._last = CertificateResult(reason=RotationReason.ROTATION_UNDER_WAY)

    def reconcile(self, key: str, now: datetime) -> CertificateResult:  # noqa: ARG002 - the only key
        """Write what is due, until nothing is due or a write is refused.

        Returns:
            What was done. A lost race is no condition: the next pass sees the winner.

        Raises:
            ClusterError: the state could not be read, so nothing could be planned.
        """
        done: list[Cause] = []
        result, progressed = self._pass(done, now)
        for _ in range(_MAX_PASSES - 1):
            if not progressed:
                break
            try:
                result, progressed = self._pass(done, now)
            except ClusterError as error:
                # What was written until now is reported all the same.
                result, progressed = self._failed(error, result), False
        if progressed:
            # Somebody else keeps writing.
            result = replace(result, requeue_after=_PENDING)
        return self._finish(replace(result, done=tuple(done)))

    def failure(self, key: str, error: Exception) -> CertificateResult:  # noqa: ARG002 - the only key
        """Return the result of a reconcile that raised: what was known stays."""
        return self._finish(self._failed(error, self._last))

    def _pass(self, done: list[Cause], now: datetime) -> tuple[CertificateResult, bool]:
        """Observe and write once; return whether another pass will see changes."""
        try:
            seen = self._observer.observe()
        except NewerFormatError as error:
            return self._failed(error, self._last), False
        conditions = list(seen.conditions)
        clock = self._clock_condition(seen)
        if clock is None:
            planned = self._plan(seen, conditions)
        else:
            conditions.append(clock)
            planned = recover(seen.state, seen.observed)
        before = len(conditions)
        progressed = self._write(planned, seen, done, conditions)
        refused = len(conditions) > before
        result = self._result(planned, seen, tuple(conditions), now)
        return result, progressed and not refused

    def _plan(self, seen: Observation, conditions: list[Condition]) -> RotationPlan:
        planned = plan(seen.state, seen.observed, self._policy, seen.now)
        if not planned.attest or planned.steps:
            # What is due already must not wait for a replica that does not answer.
            return planned
        try:
            replicas = self._observer.replicas()
        except ClusterError as error:
            conditions.append(
                condition_of(error, self._names.about(SERVICE, self._names.service))
            )
            return planned
        served = self._probe(replicas, seen.bundle)
        observed = replace(seen.observed, served=served)
        return plan(seen.state, observed, self._policy, seen.now)

    def _clock_condition(self, seen: Observation) -> Condition | None:
        """Compare our clock with the API server's, which judges certificates.

        An observation that took very long cannot tell: it counts as wrong, and the next
        one tells.
        """
        if seen.server_time is None:
            return None
        ahead = seen.now - seen.server_time
        bound = 2 * self._policy.skew
        if -bound <= ahead <= bound + _UNDER_WAY:
            return None
        detail = (
            f"this machine's clock says {seen.now:%Y-%m-%d %H:%M:%S}, the API server's "
            f"{seen.server_time:%Y-%m-%d %H:%M:%S} (UTC); until they agree, nothing is "
            "issued, switched or dropped"
        )
        return Condition(
            reason=RotationReason.CLOCK_DIFFERS,
            detail=detail,
            about=self._names.about(
                WEBHOOK_CONFIGURATION, self._names.configuration, seen.configuration
            ),
        )

    # --- writes ---

    def _write(
        self,
        planned: RotationPlan,
        seen: Observation,
        done: list[Cause],
        conditions: list[Condition],
    ) -> bool:
        """Try every step: one that is refused must not keep back another.

        Returns:
            Whether another pass will see changes.
        """
        progressed = False
        for step in planned.steps:
            kind, target = seen.target(step)
            if target is None:
                continue
            body = body_of(step, target, lambda: self._issue(self._policy, seen.now))
            if not self._context.is_leader():
                return False
            try:
                self._context.client.apply(kind, body)
            except Conflict:
                progressed = True
            except ClusterError as error:
                about = self._names.about(kind, body["metadata"]["name"], target)
                conditions.append(condition_of(error, about))
            else:
                progressed = True
                done.append(step.cause)
                self._writes[step.cause.value] += 1
        return progressed

    # --- results ---

    def _result(
        self,
        planned: RotationPlan,
        seen: Observation,
        conditions: tuple[Condition, ...],
        now: datetime,
    ) -> CertificateResult:
        notices: tuple[Notice, ...] = ()
        if conditions:
            reason = conditions[0].reason
        elif planned.settled:
            reason = RotationReason.CERTIFICATES_READY
        else:
            reason = RotationReason.ROTATION_UNDER_WAY
            name = self._names.state_secret
            under_way = Notice(
                about=self._names.about(SECRET, name, seen.state_secret),
                reason=reason.value,
                message=f"{reason.sentence} Phase: {planned.phase.value}.",
                type=EventType.NORMAL,
            )
            notices = (under_way,)
        return CertificateResult(
            reason=reason,
            phase=planned.phase,
            state=seen.state,
            conditions=conditions,
            rotating_since=seen.state.started(self._policy),
            requeue_after=_requeue_after(planned, now),
            notices=notices,
        )

    def _failed(self, error: Exception, last: CertificateResult) -> CertificateResult:
        """Return a result without an observation: what was known before stays."""
        about = self._names.about(SECRET, self._names.state_secret)
        condition = condition_of(error, about)
        return replace(last, reason=condition.reason, conditions=(condition,), done=())

    def _finish(self, result: CertificateResult) -> CertificateResult:
        """Log what is new, and add what follows from the conditions."""
        self._log(result)
        result = replace(result, writes=dict(self._writes))
        if result.conditions:
            errors = [one.error for one in result.conditions if one.error is not None]
            result = replace(
                result,
                detail="; ".join(one.detail for one in result.conditions),
                requeue_after=_PENDING,
                error=errors[0] if errors else None,
                notices=tuple(one.notice for one in result.conditions),
            )
        self._last = result
        return result

    def _log(self, result: CertificateResult) -> None:
        for cause in result.done:
            fields = {"cause": cause.value, "phase": result.phase.value}
            self._context.log.line("info", "certificates-changed", fields)
        known = {(one.reason, one.about) for one in self._last.conditions}
        for one in result.conditions:
            # A failed request is logged by the controller that retries it.
            if one.error is None and (one.reason, one.about) not in known:
                fields = {"reason": one.reason.value, "problem": one.detail}
                self._context.log.line("warning", "certificates-hindered", fields)


def certificate_informers(
    client: KubeClient,
    names: ObjectNames,
    queue: WorkQueue,
    *,
    watch_seconds: float = WATCH_SECONDS,
) -> list[Informer[str]]:
    """Return informers whose changes queue the key; they keep versions, no content.

    The key is queued here once, since objects that are missing announce nothing.
    """
    selections = (
        ListOptions(WEBHOOK_CONFIGURATION, name=names.configuration),
        ListOptions(SECRET, namespace=names.namespace, name=names.pair_secret),
        ListOptions(SECRET, namespace=names.namespace, name=names.state_secret),
    )
    informers = [
        Informer(client, one, metadata.resource_version, watch_seconds=watch_seconds)
        for one in selections
    ]
    for informer in informers:
        informer.subscribe(lambda _: queue.add(KEY, urgent=True))
    queue.add(KEY)
    return informers


def _requeue_after(planned: RotationPlan, now: datetime) -> float:
    if planned.again is None:
        return _PENDING
    wait = (planned.again - now).total_seconds() + _SLACK
    return min(max(wait, _SLACK), _AT_LATEST)
