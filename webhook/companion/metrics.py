"""What the companion measures, read from its reports whenever somebody asks.

Nothing is counted twice: gauges are the report's own numbers at the time of a scrape,
and what is about the cluster is told by the replica that leads, not by one that once
did.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from webhook.cluster.events import EventRecorder
from webhook.companion.audit import Auditor
from webhook.companion.certificates.keeper import CertificateKeeper
from webhook.companion.mirrors import Mirrors
from webhook.companion.observed import Observed
from webhook.telemetry import NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reports(Collector):
    """A collector over what the concerns reported last.

    Attributes:
        mirrors: namespaces and profiles.
        auditor: task pods.
        observed: how the watches stand.
        announcer: what was not told.
        leads: whether this replica acts.
        failures: failed steps by concern.
        certificates: the webhook's certificates; None when others issue them.
    """

    mirrors: Mirrors
    auditor: Auditor
    observed: Observed
    announcer: EventRecorder
    leads: Callable[[], bool]
    failures: Counter[str]
    certificates: CertificateKeeper | None = None

    def collect(self) -> Iterator[Metric]:
        """Every family, with the numbers of now."""
        yield _gauge("leader", "Whether this replica acts.", (), {(): self.leads()})
        yield from self._namespaces()
        yield from self._pods()
        yield from self._watches()
        yield from self._certificates()
        yield _counter(
            "events_dropped",
            "Events over the rate or refused.",
            (),
            {(): self.announcer.dropped},
        )
        yield _counter(
            "step_failures",
            "Failed steps by concern.",
            ("concern",),
            {(name,): count for name, count in self.failures.items()},
        )

    def _namespaces(self) -> Iterator[Metric]:
        leads = self.leads()
        report = self.mirrors.report.values() if leads else ()
        reasons = Counter(one.reason.value for one in report)
        yield _gauge(
            "namespaces",
            "Labeled namespaces by the state of their mirror.",
            ("reason",),
            {(reason,): count for reason, count in reasons.items()},
        )
        yield _gauge(
            "profile_problem_since_seconds",
            "Since when a profile's sources cannot be used, in Unix time.",
            ("profile", "reason"),
            {
                (name, supply.problem.reason.value): supply.since.timestamp()
                for name, supply in self.mirrors.supplies.items()
                if leads and supply.problem and supply.since
            },
        )

    def _pods(self) -> Iterator[Metric]:
        report = self.auditor.report if self.leads() else {}
        yield _gauge(
            "task_pods",
            "Running task pods of compute namespaces by what the auditor says.",
            ("namespace", "reason"),
            {
                (name, reason.value): count
                for name, pods in report.items()
                for reason, count in pods.counts.items()
            },
        )
        yield _gauge(
            "outdated_pods",
            "Running task pods that started before their keys last changed.",
            ("namespace",),
            {(name,): pods.outdated for name, pods in report.items() if pods.outdated},
        )
        yield _gauge(
            "shadowed_keys",
            "Keys whose older value in a ConfigMap wins.",
            ("namespace",),
            {
                (name,): len(pods.shadowed)
                for name, pods in report.items()
                if pods.shadowed
            },
        )

    def _watches(self) -> Iterator[Metric]:
        standings = {(str(one.options),): one.health for one in self.observed.all()}
        yield _gauge(
            "watch_silent_seconds",
            "Since the API server last said anything on a watch.",
            ("watch",),
            {name: standing.silent_seconds for name, standing in standings.items()},
        )
        yield _gauge(
            "watch_failing",
            "Whether the last attempt of a watch failed.",
            ("watch",),
            {
                name: standing.failing is not None
                for name, standing in standings.items()
            },
        )

    def _certificates(self) -> Iterator[Metric]:
        keeper = self.certificates
        if keeper is None:
            return
        yield _counter(
            "certificate_writes",
            "Writes for the webhook's certificates by cause.",
            ("cause",),
            {(cause,): count for cause, count in keeper.writes.items()},
        )
        # What one that led once found then must not stand beside what is so now.
        found = [keeper.outcome] if keeper.outcome and self.leads() else []
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
            "certificate_not_after_seconds",
            "End of validity, in Unix time.",
            ("generation",),
            {(name,): pair.not_after.timestamp() for name, pair in ends if pair},
        )
        since = keeper.rotating_since() if found else None
        yield _gauge(
            "certificate_rotation_since_seconds",
            "Since when a rotation is under way, in Unix time; absent when none is.",
            (),
            {(): since.timestamp()} if since else {},
        )


def _gauge(
    name: str, text: str, labels: tuple[str, ...], values: dict[tuple[str, ...], float]
) -> Metric:
    family = GaugeMetricFamily(f"{NAMESPACE}_companion_{name}", text, labels=labels)
    for found, value in values.items():
        family.add_metric(found, float(value))
    return family


def _counter(
    name: str, text: str, labels: tuple[str, ...], values: dict[tuple[str, ...], float]
) -> Metric:
    family = CounterMetricFamily(f"{NAMESPACE}_companion_{name}", text, labels=labels)
    for found, value in values.items():
        family.add_metric(found, float(value))
    return family
