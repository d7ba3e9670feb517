"""The page says what `status` says, and escapes whatever a cluster holds."""

import json
import time
from collections import Counter
from datetime import datetime, timedelta

from tests.fakes.installation import HOME, NAME, NOW, FakeInstallation
from tests.fakes.log import Lines
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import DEPLOYMENT
from webhook.companion.observation.model import Installation
from webhook.companion.observation.troubles import troubles
from webhook.companion.page.server import StatusPage
from webhook.companion.page.view import page

REPORT = {
    "schema": 2,
    "version": "0.1.0",
    "settings": {"egress": {"mode": "additive"}, "enforcedKeys": []},
    "audit": "complete",
    "reasons": {"mirror": {"Mirrored": 2}, "egress": {}, "pods": {"Injected": 3}},
    "watches": {"failing": [], "unreadable": 0, "objects": []},
    "engines": {},
    "certificates": {
        "reason": "CertificatesReady",
        "inOrder": True,
        "phase": "steady",
        "notAfter": "2026-03-01T00:00:00Z",
        "line": "steady, good until 2026-03-01",
    },
    "profiles": {
        "default": {
            "inOrder": True,
            "keys": ["TRACKING_URI"],
            "keysTotal": 1,
            "sourceChanged": "2026-01-01T00:00:00Z",
            "findings": [],
            "findingsTotal": 0,
        }
    },
    "namespaces": {
        name: {
            "inOrder": True,
            "inject": "enabled",
            "reason": "Mirrored",
            "profile": "default",
            "keys": 1,
            "changed": "2026-01-01T00:00:00Z",
            "pods": {"Injected": 3},
            "missed": 0,
        }
        for name in ("ray", "spark")
    },
    "total": 2,
}


def shown(seen: Installation) -> str:
    """The page of what was seen."""
    return page(seen, troubles(seen))


def healthy() -> FakeInstallation:
    """An installation with a report."""
    installation = FakeInstallation()
    installation.publish(json.loads(json.dumps(REPORT)))
    return installation


def test_all_is_in_order() -> None:
    """It says so first, and lists every namespace."""
    text = shown(healthy().observe())

    assert "Everything is in order" in text
    assert "2 of 2 ready" in text
    assert '<th scope="row">ray</th>' in text
    assert "<title>Tracking injector" in text


def test_trouble_comes_first() -> None:
    """Above the namespaces, and in the tab's title."""
    installation = healthy()
    installation.renewed(timedelta(hours=2))
    text = shown(installation.observe())

    assert text.index("CompanionAsleep") < text.index('id="parts"')
    assert "<title>(1) Tracking injector" in text


def test_a_troubled_namespace_is_the_first_row() -> None:
    """Whatever its name."""
    installation = healthy()
    report = json.loads(json.dumps(REPORT))
    report["namespaces"]["spark"] |= {"reason": "ForeignSecret", "inOrder": False}
    installation.publish(report)
    text = shown(installation.observe())

    assert text.index(">spark</th>") < text.index(">ray</th>")


def test_what_a_cluster_holds_is_text() -> None:
    """Nobody who may name an object puts an element into the page."""
    installation = healthy()
    evil = "<script>alert(1)</script>"
    installation.change(
        DEPLOYMENT,
        ObjectKey(HOME, NAME),
        lambda body: body["metadata"]["labels"].update(
            {"app.kubernetes.io/version": evil}
        ),
    )
    text = shown(installation.observe())

    assert evil not in text
    assert "&lt;script&gt;" in text


def test_nothing_is_fetched_from_elsewhere() -> None:
    """It works where there is no other network, and tells nobody who looks."""
    text = shown(healthy().observe())

    assert "http://" not in text
    assert "https://" not in text
    assert "default-src &#x27;none&#x27;" in text


def test_nothing_is_asked_before_somebody_looks() -> None:
    """And then once for each look, by a thread of its own."""
    installation = healthy()
    shown_page = StatusPage(
        installation.cluster.client(), installation.release, Lines(), clock=lambda: NOW
    )
    assert b"under way" in shown_page.answer().body
    asked = len(installation.cluster.calls)
    shown_page.look()

    assert asked == 0
    assert b"Everything is in order" in shown_page.answer().body


def test_whoever_asks_without_end_has_the_api_server_asked_once_a_while() -> None:
    """Anybody may ask, and one look is a dozen requests."""
    installation, looks = healthy(), Counter[str]()

    def clock() -> datetime:
        looks["looks"] += 1
        return NOW

    shown_page = StatusPage(
        installation.cluster.client(), installation.release, Lines(), clock=clock
    )
    shown_page.start()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        shown_page.answer()

    assert looks["looks"] == 1
