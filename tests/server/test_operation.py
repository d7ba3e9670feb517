"""What operators see: the log, metrics, readiness, and what the process lacks."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.bodies import CANARY, MALFORMED, RAY_HEAD, review
from tests.server.pairs import PemPair
from tests.server.process import JSON_TYPE, Client, Server, serving
from webhook.injection.reasons import InjectionReason, Rejection
from webhook.injection.stamp import InjectedBy
from webhook.injection.workload import Workload
from webhook.samples import reviews
from webhook.server.app import create_app, handler_of
from webhook.server.certwatcher import CertWatcher, Problem
from webhook.server.handler import build
from webhook.server.metrics import Handshake, Phase
from webhook.settings import Settings

DECISION_FIELDS = {
    "time",
    "level",
    "event",
    "uid",
    "namespace",
    "pod",
    "owner",
    "workload",
    "decision",
    "reason",
    "by",
    "containers",
    "dry_run",
    "seconds",
}


def test_a_decision_is_one_line_of_fixed_fields(server: Server) -> None:
    """Names and outcomes, never a spec."""
    with server.client() as client:
        client.mutate(review(uid="one-of-a-kind"))

    (line,) = server.events("decision", uid="one-of-a-kind")
    assert DECISION_FIELDS == set(line)
    assert ("patched", "Injected", "ray-head", ["head"], False) == (
        line["decision"],
        line["reason"],
        line["workload"],
        line["containers"],
        line["dry_run"],
    )
    assert line["owner"].startswith("RayCluster/")


def test_no_body_reaches_the_log(server: Server) -> None:
    """Not of a refused one, and of a review only names."""
    content = json.loads(RAY_HEAD)
    spec = content["request"]["object"]["spec"]["containers"][0]
    spec["env"] = [{"name": "PASSWORD", "value": CANARY}]
    content["request"]["userInfo"] = {"username": CANARY, "extra": {"x": [CANARY]}}
    with server.client() as client:
        client.mutate(json.dumps(content))
        client.ask("GET", f"/{CANARY}", headers={"X-Header": CANARY})
        client.ask("POST", f"/mutate?x={CANARY}", b"{}", JSON_TYPE)
    for body, _, _ in MALFORMED.values():
        with server.client() as client:
            client.mutate(body)
    with server.client() as client:
        client.raw(b"GET / HTTP/1.1\r\nHost: x\r\nA\x00: %s\r\n\r\n" % CANARY.encode())

    with server.client() as client:
        client.mutate(review(uid="after-the-canary"))
    assert server.events("decision", uid="after-the-canary")
    assert server.events("rejected")
    assert CANARY.encode() not in b"".join(server.lines)


def test_metrics_count_what_happened(server: Server) -> None:
    """Decisions by workload, reason and who injected; refusals by reason; time."""
    ours = (
        'tracking_injector_decisions_total{by="webhook",reason="Injected"'
        ',workload="ray-head"}'
    )
    refusals = 'tracking_injector_rejected_bodies_total{reason="NotJson"}'
    before, injected = server.metric(refusals), server.metric(ours)
    count = server.metric("tracking_injector_request_duration_seconds_count")

    with server.client() as client:
        client.mutate(RAY_HEAD)
        client.mutate(b"no json")

    assert injected + 1 == server.metric(ours)
    assert before + 1 == server.metric(refusals)
    assert count + 1 == server.metric(
        "tracking_injector_request_duration_seconds_count"
    )
    assert (
        server.metric("tracking_injector_certificate_not_after_timestamp_seconds") > 1e9
    )
    assert server.metric("tracking_injector_certificate_info") == 1
    assert server.metric("tracking_injector_handshakes_total") > 0


def test_every_label_has_a_closed_vocabulary(server: Server) -> None:
    """Whatever clients send."""
    odd = "odd"
    with server.client() as client:
        client.mutate(review(namespace=odd, operation=odd, kind={"kind": odd}))
        client.mutate(review(object={"metadata": {"labels": {odd: odd}}}))
        client.ask(odd, f"/{odd}?{odd}", odd, {odd: odd})
    for body, _, _ in MALFORMED.values():
        with server.client() as client:
            client.mutate(body)
    with Client(server.port, None) as plain:
        plain.raw(f"GET /{odd} HTTP/1.1\r\n\r\n".encode())
    closed: dict[str, set[str]] = {
        "reason": {*InjectionReason, *Rejection},
        "workload": {*Workload, "none"},
        "by": {*InjectedBy, "none"},
        "result": {*Handshake},
        "phase": {*Phase},
        "problem": {*Problem},
    }

    text = server.probe("/metrics").body.decode()

    seen = [
        (name, value)
        for family in text_string_to_metric_families(text)
        if family.name.startswith("tracking_injector_")
        for sample in family.samples
        for name, value in sample.labels.items()
        if name not in {"le", "digest"}
    ]
    assert {name for name, _ in seen} == set(closed) - {"problem"}  # there was none
    assert [] == [one for one in seen if one[1] not in closed[one[0]]]


def test_a_log_that_nobody_reads_delays_no_answer(folder: Path, pair: PemPair) -> None:
    """Its pipe is full after some 200 lines; the server answers, and stops."""
    with serving(folder, pair) as server:
        server.pause_reading.set()
        with server.client() as client:
            answers = [client.mutate(RAY_HEAD).status for _ in range(1000)]

        assert {200} == set(answers)
        assert server.stop() == 0


def test_the_process_imports_no_kubernetes_client(folder: Path, pair: PemPair) -> None:
    """Nor the library that makes certificates: the interpreter lists every import."""
    with serving(folder, pair, python=("-X", "importtime")) as server:
        with server.client() as client:
            assert client.mutate(RAY_HEAD).status == 200
        server.stop()
        imported = {
            line.rpartition(b"|")[2].strip().split(b".")[0]
            for line in server.lines
            if line.startswith(b"import time:")
        }

    assert {b"flask", b"gunicorn", b"orjson"} <= imported
    assert set() == imported & {b"kubernetes", b"cryptography", b"yaml", b"rich"}


def test_health_is_about_the_process_alone(folder: Path, pair: PemPair) -> None:
    """Without a certificate it lives, is not ready, and gets ready when one comes."""
    (folder / "tls.key").unlink()

    with serving(folder, pair, ready=False) as server:
        healthy, ready = server.probe("/healthz"), server.probe("/readyz")

        assert (200, 503) == (healthy.status, ready.status)
        assert ["no certificate"] == ready.json()["failures"]


def test_readiness_ends_with_the_certificate(folder: Path, pair: PemPair) -> None:
    """An expired one would fail every new connection."""
    watch = CertWatcher(folder)
    app = create_app(
        Settings(), build(Settings(), write=lambda _: None, certificates=watch)
    )
    handler = handler_of(app)
    handler.reload_certificate()
    assert watch.current is not None
    assert app.test_client().get("/readyz").status_code == 200

    handler.clock = lambda: watch.current.not_after  # type: ignore[union-attr] # is set

    answer = app.test_client().get("/readyz")
    assert 503 == answer.status_code
    assert ["certificate not valid now"] == json.loads(answer.data)["failures"]


def test_a_build_that_fails_its_self_check_never_gets_ready() -> None:
    """It says which captured review went wrong."""
    wrong = {"ray-head": reviews()["not-a-task-redis-deployment"]}
    lines: list[bytes] = []

    handler = build(Settings(), write=lines.append, reviews=wrong)

    (obstacle,) = handler.readiness_failures()
    assert obstacle.startswith("ray-head: NotATaskPod")
    assert b"self-check" in b"".join(lines)


@pytest.mark.parametrize("name", ["ray-head-michelangelo", "spark-driver-plain"])
def test_an_error_of_ours_admits_the_pod(name: str) -> None:
    """With a warning for its creator, a count, and a line without the pod."""
    lines: list[bytes] = []
    handler = build(Settings(), write=lines.append)
    handler.policy = cast("Any", None)
    app = create_app(Settings(), handler)

    answer = app.test_client().post(
        "/mutate", data=reviews()[name], content_type="application/json"
    )

    response = json.loads(answer.data)["response"]
    assert (200, True) == (answer.status_code, response["allowed"])
    (warning,) = response["warnings"]
    assert 0 < len(warning) <= 256
    text = handler.registry.get_sample_value("tracking_injector_internal_errors_total")
    assert text == 1
    (line,) = [one for one in map(json.loads, lines) if one["level"] == "error"]
    assert {"time", "level", "event", "error", "at"} == set(line)
    assert "AttributeError" == line["error"]
