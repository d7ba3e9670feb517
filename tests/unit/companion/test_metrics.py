"""Metrics are the results at the time of a scrape."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import CollectorRegistry, generate_latest

from tests.fakes.cluster import FakeCluster
from tests.unit.companion.test_report import mirrored, permitted, source
from webhook.cluster.events import EventRecorder
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.audit import AuditReason, AuditResult
from webhook.companion.metrics import CompanionCollector, QueueMetrics
from webhook.companion.results import CompanionResults

OWN = "tracking_injector_companion_"


def registered(results: CompanionResults, leads: threading.Event) -> CollectorRegistry:
    """A registry over these results."""
    given = source(results)
    client = FakeCluster().client()
    registry = CollectorRegistry()
    registry.register(
        CompanionCollector(
            results=results,
            profiles=given.profiles,
            caches=given.caches,
            recorder=EventRecorder(client, component="companion", instance="one"),
            queues=[WorkQueue("mirrors")],
            is_leader=leads.is_set,
        )
    )
    return registry


def test_only_the_leader_measures_the_cluster() -> None:
    """What one that once led found must not stand beside what is so now."""
    results, leads = CompanionResults(), threading.Event()
    results.mirrors.put("ray", mirrored())
    results.egress.put("ray", permitted())
    counts = Counter({AuditReason.MISSED: 2})
    results.audits.put("ray", AuditResult(reason=AuditReason.MISSED, counts=counts))
    registry = registered(results, leads)

    def told() -> dict[str, float | None]:
        labels = {
            "leader": {},
            "namespaces": {"reason": "Mirrored"},
            "egress_namespaces": {"mode": "additive", "reason": "EgressReady"},
            "task_pods": {"target_namespace": "ray", "reason": "Missed"},
        }
        return {
            name: registry.get_sample_value(OWN + name, label)
            for name, label in labels.items()
        }

    leads.set()
    assert told() == {
        "leader": 1,
        "namespaces": 1,
        "egress_namespaces": 1,
        "task_pods": 2,
    }
    leads.clear()
    assert told() == {
        "leader": 0,
        "namespaces": None,
        "egress_namespaces": None,
        "task_pods": None,
    }


def test_a_work_queue_is_measured_as_client_go_does() -> None:
    """By the same names, so that dashboards for controllers fit."""
    registry, now = CollectorRegistry(), [0.0]
    queue = WorkQueue("mirrors", QueueMetrics(registry), monotonic=lambda: now[0])
    queue.add("ray")
    now[0] = 2.0
    assert queue.get(0) == "ray"
    queue.retry("ray")
    now[0] = 5.0
    queue.done("ray")

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"workqueue_{name}", {"name": "mirrors"})

    assert value("adds_total") == 1
    assert value("retries_total") == 1
    assert value("queue_duration_seconds_sum") == 2
    assert value("work_duration_seconds_sum") == 3


def test_a_scrape_and_a_count_never_meet() -> None:
    """Nothing is iterated while others grow it."""
    results, leads = CompanionResults(), threading.Event()
    leads.set()
    registry = registered(results, leads)
    metrics = QueueMetrics(registry)
    stop = threading.Event()

    def grow() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            results.mirrors.put(f"n-{number}", mirrored())
            metrics.added(f"q-{number % 500}")
            metrics.reconciled(f"c-{number % 500}", failed=False)

    with ThreadPoolExecutor(2) as pool:
        growing = [pool.submit(grow) for _ in range(2)]
        for _ in range(50):
            assert generate_latest(registry)
        stop.set()
        for one in growing:
            one.result()
