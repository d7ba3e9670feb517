"""Prometheus' own `promtool` takes the alerts, and they fire when they should."""

import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.rendering import NAMESPACE, RELEASE, Chart
from tests.lab.build import Toolbox
from webhook.companion.audit import AuditReason
from webhook.egress.reasons import EgressReason
from webhook.mirror.reasons import MirrorReason

DAY: Final = 86400
HOURS: Final = 3
"""For how long each series goes on; every alert is asked about at the end."""

_OWN: Final = f'namespace="{NAMESPACE}"'
_PODS: Final = "tracking_injector_companion_task_pods"
_SINCE: Final = "tracking_injector_companion_profile_problem_timestamp_seconds"
_NOT_AFTER: Final = (
    f"tracking_injector_certificate_not_after_timestamp_seconds{{{_OWN}}}"
)
_ROTATION: Final = (
    "tracking_injector_companion_certificate_rotation_start_timestamp_seconds"
    f"{{{_OWN}}}"
)
_PROBLEM: Final = (
    f'tracking_injector_companion_certificate_problem{{{_OWN},problem="Forbidden"}}'
)
_REFUSED: Final = (
    f'tracking_injector_certificate_reload_errors_total{{{_OWN},problem="mismatch"}}'
)
_LEADER: Final = f"tracking_injector_companion_leader{{{_OWN}}}"
_FAIL_OPEN: Final = (
    "apiserver_admission_webhook_fail_open_count"
    '{name="ray.tracking.michelangelo-ai.org"}'
)
_STARTED: Final = (
    f'tracking_injector_companion_process_start_time_seconds{{{_OWN},pod="a"}}'
)
_DROPPED: Final = f"tracking_injector_companion_events_dropped_total{{{_OWN}}}"
_ERRORS: Final = f"tracking_injector_internal_errors_total{{{_OWN}}}"


def constant(value: float) -> str:
    """A series that keeps a value."""
    return f"{value:.0f}x{HOURS * 60}"


def rising(step: int) -> str:
    """A series that grows by `step` each minute."""
    return f"0+{step}x{HOURS * 60}"


def missed(reason: str) -> str:
    """The auditor's count of pods in one namespace for one reason."""
    return f'{_PODS}{{{_OWN},target_namespace="ray",reason="{reason}"}}'


def stale(profile: str = "default") -> str:
    """Since when a profile cannot be read."""
    return f'{_SINCE}{{{_OWN},profile="{profile}",reason="SourceMissing"}}'


def namespaces(reason: str) -> str:
    """Labeled namespaces by the state of their mirror."""
    return f'tracking_injector_companion_namespaces{{{_OWN},reason="{reason}"}}'


def egress(reason: str) -> str:
    """Labeled namespaces by how their egress stands."""
    name = "tracking_injector_companion_egress_namespaces"
    return f'{name}{{{_OWN},mode="additive",reason="{reason}"}}'


def watch(metric: str, name: str) -> str:
    """What a metric says of a watch."""
    return f'tracking_injector_companion_{metric}{{{_OWN},watch="{name}"}}'


CASES: Final = {
    "TrackingInjectorMirrorsNotInOrder": [
        (namespaces(one), constant(1), not one.is_in_order)
        for one in MirrorReason
        if one is not MirrorReason.PENDING
    ],
    "TrackingInjectorEgressWriteRefused": [
        (egress("WriteRefused"), constant(1), True),
        (egress("EgressReady"), constant(9), False),
    ],
    "TrackingInjectorEgressNotInOrder": [
        (egress(one), constant(1), not one.is_in_order)
        for one in EgressReason
        if one is not EgressReason.WRITE_REFUSED  # has an alert of its own
    ],
    "TrackingInjectorUnreadableObjects": [
        (watch("unreadable_objects", "services *"), constant(1), True),
        (watch("unreadable_objects", "services *"), constant(0), False),
    ],
    "TrackingInjectorWatchDead": [
        (watch("watch_failing", "services *"), constant(1), True),
        (watch("watch_failing", "nodes *"), constant(1), False),  # an optional right
        (watch("watch_failing", "services *"), constant(0), False),
    ],
    "TrackingInjectorWatchSilent": [
        (watch("watch_silent_seconds", "services *"), rising(60), True),
        (watch("watch_silent_seconds", "nodes *"), rising(60), False),
        (watch("watch_silent_seconds", "services *"), constant(600), False),
    ],
    "TrackingInjectorRestarts": [
        (_STARTED, rising(60), True),
        (_STARTED, constant(7), False),
    ],
    "TrackingInjectorEventsDropped": [
        (_DROPPED, rising(1), True),
        (_DROPPED, constant(7), False),
    ],
    "TrackingInjectorMissedPods": [
        *((missed(one), constant(1), one.is_missed) for one in AuditReason),
        (missed("Missed"), constant(0), False),
    ],
    "TrackingInjectorSourceStale": [
        (stale(), constant(0), True),
        (stale(), rising(60), False),  # it began this very minute
    ],
    "TrackingInjectorNobodyLeads": [
        (_LEADER, constant(0), True),
        ("up", constant(1), True),  # nobody is even scraped
        (_LEADER, constant(1), False),
    ],
    "TrackingInjectorRotationStuck": [
        (_ROTATION, constant(0), True),
        (_ROTATION, rising(60), False),  # it began this very minute
    ],
    "TrackingInjectorRotationOverdue": [
        (_NOT_AFTER, constant(27 * DAY), True),
        (_NOT_AFTER, constant(28 * DAY), False),
    ],
    "TrackingInjectorCertificatesHindered": [
        (_PROBLEM, constant(1), True),
        (_PROBLEM, constant(0), False),
    ],
    "TrackingInjectorCertificateExpires": [
        (_NOT_AFTER, constant(21 * DAY), True),
        (_NOT_AFTER, constant(22 * DAY), False),
    ],
    "TrackingInjectorCertificateExpiresSoon": [
        (_NOT_AFTER, constant(7 * DAY), True),
        (_NOT_AFTER, constant(8 * DAY), False),
    ],
    "TrackingInjectorCertificateRefused": [
        (_REFUSED, rising(1), True),
        (_REFUSED, constant(5), False),
    ],
    "TrackingInjectorFailOpen": [
        (_FAIL_OPEN, rising(1), True),
        (_FAIL_OPEN, constant(5), False),
    ],
    "TrackingInjectorErrors": [
        (_ERRORS, rising(1), True),
        (_ERRORS, constant(5), False),
    ],
}
"""Each alert with a series, its values, and whether they make it fire."""


@pytest.fixture(scope="module")
def rules(chart: Chart, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The alerts as a rule file of Prometheus."""
    rendered = chart.render({"metrics": {"prometheusRule": {"enabled": True}}})
    spec = rendered.one("PrometheusRule", RELEASE)["spec"]
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(spec), "utf-8")
    return path


def promtool(toolbox: Toolbox, *arguments: str | Path) -> str:
    """What promtool says; it has to be content."""
    done = subprocess.run(
        [toolbox.program("promtool"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_prometheus_takes_the_rules(toolbox: Toolbox, rules: Path) -> None:
    """Expressions and templates, with every lint on."""
    said = promtool(toolbox, "check", "rules", "--lint=all", "--lint-fatal", rules)

    assert f"{len(CASES)} rules found" in said


def test_alerts_fire_when_they_should_and_only_then(
    toolbox: Toolbox, rules: Path
) -> None:
    """Each alert by series that make it fire and series that do not."""
    tests = [
        scenario(alert, series, values, fires=fires)
        for alert, cases in CASES.items()
        for series, values, fires in cases
    ]
    path = rules.with_name("tests.yaml")
    content = {"rule_files": [str(rules)], "tests": tests, "evaluation_interval": "1m"}
    path.write_text(yaml.safe_dump(content), "utf-8")

    assert "SUCCESS" in promtool(toolbox, "test", "rules", path)


def scenario(alert: str, series: str, values: str, *, fires: bool) -> dict[str, Any]:
    """A test of promtool: the series, and how many alerts of that name fire."""
    expression = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    samples = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "name": f"{alert} at {series} {values}",
        "interval": "1m",
        "input_series": [{"series": series, "values": values}],
        "promql_expr_test": [
            {"expr": expression, "eval_time": f"{HOURS}h", "exp_samples": samples}
        ],
    }
