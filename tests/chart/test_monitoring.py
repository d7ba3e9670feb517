"""Alerts and dashboard speak of metrics that exist."""

import json
import re
from datetime import datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.chart.rendering import CHART, RELEASE, Chart, Rendered
from tests.fakes.cluster import FakeCluster
from webhook.cluster.config import ClusterConnection
from webhook.companion.audit import AuditReason
from webhook.companion.build import Outside, build_companion
from webhook.jsonlog import JsonLog
from webhook.mirror.reasons import MirrorReason
from webhook.server.metrics import ServerMetrics
from webhook.settings import CompanionSettings

FOREIGN = {"apiserver_admission_webhook_fail_open_count"}
"""The API server's own."""


@pytest.fixture(scope="module")
def monitored(chart: Chart) -> Rendered:
    """The chart with everything for Prometheus and Grafana."""
    parts = ("serviceMonitor", "prometheusRule", "dashboard")
    return chart.render({"metrics": {part: {"enabled": True} for part in parts}})


def known_metrics() -> set[str]:
    """Every sample name that one of the processes can show."""
    registry = CollectorRegistry()
    ServerMetrics(registry)
    client: Any = FakeCluster().client()
    companion = build_companion(
        ClusterConnection(client, "release"),
        CompanionSettings(),
        Outside(log=JsonLog(len, datetime.now), clock=datetime.now),  # noqa: TID251 - never called
    )
    families = [*registry.collect(), *companion.registry.collect()]
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {
        family.name + suffix
        for family in families
        for suffix in suffixes.get(family.type, ("",))
    }


def metrics_in(expressions: list[str]) -> set[str]:
    """Names of metrics that PromQL expressions use."""
    return set(
        re.findall(
            r"\b(?:tracking_injector|apiserver|workqueue)_\w+", " ".join(expressions)
        )
    )


def test_alerts_speak_of_metrics_that_exist(monitored: Rendered) -> None:
    """A renamed metric would silence its alert."""
    (group,) = monitored.one("PrometheusRule", RELEASE)["spec"]["groups"]
    used = metrics_in([rule["expr"] for rule in group["rules"]])

    assert used - FOREIGN <= known_metrics()
    assert FOREIGN <= used


def test_alerts_on_certificates_follow_the_times_that_are_set(chart: Chart) -> None:
    """A certificate of ten days must not alarm from its first day on."""
    rendered = chart.render(
        {
            "metrics": {"prometheusRule": {"enabled": True}},
            "certificates": {"companion": {"days": 10, "renewDays": 4}},
        }
    )
    (group,) = rendered.one("PrometheusRule", RELEASE)["spec"]["groups"]
    ends = {
        rule["alert"]: float(rule["expr"].rsplit("<")[-1]) / 86400
        for rule in group["rules"]
        if "certificate_not_after_timestamp_seconds" in rule["expr"]
    }

    assert ends == {
        "TrackingInjectorRotationOverdue": pytest.approx(3.6),
        "TrackingInjectorCertificateExpires": pytest.approx(2.8),
        "TrackingInjectorCertificateExpiresSoon": pytest.approx(1),
    }


def test_the_alert_for_missed_pods_knows_every_kind_of_miss(
    monitored: Rendered,
) -> None:
    """The auditor's own vocabulary."""
    found = expression(monitored, "TrackingInjectorMissedPods")

    assert {reason.value for reason in AuditReason if reason.is_missed} == found


def test_the_alert_for_mirrors_knows_every_reason_in_order(monitored: Rendered) -> None:
    """And that one that is about to be written is nothing to wake anybody for."""
    in_order = {reason.value for reason in MirrorReason if reason.is_in_order}
    found = expression(monitored, "TrackingInjectorMirrorsNotInOrder")

    assert in_order | {MirrorReason.PENDING.value} == found


def expression(monitored: Rendered, alert: str) -> set[str]:
    """The reasons that an alert's expression lists."""
    (group,) = monitored.one("PrometheusRule", RELEASE)["spec"]["groups"]
    (rule,) = [one for one in group["rules"] if one["alert"] == alert]
    found = re.search(r'reason[=!]~"([^"]+)"', rule["expr"])
    assert found is not None
    return set(found[1].split("|"))


def test_the_dashboard_shows_metrics_that_exist(monitored: Rendered) -> None:
    """And it is the file as it lies in the chart."""
    data = monitored.one("ConfigMap", f"{RELEASE}-dashboard")["data"]
    dashboard = json.loads(data["tracking-injector.json"])
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ]

    assert metrics_in(expressions) - FOREIGN <= known_metrics()
    assert json.loads((CHART / "files" / "dashboard.json").read_text()) == dashboard


def test_the_service_monitor_finds_the_service_for_metrics(
    monitored: Rendered,
) -> None:
    """And not the webhook's own; also where Argo CD puts its name for us in a label."""
    spec = monitored.one("ServiceMonitor", RELEASE)["spec"]
    argo = {"app.kubernetes.io/instance": "tracking-injector-eu"}
    selected = [
        one["metadata"]["name"]
        for one in monitored.all("Service")
        if spec["selector"]["matchLabels"].items()
        <= (one["metadata"]["labels"] | argo).items()
    ]

    assert [f"{RELEASE}-metrics"] == selected
