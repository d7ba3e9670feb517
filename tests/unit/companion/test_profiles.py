"""What a profile gives, who is told when that changes, and what stays when it fails."""

from datetime import timedelta

import pytest

from tests.unit.companion.companion_world import CANARY, RELEASE, START, World
from webhook.cluster.errors import Unavailable
from webhook.cluster.resources import CONFIG_MAP, SECRET
from webhook.companion import profiles
from webhook.mirror.decide import ProfileContent
from webhook.mirror.profile import SourceRef
from webhook.mirror.reasons import KeyReason, MirrorReason

PROFILES = """{
  "default": [{"configMap": "uri"}, {"secret": "keys"}],
  "uri": [{"configMap": "uri"}],
  "none": []
}"""


@pytest.fixture(name="world")
def _world() -> World:
    """Three profiles, of which two share a source."""
    return World(PROFILES)


def content(world: World, name: str) -> ProfileContent:
    """What a profile gives, which is there."""
    found = world.profiles.content(name)
    assert found is not None
    return found


def keys(world: World, name: str) -> dict[str, str]:
    """What a profile gives, in plain text."""
    merged = content(world, name).content
    assert merged is not None
    return {key: value.reveal().decode() for key, value in merged.data.items()}


def test_it_knows_the_releases_profiles_and_no_other(world: World) -> None:
    """A namespace may name any."""
    world.refresh()

    assert sorted(world.profiles.names()) == ["default", "none", "uri"]
    assert world.profiles.content("mistyped") is None
    assert keys(world, "uri") == {"TRACKING_URI": "https://mlflow.example.org"}
    assert keys(world, "none") == {}


def test_before_its_sources_were_listed_nothing_is_said(world: World) -> None:
    """Neither that they are missing nor that all is well."""
    assert content(world, "default") == ProfileContent()

    world.caches.sources[refs(world)[0]].refresh()
    assert content(world, "default") == ProfileContent()
    assert keys(world, "uri") == {"TRACKING_URI": "https://mlflow.example.org"}


def refs(world: World) -> list[SourceRef]:
    """The sources, ConfigMap first."""
    return sorted(world.caches.sources, key=str)


def test_who_subscribed_is_told_of_those_that_changed(world: World) -> None:
    """Once each, and not when a source was written without a difference."""
    world.refresh()
    for name in world.profiles.names():
        content(world, name)
    told: list[str] = []
    world.profiles.subscribe(told.append)

    world.secret("keys", TRACKING_API_KEY="rotated")
    world.refresh()
    assert told == ["default"]

    world.config_map("uri", TRACKING_URI="http://elsewhere")
    world.refresh()
    assert sorted(told) == ["default", "default", "uri"]
    assert keys(world, "default")["TRACKING_URI"] == "http://elsewhere"

    meta = {"name": "uri", "namespace": RELEASE, "labels": {"argocd": "app"}}
    world.user.patch(CONFIG_MAP, {"metadata": meta})
    world.refresh()
    world.refresh()
    assert len(told) == 3


def test_a_source_that_goes_leaves_the_last_good_and_since_when(world: World) -> None:
    """It is not merged to less; the time is when it was first missed."""
    world.refresh()
    assert keys(world, "default")["TRACKING_API_KEY"] == CANARY
    world.now += timedelta(minutes=1)
    world.user.delete(SECRET, "keys", RELEASE)
    world.refresh()
    lost = content(world, "default")
    world.now += timedelta(minutes=1)
    world.config_map("uri", TRACKING_URI="http://elsewhere")
    world.refresh()

    after = content(world, "default")
    assert after.problem is not None
    assert after.problem.reason is MirrorReason.SOURCE_MISSING
    assert lost.since == after.since == START + timedelta(minutes=1)
    assert keys(world, "default")["TRACKING_URI"] == "https://mlflow.example.org"
    assert keys(world, "uri")["TRACKING_URI"] == "http://elsewhere"


def test_an_outage_is_no_reason_to_call_a_source_unreadable(world: World) -> None:
    """What the API server said last is still the newest there is."""
    world.refresh()
    content(world, "default")
    world.cluster.fail(lambda call: call.verb == "list", Unavailable("restarting"))
    world.refresh()
    assert content(world, "default").problem is None

    world.cluster.allow_all()
    world.cluster.forbid(lambda call: call.kind == SECRET and call.key.name == "keys")
    world.refresh()
    problem = content(world, "default").problem
    assert problem is not None
    assert problem.reason is MirrorReason.SOURCE_UNREADABLE


def test_when_a_source_last_changed_never_goes_back(world: World) -> None:
    """The newest of the profile's counts, also when it is gone since."""
    world.refresh()
    content(world, "default")
    world.now += timedelta(minutes=5)
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.refresh()
    world.user.delete(SECRET, "keys", RELEASE)
    world.refresh()

    assert world.profiles.changed("default") == START + timedelta(minutes=5)
    assert world.profiles.changed("uri") == START
    assert world.profiles.changed("none") is None


def test_reserved_keys_are_left_out_with_a_finding(world: World) -> None:
    """The others come through."""
    world.secret("keys", PATH="/evil", A="1")
    world.refresh()

    merged = content(world, "default").content
    assert merged is not None
    assert list(merged.data) == ["A", "TRACKING_URI"]
    assert [one.reason for one in merged.findings] == [KeyReason.KEY_RESERVED]


def test_what_did_not_change_is_not_merged_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mebibyte for each of a thousand namespaces would cost a core."""
    world.refresh()
    before = content(world, "default").content
    monkeypatch.setattr(profiles, "merge", None)

    assert content(world, "default").content is before
