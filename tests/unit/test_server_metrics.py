"""What a replica counts is bounded, whatever anybody sends."""

from prometheus_client import CollectorRegistry, generate_latest

from webhook.server.metrics import MAX_SERIES, ServerMetrics


def test_namespaces_in_metrics_are_bounded() -> None:
    """Anyone who reaches the port can invent them."""
    registry = CollectorRegistry()
    metrics = ServerMetrics(registry)

    for number in range(MAX_SERIES + 5):
        metrics.decided(f"n{number}", "none", "Injected", "none", 0.0)
    metrics.decided("x" * 64, "none", "Injected", "none", 0.0)

    labels = {
        "target_namespace": "other",
        "workload": "none",
        "reason": "Injected",
        "by": "none",
    }
    assert registry.get_sample_value("tracking_injector_decisions_total", labels) == 6


def test_a_namespace_that_is_known_goes_on_being_counted() -> None:
    """However many come after it."""
    registry = CollectorRegistry()
    metrics = ServerMetrics(registry)
    metrics.decided("real", "none", "Injected", "none", 0.0)
    for number in range(MAX_SERIES):
        metrics.decided(f"n{number}", "none", "Injected", "none", 0.0)

    metrics.decided("real", "none", "Injected", "none", 0.0)

    labels = {
        "target_namespace": "real",
        "workload": "none",
        "reason": "Injected",
        "by": "none",
    }
    assert registry.get_sample_value("tracking_injector_decisions_total", labels) == 2


def test_durations_are_a_cumulative_histogram() -> None:
    """As Prometheus has it: each bucket counts those below it, its bound included."""
    registry = CollectorRegistry()
    metrics = ServerMetrics(registry)
    for seconds in (0.00005, 0.0001, 0.002, 9.0):
        metrics.decided("n", "none", "Injected", "none", seconds)

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
    ServerMetrics(registry).decided("n", "none", "Injected", "none", 0.0)

    assert b"_created" not in generate_latest(registry)
