"""What egress measures, read from its concerns whenever somebody asks.

What is about the cluster is told by the replica that leads, not by one that once did.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from webhook import METRICS_PREFIX as NAMESPACE
from webhook.companion.egress.concern import Egress
from webhook.companion.egress.names import Names

Values = Mapping[tuple[str, ...], float]


class Measures(Collector):
    """A collector over what names and policies are like now."""

    def __init__(
        self, names: Names, egress: Egress, *, leads: Callable[[], bool]
    ) -> None:
        """Takes the two concerns, and whether this replica acts."""
        self._names, self._egress, self._leads = names, egress, leads

    def collect(self) -> Iterator[Metric]:
        """Every family, with the numbers of now."""
        yield from self._counted()
        if self._leads():
            yield from self._of_names()
            yield from self._of_policies()

    def _counted(self) -> Iterator[Metric]:
        """What this process did."""
        writer = self._egress.writer
        yield _counter(
            "dns_lookups",
            "Answers of DNS servers by how they ended, one for each server asked.",
            ("rcode",),
            {(str(o),): count for o, count in self._names.lookups.items()},
        )
        yield _counter(
            "egress_rotation",
            "Lookups that brought addresses nobody had seen, a name's first one apart.",
            (),
            {(): self._names.rotations},
        )
        yield _counter(
            "egress_policy_writes",
            "NetworkPolicies of ours that were applied or deleted.",
            ("verb",),
            {("apply",): writer.applied, ("delete",): writer.deleted},
        )

    def _of_names(self) -> Iterator[Metric]:
        memories = self._names.memories()
        yield _gauge(
            "dns_last_success_timestamp_seconds",
            "When a lookup of a name last gave an address, in Unix time.",
            ("name",),
            {
                (name,): one.succeeded.timestamp()
                for name, one in memories.items()
                if one.succeeded
            },
        )
        yield _gauge(
            "egress_addresses",
            "Addresses permitted for a name.",
            ("name",),
            {(name,): len(one) for name, one in self._names.known().items()},
        )

    def _of_policies(self) -> Iterator[Metric]:
        report = self._egress.report
        yield _gauge(
            "egress_shadow_orphans",
            "Shadows that lean on nothing any more: until they go too, they isolate.",
            (),
            {(): self._egress.writer.orphans()},
        )
        yield _gauge(
            "egress_namespaces",
            "Labeled namespaces by mode and by how their egress stands.",
            ("mode", "reason"),
            Counter((str(one.mode), str(one.reason)) for one in report.values()),
        )
        yield _gauge(
            "egress_findings",
            "Namespaces for which something is to be known, by reason.",
            ("reason",),
            Counter(
                (str(reason),)
                for one in report.values()
                for reason in {finding.reason for finding in one.findings}
            ),
        )


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = GaugeMetricFamily(f"{NAMESPACE}_companion_{name}", text, labels=labels)
    for found, value in values.items():
        family.add_metric(found, float(value))
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = CounterMetricFamily(f"{NAMESPACE}_companion_{name}", text, labels=labels)
    for found, value in values.items():
        family.add_metric(found, float(value))
    return family
