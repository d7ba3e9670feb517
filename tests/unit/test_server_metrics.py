"""What a replica counts is bounded, whatever anybody sends."""

from prometheus_client import CollectorRegistry, generate_latest

from webhook.injection.workload import Workload
from webhook.server.metrics import ServerMetrics


def test_nothing_that_is_sent_becomes_a_series() -> None:
    """Each label's values are a closed vocabulary: names that clients choose are none.

    A counter of each namespace could be filled with invented ones by whoever reaches
    the port, for as long as the process lives.
    """
    registry = CollectorRegistry()
    ServerMetrics(registry).decided(Workload.RAY_HEAD, "Injected", "webhook", 0.0)

    labels = {
        name
        for family in registry.collect()
        for sample in family.samples
        for name in sample.labels
    }
    assert labels <= {"workload", "reason", "by", "le", "result", "phase", "problem"}


def test_durations_are_a_cumulative_histogram() -> None:
    """As Prometheus has it: each bucket counts those below it, its bound included."""
    registry = CollectorRegistry()
    metrics = ServerMetrics(registry)
    for seconds in (0.00005, 0.0001, 0.002, 9.0):
        metrics.decided("none", "Injected", "none", seconds)

    name = "tracking_injector_request_duration_seconds"
    bounds = ("0.0001", "0.0025", "3.0", "+Inf")
    counts = [
        registry.get_sample_value(f"{name}_bucket", {"le": bound}) for bound in bounds
    ]
    assert counts == [2, 3, 3, 4]
    assert registry.get_sample_value(f"{name}_count") == 4


def test_no_series_tells_when_another_began() -> None:
    """It would double them for nobody's use."""
    registry = CollectorRegistry()
    ServerMetrics(registry).decided("none", "Injected", "none", 0.0)

    assert b"_created" not in generate_latest(registry)
