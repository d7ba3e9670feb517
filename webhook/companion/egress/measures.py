"""What egress measures, read from its concerns whenever somebody asks."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from webhook.companion.egress.concern import Egress
from webhook.companion.egress.names import Names
from webhook.telemetry import NAMESPACE

Values = Mapping[tuple[str, ...], float]


class Measures(Collector):
    """A collector over what names and policies are like now."""

    def __init__(self, names: Names, egress: Egress) -> None:
        """Takes the two concerns."""
        self._names, self._egress = names, egress

    def collect(self) -> Iterator[Metric]:
        """Every family, with the numbers of now."""
        yield from self._of_names()
        yield from self._of_policies()

    def _of_names(self) -> Iterator[Metric]:
        memories = self._names.memories()
        yield _counter(
            "dns_lookups",
            "Answers of DNS servers by how they ended, one for each server asked.",
            ("rcode",),
            {(str(o),): count for o, count in self._names.lookups.items()},
        )
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
        yield _counter(
            "egress_rotation",
            "Lookups that brought addresses nobody had seen, a name's first one apart.",
            (),
            {(): self._names.rotations},
        )

    def _of_policies(self) -> Iterator[Metric]:
        report, writer = self._egress.report, self._egress.writer
        yield _counter(
            "egress_policy_writes",
            "NetworkPolicies of ours that were applied or deleted.",
            ("verb",),
            {("apply",): writer.applied, ("delete",): writer.deleted},
        )
        yield _gauge(
            "egress_shadow_orphans",
            "Shadows whose policies are all gone: until they go too, they isolate.",
            (),
            {(): writer.orphans()},
        )
        yield _gauge(
            "egress_namespaces",
            "Labelled namespaces by mode and by how their egress stands.",
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
