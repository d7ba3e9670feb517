"""The concern as the loop sees it: how long it waits, what it tells."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.companion.certificates.site import (
    HOME,
    NAME,
    OURS,
    PLACE,
    POLICY,
    START,
    Site,
)
from tests.unit.companion.world import Lines
from webhook.companion.certificates.keeper import CertificateKeeper, followers


class Kept:
    """A keeper over a site, and what it told."""

    def __init__(self) -> None:
        """Nothing is looked at yet."""
        self.site = Site()
        self.log = Lines()
        self.keeper = CertificateKeeper(self.site.certificates, POLICY, self.log)

    def step(self) -> float | None:
        """One step; replicas follow the Secret at once."""
        pause = self.keeper.step(self.site.now)
        outcome = self.keeper.outcome
        assert outcome is not None
        self.site.serving = outcome.state.current
        return pause

    def settle(self) -> None:
        """Until all is in order."""
        while not self.keeper.is_in_order():
            self.step()
            self.site.now += timedelta(minutes=20)


@pytest.fixture(name="kept")
def _kept() -> Kept:
    return Kept()


@pytest.fixture(name="settled")
def _settled(kept: Kept) -> Kept:
    kept.settle()
    return kept


# --- how long it waits ---


def test_what_is_in_order_is_looked_at_every_ten_minutes(settled: Kept) -> None:
    """By the wall clock, though the margin begins in two months."""
    assert 600 == settled.step()


def test_the_end_of_a_dwell_is_waited_for_to_the_second(settled: Kept) -> None:
    """Four minutes and twice the skew, and a little so that one more look is enough."""
    settled.site.request()

    assert 600 == settled.step()  # 840 s from now: not yet
    settled.site.now += timedelta(minutes=12)
    assert 120.5 == settled.step()


def test_who_is_hindered_looks_again_soon(settled: Kept) -> None:
    """Whatever is in the way does not announce its end."""
    settled.site.delete(PLACE.pair_secret)

    assert 5 == settled.step()


def test_a_replica_that_has_to_follow_is_asked_again_soon(settled: Kept) -> None:
    """A mount announces nothing either."""
    old = settled.site.serving
    settled.site.request()
    for _ in range(3):
        settled.step()
        settled.site.serving = old
        settled.site.now += timedelta(minutes=20)

    assert 5 == settled.step()


# --- what it tells ---


def test_each_change_is_one_line_and_one_count(kept: Kept) -> None:
    """With its cause and the phase it was made in."""
    kept.settle()

    causes = [
        fields["cause"]
        for event, fields in kept.log.lines
        if event == "certificates-changed"
    ]
    assert ["Bootstrap", "Untrusted", "TrustSeen"] == causes[:3]
    assert len(causes) == sum(kept.keeper.writes.values())


def test_a_lasting_trouble_is_told_once(settled: Kept) -> None:
    """And again when it comes back."""
    for _ in range(2):
        settled.site.delete(PLACE.pair_secret)
        settled.step()
        settled.step()
        settled.site.secret(
            PLACE.pair_secret,
            OURS,
        )
        settled.step()

    told = [
        fields["reason"]
        for event, fields in settled.log.lines
        if event == "certificates-hindered"
    ]
    assert ["PairMissing"] * 2 == told


def test_before_the_first_look_nothing_is_in_order(kept: Kept) -> None:
    """And it says why."""
    assert not kept.keeper.is_in_order()
    assert ("the certificates have not been looked at yet",) == kept.keeper.problems()
    assert {"line": "not looked at yet"} == kept.keeper.section()
    assert kept.keeper.rotating_since() is None


def test_what_is_in_order_is_one_line_in_the_status(settled: Kept) -> None:
    """Phase and date; no digest."""
    (section, problems) = settled.keeper.section(), settled.keeper.problems()

    assert {
        "phase": "steady",
        "notAfter": "2026-04-02T03:04:05Z",
        "line": "steady, good until 2026-04-02",
    } == section
    assert () == problems


def test_a_rotation_under_way_is_told_with_its_start(settled: Kept) -> None:
    """One that began long ago is stuck."""
    settled.site.now = START + timedelta(days=1)
    settled.site.request()
    settled.step()

    assert START + timedelta(days=1) == settled.keeper.rotating_since()
    assert ("the rotation is under way (staged)",) == settled.keeper.problems()
    assert "2026-01-03T03:04:05Z" == settled.keeper.section()["rotatingSince"]


def test_a_trouble_is_told_in_the_status(settled: Kept) -> None:
    """As a reason for programs and as a sentence for people."""
    settled.site.delete(PLACE.pair_secret)
    settled.step()

    section = settled.keeper.section()
    assert ["PairMissing"] == section["problems"]
    assert section["line"].endswith("helm upgrade brings it back, empty")


def test_watches_select_three_objects_by_name() -> None:
    """A right bound to those names is enough."""
    site = Site()
    found = followers(site.cluster.client(), PLACE, lambda: None, 40)

    assert [
        f"mutatingwebhookconfigurations {NAME}",
        f"secrets {HOME}/{PLACE.pair_secret}",
        f"secrets {HOME}/{PLACE.state_secret}",
    ] == [str(one.options) for one in found]


def test_a_follower_wakes_and_keeps_no_content() -> None:
    """It keeps versions: a key has no business in memory for longer than a step."""
    site = Site()
    woken: list[bool] = []
    found = followers(site.cluster.client(), PLACE, lambda: woken.append(True), 40)

    for one in found:
        one.refresh()

    assert woken
    kept = [projection for one in found for projection in one.items().values()]
    assert all(one.isdecimal() for one in kept)


def test_without_any_certificate_the_status_has_no_date(kept: Kept) -> None:
    """A first installation that cannot begin."""
    kept.site.delete(PLACE.state_secret)
    kept.step()

    section = kept.keeper.section()
    assert section["line"].startswith("bootstrap; Secret ")
    assert "notAfter" not in section
