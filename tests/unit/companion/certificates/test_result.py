"""What a reconcile results in: when it comes again, and what it reports."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.companion.certificates.site import (
    HOME,
    NAME,
    OURS,
    PLACE,
    START,
    Site,
)
from webhook.cluster.errors import (
    Forbidden,
    Invalid,
    Terminating,
    Throttled,
    Unavailable,
)
from webhook.cluster.events import EventType, ObjectReference
from webhook.cluster.resources import ENDPOINT_SLICE, SECRET, SERVICE
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.certificates.controller import KEY, certificate_informers
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.certificates.result import condition_of

if TYPE_CHECKING:
    from certs.state import ReplicaCertificate
    from webhook.companion.certificates.result import CertificateResult


def step(site: Site) -> CertificateResult:
    """Reconcile once; replicas follow the Secret at once."""
    result = site.step()
    site.serving = result.state.current
    return result


@pytest.fixture(name="site")
def _site() -> Site:
    return Site()


@pytest.fixture(name="settled")
def _settled(site: Site) -> Site:
    site.settle()
    return site


# --- when it comes again ---


def test_what_is_in_order_is_looked_at_every_ten_minutes(settled: Site) -> None:
    """By the wall clock, though the margin begins in two months."""
    assert 600 == step(settled).requeue_after


def test_the_end_of_a_dwell_is_waited_for_to_the_second(settled: Site) -> None:
    """Four minutes and twice the skew, and a little so that one more look is enough."""
    settled.request()

    assert 600 == step(settled).requeue_after  # 840 s from now: not yet
    settled.now += timedelta(minutes=12)
    assert 120.5 == step(settled).requeue_after


def test_what_is_in_the_way_is_looked_at_again_soon(settled: Site) -> None:
    """It does not announce its end."""
    settled.delete(PLACE.pair_secret)

    assert 5 == step(settled).requeue_after


def test_a_replica_that_has_to_follow_is_asked_again_soon(settled: Site) -> None:
    """A mount announces nothing either."""
    old = settled.serving
    settled.request()
    for _ in range(3):
        step(settled)
        settled.serving = old
        settled.now += timedelta(minutes=20)

    assert 5 == step(settled).requeue_after


def test_a_refused_request_is_retried_with_backoff(settled: Site) -> None:
    """Its error belongs to the key, which the queue brings back."""
    settled.cluster.forbid(lambda call: call.key.name == PLACE.pair_secret)

    assert isinstance(step(settled).error, Forbidden)
    assert settled.controller.queue.get(1) == KEY


# --- what it reports ---


def test_each_change_is_one_line_and_one_count(site: Site) -> None:
    """With its cause and the phase it was made in."""
    result = site.settle()

    causes = [
        fields["cause"]
        for event, fields in site.log.lines
        if event == "certificates-changed"
    ]
    assert ["Bootstrap", "Untrusted", "TrustSeen"] == causes[:3]
    assert Counter(causes) == result.writes


def test_a_lasting_condition_is_logged_once(settled: Site) -> None:
    """And again when it comes back."""
    for _ in range(2):
        settled.delete(PLACE.pair_secret)
        step(settled)
        step(settled)
        settled.secret(PLACE.pair_secret, OURS)
        step(settled)

    logged = [
        fields["reason"]
        for event, fields in settled.log.lines
        if event == "certificates-hindered"
    ]
    assert ["PairMissing"] * 2 == logged


def test_a_wrong_clock_is_logged_once_and_is_one_event(settled: Site) -> None:
    """Though the sentence with both times is another one each second."""
    settled.ahead = timedelta(days=365)
    messages = set()
    for _ in range(3):
        settled.now += timedelta(seconds=5)
        (notice,) = step(settled).notices
        messages.add((notice.about.name, notice.reason, notice.message))

    ((name, reason, message),) = messages
    assert (NAME, "ClockDiffers") == (name, reason)
    assert "differ by more than twice the skew" in message
    assert 1 == settled.log.events().count("certificates-hindered")


def test_what_is_in_the_way_is_an_event_about_its_object(settled: Site) -> None:
    """The foreign Secret with its UID, so that `kubectl describe` shows it."""
    settled.delete(PLACE.pair_secret)
    settled.secret(PLACE.pair_secret, {})
    stored = settled.user.get(SECRET, PLACE.pair_secret, HOME)

    (notice,) = step(settled).notices

    assert ("PairForeign", EventType.WARNING) == (notice.reason, notice.type)
    assert (
        ObjectReference(
            api_version="v1",
            kind="Secret",
            namespace=HOME,
            name=PLACE.pair_secret,
            uid=stored["metadata"]["uid"],
        )
        == notice.about
    )


@pytest.mark.parametrize(
    ("name", "about"),
    [
        (NAME, ("MutatingWebhookConfiguration", NAME)),
        (PLACE.pair_secret, ("Secret", PLACE.pair_secret)),
        (PLACE.state_secret, ("Secret", PLACE.state_secret)),
    ],
)
def test_a_refused_write_is_an_event_about_what_was_to_be_written(
    site: Site, name: str, about: tuple[str, str]
) -> None:
    """One of three objects, in a first installation."""
    site.user.delete(ENDPOINT_SLICE, "injector-1", HOME)
    site.cluster.forbid(lambda call: call.verb == "apply" and call.key.name == name)

    (notice,) = step(site).notices

    assert "Forbidden" == notice.reason
    assert about == (notice.about.kind, notice.about.name)


def test_a_rotation_under_way_is_reported_with_its_start(settled: Site) -> None:
    """One that began long ago is stuck. Its Event is no warning."""
    settled.now = START + timedelta(days=1)
    settled.request()

    result = step(settled)

    assert START + timedelta(days=1) == result.rotating_since
    assert RotationReason.ROTATION_UNDER_WAY is result.reason
    assert "2026-01-03T03:04:05Z" == result.section()["rotatingSince"]
    (notice,) = result.notices
    assert (EventType.NORMAL, PLACE.state_secret) == (notice.type, notice.about.name)


def test_what_is_in_order_is_one_line_in_the_status(settled: Site) -> None:
    """Phase and date; no digest."""
    result = step(settled)

    assert {
        "phase": "steady",
        "notAfter": "2026-04-02T03:04:05Z",
        "line": "steady, good until 2026-04-02",
    } == result.section()
    assert result.in_order
    assert () == result.notices


def test_what_is_in_the_way_is_in_the_status(settled: Site) -> None:
    """As a reason for programs and as a sentence for people."""
    settled.delete(PLACE.pair_secret)

    section = step(settled).section()

    assert ["PairMissing"] == section["problems"]
    assert section["line"].endswith("helm upgrade brings it back, empty")


def test_without_any_certificate_the_status_has_no_date(site: Site) -> None:
    """A first installation that cannot begin."""
    site.delete(PLACE.state_secret)

    section = step(site).section()

    assert section["line"].startswith("bootstrap; Secret ")
    assert "notAfter" not in section


def test_an_error_of_our_own_keeps_its_text_to_itself(settled: Site) -> None:
    """Its text may quote a value."""

    def probe(*_: object) -> tuple[ReplicaCertificate, ...]:
        raise ValueError("canary")

    settled.request()
    settled.probe = probe
    settled.restart()
    settled.step()
    settled.now += timedelta(minutes=20)
    settled.step()
    settled.now += timedelta(minutes=20)
    settled.step()
    settled.now += timedelta(minutes=20)

    result = settled.step()

    assert (RotationReason.INTERNAL_ERROR, "ValueError") == (
        result.reason,
        result.detail,
    )
    assert result.rotating_since is not None
    assert "canary" not in str(settled.log.lines)


def test_a_replica_that_no_longer_leads_writes_nothing_more(settled: Site) -> None:
    """It may lose the Lease while it observes."""
    settled.trust("", "")
    before = settled.writes()

    def lost() -> None:
        settled.leads = False

    settled.cluster.meanwhile("get", lost)
    result = settled.step()

    assert (before, ()) == (settled.writes(), result.done)
    assert not result.in_order


# --- what triggers it ---


def test_informers_select_three_objects_by_name() -> None:
    """A right bound to those names is enough."""
    found = certificate_informers(
        Site().cluster.client(), PLACE, WorkQueue("certificates")
    )

    assert [
        f"mutatingwebhookconfigurations {NAME}",
        f"secrets {HOME}/{PLACE.pair_secret}",
        f"secrets {HOME}/{PLACE.state_secret}",
    ] == [str(one.options) for one in found]


def test_a_change_queues_the_key_and_no_content_is_kept() -> None:
    """They keep versions: a private key must not stay in memory."""
    site, queue = Site(), WorkQueue("certificates")
    found = certificate_informers(site.cluster.client(), PLACE, queue)
    assert KEY == queue.get(0)  # at the start
    queue.done(KEY)
    assert queue.get(0) is None

    for one in found:
        one.refresh()

    assert KEY == queue.get(0)
    kept = [projection for one in found for projection in one.items().values()]
    assert 3 == len(kept)
    assert all(one.isdecimal() for one in kept)


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (Forbidden("a right is missing"), "Forbidden", "a right is missing"),
        (Terminating("it ends"), "Forbidden", "it ends"),
        (Invalid("not so"), "Refused", "not so"),
        (Unavailable("nobody answers"), "Unavailable", "nobody answers"),
        (Throttled("429", retry_after=1), "Unavailable", "429"),
        (KeyError("canary"), "InternalError", "KeyError"),
    ],
)
def test_an_error_has_its_reason(error: Exception, reason: str, detail: str) -> None:
    """Only the API server's own text is repeated."""
    found = condition_of(error, PLACE.about(SERVICE, PLACE.service))

    assert (reason, detail, error) == (found.reason, found.detail, found.error)


def test_every_reason_has_its_sentence() -> None:
    """The reference prints them all."""
    assert all(reason.sentence.endswith(".") for reason in RotationReason)
