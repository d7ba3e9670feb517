"""Reconciles of the certificates on a cluster in memory."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from certs.codec import encode_pair
from certs.state import RotationPhase
from tests.unit.companion.certificates.site import (
    HOME,
    NAME,
    OURS,
    PLACE,
    Site,
    generation,
)
from webhook.cluster.errors import Conflict, Forbidden
from webhook.cluster.resources import ENDPOINT_SLICE, SECRET, WEBHOOK_CONFIGURATION
from webhook.companion.certificates.reasons import RotationReason

if TYPE_CHECKING:
    from collections.abc import Callable

STATE, PAIR = PLACE.state_secret, PLACE.pair_secret


@pytest.fixture(name="site")
def _site() -> Site:
    return Site()


@pytest.fixture(name="settled")
def _settled(site: Site) -> Site:
    """After its first installation."""
    site.settle()
    return site


# --- the way of a rotation ---


def test_a_first_installation_takes_one_step(site: Site) -> None:
    """Nothing is served yet, so there is nothing to wait for."""
    site.cluster.client("user").delete(ENDPOINT_SLICE, "injector-1", HOME)

    outcome = site.step()

    assert [
        *("Bootstrap", "Untrusted", "TrustSeen", "Emergency", "PairDrift"),
    ] == [cause.value for cause in outcome.done]
    assert outcome.state.current is not None
    assert encode_pair(outcome.state.current) == site.data(PAIR)
    assert [outcome.state.current.root.pem] * 2 == site.bundles()


def test_a_rotation_takes_its_steps_in_order(settled: Site) -> None:
    """Known, waited for, served, waited for, and only then is the old root dropped."""
    old = settled.step().state.current
    settled.request()
    seen: list[str] = []
    for _ in range(5):
        outcome = settled.step()
        seen += [cause.value for cause in outcome.done]
        settled.serving = outcome.state.current
        settled.now += timedelta(minutes=20)

    assert [
        *("Requested", "Untrusted", "TrustSeen", "Switch", "PairDrift"),
        *("SwitchSeen", "Retired", "Pruned"),
    ] == seen
    assert settled.step().in_order
    assert old is not None
    assert settled.bundles()[0] != old.root.pem


def test_a_replica_that_serves_the_old_one_holds_the_old_root(settled: Site) -> None:
    """However long it takes."""
    old = settled.serving
    assert old is not None
    settled.request()
    for _ in range(8):
        settled.step()
        settled.serving = old
        settled.now += timedelta(hours=1)

    assert RotationPhase.SIGNED is settled.step().phase
    assert all(old.root.pem in pem for pem in settled.bundles())


def test_what_is_in_order_is_not_written(settled: Site) -> None:
    """Not by the same companion, and not by a new one."""
    before = settled.writes()

    assert settled.step().in_order
    settled.restart()
    assert settled.step().in_order
    assert before == settled.writes()


def test_an_unknown_list_of_replicas_attests_nothing(settled: Site) -> None:
    """A missing right is no proof that nobody serves the old certificate."""
    settled.cluster.forbid(lambda call: call.kind == ENDPOINT_SLICE)
    settled.request()
    for _ in range(6):
        settled.serving = settled.step().state.current
        settled.now += timedelta(minutes=20)

    outcome = settled.step()

    assert RotationPhase.SIGNED is outcome.phase
    assert RotationReason.FORBIDDEN is outcome.reason
    assert "endpointslices" in outcome.detail


def test_a_lost_race_is_no_condition(settled: Site) -> None:
    """The next look sees the winner's work."""
    settled.trust("", "")
    other = Site.restart

    def meanwhile() -> None:
        mine = settled.controller
        other(settled)
        settled.step()
        settled.controller = mine

    settled.cluster.meanwhile("apply", meanwhile)
    outcome = settled.step()

    assert ((), ()) == (outcome.conditions, outcome.done)
    assert all(settled.bundles())


def test_races_that_do_not_end_do_not_hold_the_worker(settled: Site) -> None:
    """It comes again soon; meanwhile the worker is free."""
    settled.trust("", "")
    raced = 0

    def apply(*_: object, **__: object) -> None:
        nonlocal raced
        raced += 1
        raise Conflict("somebody wrote in between")

    settled.client.apply = apply  # type: ignore[assignment,method-assign] # of a fake
    outcome = settled.step()

    assert (8, 5, None) == (raced, outcome.requeue_after, outcome.error)


# --- what is in the way ---


CONDITIONS: dict[str, tuple[Callable[[Site], object], RotationReason, str]] = {
    "state-gone": (
        lambda site: site.delete(STATE),
        RotationReason.STATE_MISSING,
        f"Secret {HOME}/{STATE} is gone; the companion may not create Secrets: helm "
        "upgrade brings it back, empty",
    ),
    "pair-gone": (
        lambda site: site.delete(PAIR),
        RotationReason.PAIR_MISSING,
        f"Secret {HOME}/{PAIR} is gone; the companion may not create Secrets: helm "
        "upgrade brings it back, empty",
    ),
    "state-foreign": (
        lambda site: _disown(site, STATE),
        RotationReason.STATE_FOREIGN,
        f"Secret {HOME}/{STATE} lacks the label tracking.michelangelo-ai.org/content="
        "tracking-injector and is left alone",
    ),
    "pair-foreign": (
        lambda site: _disown(site, PAIR),
        RotationReason.PAIR_FOREIGN,
        f"Secret {HOME}/{PAIR} lacks the label tracking.michelangelo-ai.org/content="
        "tracking-injector and is left alone",
    ),
    "newer": (
        lambda site: site.put(
            STATE, {"state.json": base64.b64encode(b'{"format": 2}').decode()}
        ),
        RotationReason.STATE_NEWER,
        "the state is of format 2, this version knows 1",
    ),
    "configuration-gone": (
        lambda site: site.user.delete(WEBHOOK_CONFIGURATION, NAME),
        RotationReason.CONFIGURATION_MISSING,
        "there is no MutatingWebhookConfiguration injector",
    ),
    "configuration-forbidden": (
        lambda site: site.cluster.forbid(
            lambda call: call.kind == WEBHOOK_CONFIGURATION
        ),
        RotationReason.FORBIDDEN,
        "get mutatingwebhookconfigurations injector: a right is missing",
    ),
    "pair-forbidden": (
        lambda site: site.cluster.forbid(
            lambda call: call.verb == "get" and call.key.name == PAIR
        ),
        RotationReason.FORBIDDEN,
        f"get secrets {HOME}/{PAIR}: a right is missing",
    ),
}


def _disown(site: Site, name: str) -> None:
    site.delete(name)
    site.secret(name, {})


@pytest.mark.parametrize("case", CONDITIONS)
def test_what_is_in_the_way_is_one_sentence(settled: Site, case: str) -> None:
    """And nothing is written because of it."""
    breaks, reason, detail = CONDITIONS[case]
    breaks(settled)
    before = settled.writes()

    outcome = settled.step()

    assert [(reason, detail)] == [
        (one.reason, one.detail) for one in outcome.conditions
    ]
    assert not outcome.in_order
    assert before == settled.writes()


def test_a_state_that_cannot_be_read_decides_nothing(settled: Site) -> None:
    """It is retried with backoff; what was known of the state stays known."""
    before = settled.step().state
    settled.cluster.forbid(lambda call: call.verb == "get" and call.key.name == STATE)

    outcome = settled.step()

    assert RotationReason.FORBIDDEN is outcome.reason
    assert isinstance(outcome.error, Forbidden)
    assert before == outcome.state


def test_a_refused_write_is_told_and_keeps_back_no_other(settled: Site) -> None:
    """The bundle is repaired though the pair may not be written."""
    settled.cluster.forbid(lambda call: call.verb == "apply" and call.key.name == PAIR)
    settled.trust("", "")
    settled.user.delete(SECRET, PAIR, HOME)
    settled.secret(PAIR, OURS)

    outcome = settled.step()

    assert [RotationReason.FORBIDDEN] == [one.reason for one in outcome.conditions]
    assert all(settled.bundles())


def test_a_foreign_pair_is_not_adopted(site: Site) -> None:
    """Somebody's certificate without our label is no state of ours."""
    site.delete(PAIR)
    site.secret(PAIR, {})
    site.put(PAIR, encode_pair(generation()))
    before = site.data(PAIR)

    site.step()

    assert before == site.data(PAIR)


# --- clocks ---


@pytest.mark.parametrize(
    "ahead", [timedelta(days=365), timedelta(hours=-1), timedelta(minutes=11)]
)
def test_a_wrong_clock_moves_nothing(settled: Site, ahead: timedelta) -> None:
    """Though by a clock a year ahead everything has expired."""
    settled.ahead = ahead
    before = settled.writes()

    outcome = settled.step()

    assert [RotationReason.CLOCK_DIFFERS] == [one.reason for one in outcome.conditions]
    assert (before, RotationPhase.STEADY) == (settled.writes(), outcome.phase)


def test_a_wrong_clock_is_told_with_both_times(settled: Site) -> None:
    """So that whoever reads it knows which machine to look at."""
    settled.ahead = timedelta(days=365)

    (condition,) = settled.step().conditions

    assert (
        "this machine's clock says 2027-01-02 03:24:05, the API server's "
        "2026-01-02 03:24:05 (UTC); until they agree, nothing is issued, switched or "
        "dropped"
    ) == condition.detail


def test_under_a_wrong_clock_an_emptied_bundle_still_comes_back(settled: Site) -> None:
    """With what it held before; so does an emptied pair."""
    before = settled.bundles(), settled.data(PAIR)
    settled.trust("", "")
    settled.user.delete(SECRET, PAIR, HOME)
    settled.secret(PAIR, OURS)
    settled.ahead = timedelta(days=365)

    settled.step()

    assert before == (settled.bundles(), settled.data(PAIR))


def test_a_clock_that_is_right_again_goes_on(settled: Site) -> None:
    """Nothing has to be repaired by hand."""
    settled.ahead = timedelta(days=365)
    settled.step()
    settled.ahead = timedelta(minutes=10)

    assert settled.step().in_order


def test_a_server_that_tells_no_time_is_no_reason_to_stand_still(site: Site) -> None:
    """A proxy may take the header away; then the own clock is all there is."""
    site.client.server_time = lambda: None  # type: ignore[assignment,method-assign,return-value] # of a fake

    assert site.settle().in_order


def test_what_was_written_before_a_look_fails_is_told(settled: Site) -> None:
    """The metric and the log must not lose a write."""
    reads = iter(range(100))
    settled.trust("", "")
    settled.cluster.forbid(
        lambda call: call.key.name == STATE and call.verb == "get" and next(reads) > 0
    )

    outcome = settled.step()

    assert (("Untrusted",), [RotationReason.FORBIDDEN]) == (
        tuple(cause.value for cause in outcome.done),
        [one.reason for one in outcome.conditions],
    )


def test_what_was_read_before_a_look_fails_is_known(settled: Site) -> None:
    """Also by a companion that has just started: the dates do not vanish."""
    known = settled.step().state
    reads = iter(range(100))
    settled.trust("", "")
    settled.restart()
    settled.cluster.forbid(
        lambda call: call.key.name == STATE and call.verb == "get" and next(reads) > 0
    )

    outcome = settled.step()

    assert RotationReason.FORBIDDEN is outcome.reason
    assert known == outcome.state
