"""Which servers stay permitted after keys named others."""

from datetime import UTC, datetime, timedelta

from webhook.companion.egress.destinations import DestinationTracker
from webhook.egress.destinations import Destination
from webhook.mirror.merge import MergedKeys
from webhook.secret_bytes import SecretBytes

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GRACE = timedelta(hours=6)
HOUR = timedelta(hours=1)


def keys(host: str) -> MergedKeys:
    """Return keys that name a server."""
    uri = SecretBytes(f"https://{host}".encode())
    return MergedKeys(data={"TRACKING_URI": uri}, digest=host)


def hosts(tracker: DestinationTracker, host: str, now: datetime) -> list[str]:
    """Return the servers permitted once the keys name this one."""
    derived, former = tracker.destinations("default", keys(host), now)
    return [one.host for one in (*derived.destinations, *former)]


def test_a_former_server_stays_for_the_grace_period() -> None:
    """Measured from when the keys last named it."""
    tracker = DestinationTracker((), GRACE)
    hosts(tracker, "a.example", NOW)
    both = hosts(tracker, "b.example", NOW + HOUR)
    expires = tracker.expires_in("default", NOW + HOUR)

    assert both == ["b.example", "a.example"]
    assert expires == GRACE.total_seconds()
    assert hosts(tracker, "b.example", NOW + HOUR + GRACE) == ["b.example"]
    assert tracker.expires_in("default", NOW + HOUR + GRACE) is None


def test_a_server_that_is_named_again_is_former_no_more() -> None:
    """Its next grace period begins when it is left again."""
    tracker = DestinationTracker((), GRACE)
    named = ("a.example", "b.example", "a.example", "b.example")
    found = [hosts(tracker, host, NOW + n * HOUR) for n, host in enumerate(named)]

    assert found[2] == ["a.example", "b.example"]
    assert hosts(tracker, "b.example", NOW + 8 * HOUR) == ["b.example", "a.example"]
    assert hosts(tracker, "b.example", NOW + 9 * HOUR) == ["b.example"]


def test_equal_keys_are_derived_once() -> None:
    """A thousand namespaces share a profile."""
    tracker = DestinationTracker((), GRACE)
    first, _ = tracker.destinations("default", keys("a.example"), NOW)

    assert tracker.destinations("default", keys("a.example"), NOW + HOUR)[0] is first


def test_profiles_and_settings_keep_their_own() -> None:
    """A host of the settings is no former one, whatever the keys say."""
    tracker = DestinationTracker((Destination("c.example", 443, "S"),), GRACE)
    hosts(tracker, "a.example", NOW)
    other, former = tracker.destinations("other", keys("b.example"), NOW)

    assert [one.host for one in other.destinations] == ["b.example", "c.example"]
    assert former == ()
    assert tracker.expires_in("other", NOW) is None
