"""What the companion serves on `/metrics`.

Gauges are read from the results of the controllers at the time of a scrape. What is
about the cluster comes from the replica that leads, not from one that once did.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from webhook import METRICS_PREFIX
from webhook.cluster.events import EventRecorder
from webhook.cluster.workqueue import QueueObserver, WorkQueue
from webhook.companion.caches import Caches
from webhook.companion.dns_controller import DnsController
from webhook.companion.egress.applier import Applier
from webhook.companion.profiles import ProfileStore
from webhook.companion.results import CompanionResults

_BUCKETS: Final = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""Seconds; some of those that client-go has."""
_OWN: Final = f"{METRICS_PREFIX}_companion_"

Values = Mapping[tuple[str, ...], float]


class QueueMetrics(QueueObserver):
    """Counts what work queues and controllers do, by client-go's names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything."""
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library's
        counter = partial(prometheus_client.Counter, registry=registry)
        seconds = partial(Histogram, registry=registry, buckets=_BUCKETS)
        name = ("name",)
        text = "Keys queued again after a failure."
        adds = counter("workqueue_adds", "Keys queued.", name)
        retries = counter("workqueue_retries", text, name)
        text = "From queueing a key until a worker takes it."
        waited = seconds("workqueue_queue_duration_seconds", text, name)
        text = "Time that a worker takes for a key."
        worked = seconds("workqueue_work_duration_seconds", text, name)
        text = "Reconciles by how they ended."
        reconciles = counter(f"{_OWN}reconcile", text, ("controller", "result"))
        # To find a label's counter costs more than to count; there are few labels.
        self._adds, self._retries = cache(adds.labels), cache(retries.labels)
        self._waited, self._worked = cache(waited.labels), cache(worked.labels)
        self._reconciles = cache(reconciles.labels)

    def added(self, queue: str) -> None:
        """Count a key that was queued."""
        self._adds(queue).inc()

    def retried(self, queue: str) -> None:
        """Count a key that comes back after a failure."""
        self._retries(queue).inc()

    def started(self, queue: str, waited: float) -> None:
        """Observe the seconds that a key waited until a worker took it."""
        self._waited(queue).observe(waited)

    def finished(self, queue: str, worked: float) -> None:
        """Observe the seconds that a worker took for a key."""
        self._worked(queue).observe(worked)

    def reconciled(self, controller: str, *, failed: bool) -> None:
        """Count one reconcile."""
        self._reconciles(controller, "error" if failed else "success").inc()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompanionCollector(Collector):
    """Shows the results of the controllers.

    Attributes:
        results: what the controllers found.
        profiles: what each profile gives.
        caches: asked how the watches stand.
        recorder: counts Events.
        queues: asked for their depth.
        is_leader: whether this replica acts.
        dns: counts lookups; None where egress is off, and so with the next.
        policies: counts writes of NetworkPolicies.
    """

    results: CompanionResults
    profiles: ProfileStore
    caches: Caches
    recorder: EventRecorder
    queues: Sequence[WorkQueue]
    is_leader: Callable[[], bool]
    dns: DnsController | None = None
    policies: Applier | None = None

    def collect(self) -> Iterator[Metric]:
        """Return every family, with the numbers of now."""
        leads = self.is_leader()
        yield _gauge("leader", "Whether this replica acts.", (), {(): leads})
        results = self.results if leads else CompanionResults()
        yield from self._queues()
        yield from self._events()
        yield from self._watches()
        yield from self._profiles(leads=leads)
        yield from _mirrors(results)
        yield from _tracking_ca(results)
        yield from _pods(results)
        yield from _egress(results)
        yield from self._written()
        yield from _names(results)
        yield from _certificates(results)

    def _queues(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "workqueue_depth", "Keys that wait for a worker.", labels=("name",)
        )
        for one in self.queues:
            family.add_metric((one.name,), len(one))
        yield family

    def _events(self) -> Iterator[Metric]:
        text = "Events written."
        yield _counter("events_written", text, (), {(): self.recorder.written})
        text = "Events left out: over a limit, or refused by the API server."
        yield _counter("events_dropped", text, (), {(): self.recorder.dropped})

    def _watches(self) -> Iterator[Metric]:
        health = {(str(one.options),): one.health for one in self.caches.all()}
        yield _gauge(
            "watch_silent_seconds",
            "Since the API server last said anything on a watch.",
            ("watch",),
            {name: one.silent_seconds for name, one in health.items()},
        )
        yield _gauge(
            "watch_failing",
            "Whether the last attempt of a watch failed.",
            ("watch",),
            {name: one.failing is not None for name, one in health.items()},
        )
        yield _gauge(
            "unreadable_objects",
            "Objects that cannot be read; what was known of them stays.",
            ("watch",),
            {name: len(one.unprojected) for name, one in health.items()},
        )
        yield _counter(
            "watch_handler_errors",
            "Errors of the companion's own while it took over a change of an object.",
            ("watch",),
            {name: one.handler_errors for name, one in health.items()},
        )

    def _profiles(self, *, leads: bool) -> Iterator[Metric]:
        names = sorted(self.profiles.names()) if leads else ()
        given = {name: self.profiles.content(name) for name in names}
        yield _gauge(
            "profile_problem_timestamp_seconds",
            "Since when a profile's sources cannot be used, in Unix time.",
            ("profile", "reason"),
            {
                (name, one.problem.reason.value): one.since.timestamp()
                for name, one in given.items()
                if one and one.problem and one.since
            },
        )
        yield _gauge(
            "profile_findings",
            "What is worth knowing about keys of a profile, by reason.",
            ("profile", "reason"),
            Counter(
                (name, finding.reason.value)
                for name, one in given.items()
                for finding in (one.findings if one else ())
            ),
        )

    def _written(self) -> Iterator[Metric]:
        """Return what this process asked and wrote, whoever leads now."""
        dns, policies = self.dns, self.policies
        yield _counter(
            "dns_lookups",
            "Answers of DNS servers by how they ended, one for each server asked.",
            ("rcode",),
            {(str(one),): n for one, n in (dns.lookups() if dns else {}).items()},
        )
        yield _counter(
            "egress_rotations",
            "Lookups that brought addresses nobody had seen, a name's first one apart.",
            (),
            {(): dns.rotations} if dns else {},
        )
        yield _counter(
            "egress_policy_writes",
            "NetworkPolicies of ours that were applied or deleted.",
            ("verb",),
            {("apply",): policies.applied, ("delete",): policies.deleted}
            if policies
            else {},
        )
        yield _counter(
            "certificate_writes",
            "Writes for the webhook's certificates by cause.",
            ("cause",),
            {
                (cause,): count
                for one in self.results.certificates.items().values()
                for cause, count in one.writes.items()
            },
        )


def _mirrors(results: CompanionResults) -> Iterator[Metric]:
    yield _gauge(
        "namespaces",
        "Labeled namespaces by the state of their mirror.",
        ("reason",),
        Counter((one.reason.value,) for one in results.mirrors.items().values()),
    )


def _tracking_ca(results: CompanionResults) -> Iterator[Metric]:
    yield _gauge(
        "tracking_ca_namespaces",
        "Labeled namespaces by the state of the tracking server's CA there.",
        ("reason",),
        Counter((one.reason.value,) for one in results.tracking_ca.items().values()),
    )


def _pods(results: CompanionResults) -> Iterator[Metric]:
    audits = results.audits.items()
    yield _gauge(
        "task_pods",
        "Running task pods of compute namespaces by what the auditor says.",
        ("target_namespace", "reason"),
        {
            (name, reason.value): count
            for name, one in audits.items()
            for reason, count in one.counts.items()
        },
    )
    yield _gauge(
        "injected_pods",
        "Running task pods that were given the keys, by who gave them.",
        ("target_namespace", "by"),
        {
            (name, by.value): count
            for name, one in audits.items()
            for by, count in one.injected_by.items()
        },
    )
    yield _gauge(
        "outdated_pods",
        "Running task pods that started before their keys last changed.",
        ("target_namespace",),
        {(name,): one.outdated for name, one in audits.items() if one.outdated},
    )
    yield _gauge(
        "waiting_pods",
        "Task pods that cannot start before the mirror, or a key of it, is there.",
        ("target_namespace",),
        {(name,): len(one.waiting) for name, one in audits.items() if one.waiting},
    )
    yield _gauge(
        "shadowed_keys",
        "Keys whose older value in a ConfigMap wins.",
        ("target_namespace",),
        {(name,): len(one.shadowed) for name, one in audits.items() if one.shadowed},
    )


def _egress(results: CompanionResults) -> Iterator[Metric]:
    egress = list(results.egress.items().values())
    yield _gauge(
        "egress_namespaces",
        "Labeled namespaces by mode and by how their egress stands.",
        ("mode", "reason"),
        Counter((one.mode.value, one.reason.value) for one in egress),
    )
    yield _gauge(
        "egress_shadow_orphans",
        "Shadows that lean on nothing any more: until they go too, they isolate.",
        (),
        {(): sum(one.orphans for one in egress)} if egress else {},
    )
    yield _gauge(
        "egress_findings",
        "Namespaces for which something is to be known, by reason.",
        ("reason",),
        Counter(
            (reason.value,)
            for one in egress
            for reason in {finding.reason for finding in one.findings}
        ),
    )


def _names(results: CompanionResults) -> Iterator[Metric]:
    names = results.names.items()
    yield _gauge(
        "dns_last_success_timestamp_seconds",
        "When a lookup of a name last gave an address, in Unix time.",
        ("name",),
        {
            (name,): one.succeeded.timestamp()
            for name, one in names.items()
            if one.succeeded
        },
    )
    yield _gauge(
        "egress_addresses",
        "Addresses permitted for a name.",
        ("name",),
        {(name,): one.addresses for name, one in names.items()},
    )


def _certificates(results: CompanionResults) -> Iterator[Metric]:
    found = list(results.certificates.items().values())
    yield _gauge(
        "certificate_problem",
        "What keeps the companion from looking after the certificates.",
        ("problem",),
        {(each.reason.value,): 1 for one in found for each in one.conditions},
    )
    yield _gauge(
        "certificates_in_order",
        "Whether one generation is served and trusted alone.",
        ("phase",),
        {(one.phase.value,): one.in_order for one in found},
    )
    ends = [
        (name, pair)
        for one in found
        for name, pair in (("current", one.state.current), ("next", one.state.next))
    ]
    yield _gauge(
        "certificate_not_after_timestamp_seconds",
        "End of validity, in Unix time.",
        ("generation",),
        {(name,): pair.not_after.timestamp() for name, pair in ends if pair},
    )
    yield _gauge(
        "certificate_rotation_start_timestamp_seconds",
        "Since when a rotation is under way, in Unix time; absent when none is.",
        (),
        {
            tuple[str, ...](): one.rotating_since.timestamp()
            for one in found
            if one.rotating_since
        },
    )


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = GaugeMetricFamily(_OWN + name, text, labels=labels)
    for found, value in values.items():
        family.add_metric(found, float(value))
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = CounterMetricFamily(_OWN + name, text, labels=labels)
    for found, value in values.items():
        family.add_metric(found, float(value))
    return family
