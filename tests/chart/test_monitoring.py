"""Alerts and dashboard speak of metrics that exist."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from certs.state import RotationPhase, State
from tests.chart.rendering import CHART, RELEASE, Chart, Rendered
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.certificates.result import CertificateResult
from webhook.companion.metrics import Reports
from webhook.companion.verdicts import AuditReason
from webhook.telemetry import ServerMetrics

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
    idle: Any = SimpleNamespace(report={}, supplies={}, dropped=0, all=list)
    outcome: Any = CertificateResult(
        reason=RotationReason.CERTIFICATES_READY,
        phase=RotationPhase.STEADY,
        state=State(),
    )
    keeper: Any = SimpleNamespace(
        writes={}, outcome=outcome, rotating_since=lambda: None
    )
    reports = Reports(
        mirrors=idle,
        auditor=idle,
        observed=idle,
        announcer=idle,
        leads=lambda: True,
        failures=idle.report,
        certificates=keeper,
    )
    families = [*registry.collect(), *reports.collect()]
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {
        family.name + suffix
        for family in families
        for suffix in suffixes.get(family.type, ("",))
    }


def metrics_in(expressions: list[str]) -> set[str]:
    """Names of metrics that PromQL expressions use."""
    return set(
        re.findall(r"\b(?:tracking_injector|apiserver)_\w+", " ".join(expressions))
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
        if "certificate_not_after_seconds" in rule["expr"]
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
    (group,) = monitored.one("PrometheusRule", RELEASE)["spec"]["groups"]
    expression = group["rules"][0]["expr"]
    found = re.search(r'reason=~"([^"]+)"', expression)

    assert found is not None
    assert {reason.value for reason in AuditReason if reason.is_missed} == set(
        found[1].split("|")
    )


def test_the_dashboard_shows_metrics_that_exist(monitored: Rendered) -> None:
    """And it is the file as it lies in the chart."""
    data = monitored.one("ConfigMap", f"{RELEASE}-dashboard")["data"]
    dashboard = json.loads(data["tracking-injector.json"])
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ]

    assert metrics_in(expressions) <= known_metrics()
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
