"""Prometheus' own `promtool` takes the alerts, and they fire when they should."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.rendering import CHART, NAMESPACE, RELEASE, Chart
from tests.lab.build import Toolbox
from webhook.cli.explanation import ExplainReason
from webhook.companion.audit import AuditReason
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.observation.reasons import InstallationReason
from webhook.companion.observation.unknown import UnknownReason
from webhook.companion.status import StatusReason
from webhook.companion.watches import WatchReason
from webhook.egress.reasons import EgressReason
from webhook.injection.reasons import InjectionReason, Rejection
from webhook.mirror.certificates import TrackingCaReason
from webhook.mirror.reasons import KeyReason, MirrorReason
from webhook.reason import Reason

Texts = str | tuple[str, ...]
"""One series or its values, or several."""

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
    f'tracking_injector_companion_certificate_problem{{{_OWN},problem="%s"}}'
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
_ORPHANS: Final = f"tracking_injector_companion_egress_shadow_orphans{{{_OWN}}}"
_RECONCILES: Final = (
    f"tracking_injector_companion_reconcile_total"
    f'{{{_OWN},controller="status",result="%s"}}'
)
_EVICTED: Final = f"tracking_injector_evicted_connections_total{{{_OWN}}}"
_LINES: Final = f"tracking_injector_log_lines_dropped_total{{{_OWN}}}"
_IN_FLIGHT: Final = f'tracking_injector_requests_in_flight{{{_OWN},pod="w"}}'
_HANDSHAKES: Final = f'tracking_injector_handshakes_total{{{_OWN},result="%s"}}'
_PROCESS: Final = f'process_start_time_seconds{{{_OWN},pod="%s"}}'
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


def waiting() -> str:
    """The auditor's count of pods that wait in one namespace."""
    return f'tracking_injector_companion_waiting_pods{{{_OWN},target_namespace="ray"}}'


def stale(profile: str = "default") -> str:
    """Since when a profile cannot be read."""
    return f'{_SINCE}{{{_OWN},profile="{profile}",reason="SourceMissing"}}'


def namespaces(reason: str) -> str:
    """Labeled namespaces by the state of their mirror."""
    return f'tracking_injector_companion_namespaces{{{_OWN},reason="{reason}"}}'


def tracking_ca(reason: str) -> str:
    """Labeled namespaces by the state of the tracking server's CA there."""
    name = "tracking_injector_companion_tracking_ca_namespaces"
    return f'{name}{{{_OWN},reason="{reason}"}}'


def key(reason: str) -> str:
    """What is to be known about keys of one profile."""
    name = "tracking_injector_companion_profile_findings"
    return f'{name}{{{_OWN},profile="default",reason="{reason}"}}'


def egress(reason: str) -> str:
    """Labeled namespaces by how their egress stands."""
    name = "tracking_injector_companion_egress_namespaces"
    return f'{name}{{{_OWN},mode="additive",reason="{reason}"}}'


def finding(reason: str) -> str:
    """Namespaces for which something is to be known."""
    name = "tracking_injector_companion_egress_findings"
    return f'{name}{{{_OWN},reason="{reason}"}}'


ADVICE: Final[dict[Reason, str]] = {
    MirrorReason.PENDING: "it is written in a moment; NobodyLeads where nobody does",
    RotationReason.ROTATION_UNDER_WAY: "RotationStuck, once it takes too long",
    EgressReason.DATABASE_URI: "how it is configured, and it works",
    EgressReason.LEGACY_TRACKER: "it works until its end",
    EgressReason.ROTATING_ADDRESSES: "all addresses are permitted; Truncated alerts",
    EgressReason.NODE_ADDRESS: "of Cilium alone; elsewhere nothing is amiss",
    EgressReason.TLS_NAME_MISMATCH: "the tracker may have a certificate for it",
    EgressReason.ENFORCEMENT_UNKNOWN: "nobody can tell, for as long as the cluster is",
    EgressReason.STORE_HOST_NEEDED: "most tasks write no files",
}
"""What nobody is to be woken for, and why; `status` tells it."""
OF_NAMESPACES: Final = {
    EgressReason.UNRESOLVED,
    EgressReason.PORT_MISMATCH,
    EgressReason.MALFORMED_URI,
    EgressReason.HOST_NEEDED,
    EgressReason.KEYS_UNKNOWN,
    EgressReason.BASELINE_MISSING,
    EgressReason.WRITE_REFUSED,
}
"""Findings that are the reason of their namespace, which alerts as such."""


def watch(metric: str, name: str) -> str:
    """What a metric says of a watch."""
    return f'tracking_injector_companion_{metric}{{{_OWN},watch="{name}"}}'


CASES: Final[dict[str, list[tuple[Texts, Texts, bool]]]] = {
    "TrackingInjectorPodsWaiting": [
        (waiting(), constant(2), True),
        (waiting(), constant(0), False),
    ],
    "TrackingInjectorKeysNotInOrder": [
        *((key(one), constant(1), not one.is_in_order) for one in KeyReason),
        (key(KeyReason.KEY_ABSENT), constant(0), False),
    ],
    "TrackingInjectorTrackingCaNotInOrder": [
        (tracking_ca(one), constant(1), not one.is_in_order) for one in TrackingCaReason
    ],
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
    "TrackingInjectorEgressFindings": [
        (
            finding(one),
            constant(1),
            not (one.is_in_order or one in ADVICE or one in OF_NAMESPACES),
        )
        for one in EgressReason
    ],
    "TrackingInjectorShadowOrphans": [
        (_ORPHANS, constant(1), True),
        (_ORPHANS, constant(0), False),
    ],
    "TrackingInjectorReconcilesFail": [
        (_RECONCILES % "error", rising(1), True),
        (_RECONCILES % "error", constant(7), False),
        (_RECONCILES % "success", rising(1), False),
    ],
    "TrackingInjectorWebhookRestarts": [
        ((_PROCESS % "w", _IN_FLIGHT), (rising(60), constant(0)), True),
        ((_PROCESS % "another", _IN_FLIGHT), (rising(60), constant(0)), False),
        ((_PROCESS % "w", _IN_FLIGHT), (constant(7), constant(0)), False),
    ],
    "TrackingInjectorLogLinesDropped": [
        (_LINES, rising(1), True),
        (_LINES, constant(7), False),
    ],
    "TrackingInjectorConnectionsEvicted": [
        (_EVICTED, rising(1), True),
        (_EVICTED, constant(7), False),
    ],
    "TrackingInjectorNoWebhook": [
        ("up", constant(1), True),
        (_IN_FLIGHT, constant(0), False),
    ],
    "TrackingInjectorHandshakesRefused": [
        (_HANDSHAKES % "certificate-refused", rising(1), True),
        (_HANDSHAKES % "certificate-refused", constant(7), False),
        (_HANDSHAKES % "not-tls", rising(1), False),
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
        *(
            (_PROBLEM % one, constant(1), True)
            for one in RotationReason
            if not one.is_in_order and one not in ADVICE
        ),
        (_PROBLEM % RotationReason.FORBIDDEN, constant(0), False),
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

SERIES: Final[dict[type[Reason], Callable[[Reason], set[str]]]] = {
    MirrorReason: lambda one: {namespaces(one)},
    TrackingCaReason: lambda one: {tracking_ca(one)},
    KeyReason: lambda one: {key(one)},
    AuditReason: lambda one: {missed(one)},
    EgressReason: lambda one: {egress(one) if one in OF_NAMESPACES else finding(one)},
    RotationReason: lambda one: {_PROBLEM % one},
    WatchReason: lambda one: {
        watch("watch_failing", "services *")
        if one == WatchReason.WATCH_FAILED
        else watch("unreadable_objects", "services *")
        if one == WatchReason.PROJECTION_FAILED
        else ""
    },
    StatusReason: lambda one: {
        _RECONCILES % ("success" if one == StatusReason.PUBLISHED else "error")
    },
}
"""Which series tell a reason of the companion's."""
OF_OTHERS: Final[dict[type[Reason], str]] = {
    InjectionReason: "of one pod: the auditor says what it came to",
    Rejection: "of a body that anybody may send",
    InstallationReason: "of whoever looks at an installation from outside",
    UnknownReason: "of whoever looks, and may not",
    ExplainReason: "of a pod that somebody asks about",
}


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


def test_every_alert_says_what_it_means_and_what_to_do(rules: Path) -> None:
    """In a line, in some sentences, and on a page that has a section of its name."""
    (group,) = yaml.safe_load(rules.read_text("utf-8"))["groups"]
    page = (CHART.parents[1] / "docs" / "reference" / "alerts.md").read_text("utf-8")
    sections = {line[3:].lower() for line in page.splitlines() if line[:3] == "## "}
    for rule in group["rules"]:
        notes = rule["annotations"]
        url, _, anchor = notes["runbook_url"].partition("#")
        assert url.endswith("/docs/reference/alerts.md")
        assert anchor in sections
        assert len(notes["summary"]) < 150
        assert len(notes["description"]) > 60
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert "$" not in rule["expr"], "a word without a meaning"


def test_each_reason_that_is_not_in_order_has_an_alert() -> None:
    """Of every vocabulary; a new one has to say here by which series it is told."""
    fires = {series for cases in CASES.values() for series, _, yes in cases if yes}
    silent = {
        (vocabulary, one)
        for vocabulary, series in SERIES.items()
        for one in vocabulary
        if not series(one) & fires
    }

    assert set(Reason.__subclasses__()) == {*SERIES, *OF_OTHERS}
    assert silent == {
        (vocabulary, one)
        for vocabulary in SERIES
        for one in vocabulary
        if in_order(one) or one in ADVICE
    }


def in_order(reason: Reason) -> bool:
    """Whether nobody has to do anything about a reason."""
    if isinstance(reason, AuditReason):
        return not reason.is_missed
    return bool(getattr(reason, "is_in_order", reason == StatusReason.PUBLISHED))


def test_an_alert_that_cannot_fire_rightly_is_left_out(chart: Chart) -> None:
    """Of certificates that somebody else makes, only their end is watched."""
    rendered = chart.render(
        {
            "metrics": {"prometheusRule": {"enabled": True}},
            "certificates": {
                "mode": "certManager",
                "certManager": {"issuerName": "a"},
            },
        }
    )
    (group,) = rendered.one("PrometheusRule", RELEASE)["spec"]["groups"]
    left_out = CASES.keys() - {rule["alert"] for rule in group["rules"]}

    assert left_out == {
        "TrackingInjectorRotationStuck",
        "TrackingInjectorRotationOverdue",
        "TrackingInjectorCertificatesHindered",
    }


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


def scenario(
    alert: str, series: Texts, values: Texts, *, fires: bool
) -> dict[str, Any]:
    """A test of promtool: the series, and how many alerts of that name fire."""
    several = (series, values) if isinstance(series, tuple) else ((series,), (values,))
    given = zip(*several, strict=True)
    expression = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    samples = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "name": f"{alert} at {series} {values}",
        "interval": "1m",
        "input_series": [{"series": one, "values": text} for one, text in given],
        "promql_expr_test": [
            {"expr": expression, "eval_time": f"{HOURS}h", "exp_samples": samples}
        ],
    }
