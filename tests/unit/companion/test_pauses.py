"""A pause is never longer than it was begun, by whichever clock."""

from datetime import UTC, datetime, timedelta

from webhook.companion.pauses import Pauses

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PACE = timedelta(seconds=5)


def test_a_key_waits_for_its_own_pause() -> None:
    """And nobody else's."""
    pauses = Pauses()
    pauses.begin("one", NOW, PACE)

    assert pauses.left("one", NOW + PACE / 2) == PACE / 2
    assert not pauses.left("one", NOW + PACE)
    assert not pauses.left("other", NOW)
    assert "one" in pauses
    pauses.forget("one")
    assert "one" not in pauses


def test_a_clock_that_was_set_back_begins_it_anew() -> None:
    """Once, and not again at each look."""
    pauses = Pauses()
    pauses.begin("one", NOW + timedelta(days=1), PACE)

    assert pauses.left("one", NOW) == PACE
    assert pauses.left("one", NOW + PACE / 2) == PACE / 2
    assert not pauses.left("one", NOW + PACE)
