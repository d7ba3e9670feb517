"""One mirror in every namespace that should have one, whatever happens to it."""

import threading
from datetime import datetime, timedelta

import pytest

from tests.fakes.waiting import eventually
from tests.unit.companion.companion_world import (
    BOTH,
    CANARY,
    PROFILES,
    RELEASE,
    World,
    key,
)
from webhook.cluster import metadata
from webhook.cluster.errors import (
    Forbidden,
    Invalid,
    QuotaExceeded,
    Throttled,
    Unauthorized,
    Unavailable,
)
from webhook.cluster.interface import Json, ObjectKey
from webhook.cluster.resources import POD, SECRET, ResourceType
from webhook.companion import projections
from webhook.companion.mirror_controller import WORKERS
from webhook.companion.mirror_writer import ContestedError
from webhook.injection.names import (
    MANAGED_BY,
    MANAGED_BY_LABEL,
    MIRROR_SECRET,
    PROFILE_LABEL,
    RELEASE_LABEL,
)
from webhook.mirror.decide import NamespaceFilter
from webhook.mirror.reasons import MirrorReason

POD_WITH_MIRROR = {
    "spec": {
        "containers": [
            {"name": "c", "envFrom": [{"secretRef": {"name": MIRROR_SECRET}}]}
        ]
    },
    "status": {"phase": "Running"},
}


def since(world: World) -> datetime | None:
    """When the default profile began to fail."""
    profile = world.profiles.content("default")
    assert profile is not None
    return profile.since


@pytest.fixture(name="world")
def _world() -> World:
    return World()


def test_a_labeled_namespace_gets_every_source(world: World) -> None:
    """One write brings all keys."""
    world.label("ray")
    world.cluster.calls.clear()
    world.step()

    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.MIRRORED
    assert world.writes() == 1


def test_nothing_is_written_when_nothing_changed(world: World) -> None:
    """Steps are free of writes once all is in place."""
    world.label("ray")
    world.step()
    world.cluster.calls.clear()
    for _ in range(5):
        world.step(60)

    assert world.writes() == 0


def test_a_write_of_ours_is_no_news(world: World) -> None:
    """What was stored is the result already; whoever changes it later is news."""
    world.label("ray")
    world.refresh()
    assert world.mirrors.step()

    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.MIRRORED
    assert not world.mirrors.step()
    meta = {"name": MIRROR_SECRET, "namespace": "ray"}
    world.user.apply(SECRET, {"metadata": meta, "data": {"TRACKING_URI": "ZXZpbA=="}})
    world.refresh()
    assert world.mirrors.step()
    assert world.mirror("ray") == BOTH


def test_a_namespace_without_the_label_gets_nothing(world: World) -> None:
    """Only the label switches a namespace on."""
    world.label("other", on=False)
    world.step()

    assert world.mirror("other") is None


ALIASED = """{"default": {"sources": [{"configMap": "uri"}, {"secret": "keys"}],
"preset": "mlflow", "aliases": {"URI": "TRACKING_URI", "KEY": "TRACKING_API_KEY"}}}"""


@pytest.mark.parametrize("profiles", [PROFILES, ALIASED], ids=["keys", "aliases"])
def test_a_changed_source_reaches_every_namespace(profiles: str) -> None:
    """One write for each, by however many names its keys go."""
    world = World(profiles)
    names = [f"n{number}" for number in range(150)]
    for name in names:
        world.label(name)
    world.step()
    world.cluster.calls.clear()
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.step()

    assert {world.mirror(n)["TRACKING_API_KEY"] for n in names} == {"rotated"}  # type: ignore[index] # they are there
    assert world.cluster.counts()["apply"] == 150 + 1


def test_a_key_that_left_the_source_leaves_the_mirror(world: World) -> None:
    """Nothing stays behind."""
    world.label("ray")
    world.step()
    world.secret("keys", ANOTHER="1")
    world.step()

    assert world.mirror("ray") == {
        "ANOTHER": "1",
        "TRACKING_URI": "https://mlflow.example.org",
    }


def test_an_edited_mirror_is_repaired(world: World) -> None:
    """Whoever changes a value sees it change back."""
    world.label("ray")
    world.step()
    body = {
        "metadata": {"name": MIRROR_SECRET, "namespace": "ray"},
        "data": {"TRACKING_URI": "ZXZpbA==", "MORE": "MQ=="},
    }
    world.user.apply(SECRET, body)
    world.step()

    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.MIRRORED


def test_a_mirror_that_does_not_stay_as_written_is_told_and_left_for_a_while(
    world: World,
) -> None:
    """Another webhook may change every write: that must become no endless loop."""
    world.label("ray")
    world.cluster.admission = lambda body: body["data"].pop("TRACKING_URI", None)
    world.refresh()
    world.mirrors.step()
    assert world.reason("ray") is MirrorReason.CONTESTED
    assert "mirror-created" not in world.log.events()
    for _ in range(50):
        world.step(0.1)

    assert world.reason("ray") is MirrorReason.CONTESTED
    assert isinstance(world.result("ray").error, ContestedError)
    assert world.events() == ["Contested"]
    assert world.cluster.counts()["apply"] < 20

    world.cluster.admission = None
    world.step(60)
    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.MIRRORED


def test_a_deleted_mirror_comes_back(world: World) -> None:
    """Pods that restart find their keys."""
    world.label("ray")
    world.step()
    world.user.delete(SECRET, MIRROR_SECRET, "ray")
    world.step()

    assert world.mirror("ray") == BOTH


def test_a_foreign_secret_is_never_touched(world: World) -> None:
    """It is reported, to the namespace's users too."""
    world.label("ray")
    world.secret(MIRROR_SECRET, "ray", THEIRS="1")
    world.step()
    world.label("ray", on=False)
    world.step(60)
    world.label("ray")
    world.step()

    assert world.mirror("ray") == {"THEIRS": "1"}
    assert world.reason("ray") is MirrorReason.FOREIGN_SECRET
    assert world.events() == ["ForeignSecret"]


def test_an_api_server_that_does_not_know_the_label_yet_is_asked_again(
    world: World,
) -> None:
    """Its policy refuses the mirror for a moment, which is no news; later it is."""
    world.cluster.fail(lambda call: call.key.namespace == "ray", Invalid("Invalid at "))
    world.label("ray")
    world.step()
    early = world.result("ray")
    world.step(10)

    assert (early.reason, early.error) == (MirrorReason.PENDING, None)
    assert world.reason("ray") is MirrorReason.REFUSED
    world.cluster.allow_all()
    world.step(60)
    assert world.reason("ray") is MirrorReason.MIRRORED


def test_another_releases_mirror_is_never_touched(world: World) -> None:
    """It is foreign: neither overwritten, nor taken when the namespace leaves."""
    world.label("ray")
    world.step()
    world.restart(release="other.tracking-injector")
    world.secret("keys", TRACKING_API_KEY="another")
    world.step(60)
    assert world.reason("ray") is MirrorReason.FOREIGN_SECRET
    world.label("ray", on=False)
    world.step(60)
    world.step(60)

    assert world.mirror("ray") == BOTH
    assert "ForeignSecret" in world.events()


def test_a_mirror_from_before_releases_had_names_is_taken_over(world: World) -> None:
    """Earlier versions wrote no such label, and whoever takes it off gets it back."""
    world.label("ray")
    world.step()
    patch = {
        "metadata": {
            "name": MIRROR_SECRET,
            "namespace": "ray",
            "labels": {RELEASE_LABEL: None},
        }
    }
    world.user.patch(SECRET, patch)
    world.step(60)
    labels = world.user.get(SECRET, MIRROR_SECRET, "ray")["metadata"]["labels"]

    assert labels[RELEASE_LABEL] == MANAGED_BY
    assert world.reason("ray") is MirrorReason.MIRRORED


def test_a_foreign_secret_that_appears_meanwhile_is_not_touched(world: World) -> None:
    """The API server itself refuses the write that we were about to make."""
    world.label("ray")
    world.cluster.meanwhile(
        "apply", lambda: world.secret(MIRROR_SECRET, "ray", THEIRS="1")
    )
    world.refresh()
    world.work()

    assert world.mirror("ray") == {"THEIRS": "1"}
    assert world.reason("ray") is MirrorReason.FOREIGN_SECRET


def test_a_switched_off_namespace_loses_its_mirror(world: World) -> None:
    """After the grace in which the API server may still admit pods."""
    world.label("ray")
    world.step()
    world.label("ray", on=False)
    world.step()
    assert world.result("ray").requeue_after == 10.0
    world.step(5)
    add_a_key(world, "ray")
    world.step(4.9)
    assert world.mirror("ray") == BOTH | {"ADDED": "1"}
    world.user.patch(
        SECRET,
        {
            "metadata": {"name": MIRROR_SECRET, "namespace": "ray"},
            "data": {"ADDED": None},
        },
    )
    world.step()
    assert (world.mirror("ray"), world.reason("ray")) == (BOTH, MirrorReason.LEAVING)
    world.step(0.1)

    assert world.mirror("ray") is None
    assert world.mirrors.results.get("ray") is None


def test_a_mirror_outlives_the_pods_that_refer_to_it(world: World) -> None:
    """A container that restarts needs it; the last pod's end frees it."""
    world.label("ray")
    world.step()
    world.pod("ray", "head", **POD_WITH_MIRROR)
    world.label("ray", on=False)
    world.step()
    world.step(10)
    assert world.reason("ray") is MirrorReason.KEPT_FOR_PODS
    assert world.mirror("ray") == BOTH

    world.pod("ray", "head", **(POD_WITH_MIRROR | {"status": {"phase": "Succeeded"}}))
    world.step(15)
    assert world.mirror("ray") is None


def test_only_the_very_mirror_that_was_looked_at_is_removed(world: World) -> None:
    """What somebody made of it meanwhile is looked at again first."""
    world.label("ray")
    world.step()
    world.label("ray", on=False)
    world.step()

    def replace() -> None:
        world.user.delete(SECRET, MIRROR_SECRET, "ray")
        world.secret(MIRROR_SECRET, "ray", THEIRS="1")

    world.cluster.meanwhile("delete", replace)
    world.step(10)

    assert world.mirror("ray") == {"THEIRS": "1"}


def test_without_the_right_to_see_pods_a_mirror_stays(world: World) -> None:
    """Never break a task comes first."""
    world.label("ray")
    world.step()
    world.cluster.forbid(lambda call: call.kind == POD)
    world.label("ray", on=False)
    world.step()
    world.step(10)

    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.PODS_UNREADABLE


def test_a_flapping_label_costs_nothing(world: World) -> None:
    """A hundred times off and on within the grace: the mirror never moves."""
    world.label("ray")
    world.step()
    version = world.user.get(SECRET, MIRROR_SECRET, "ray")["metadata"]
    for _ in range(100):
        world.label("ray", on=False)
        world.step(1)
        world.label("ray")
        world.step(1)

    assert world.user.get(SECRET, MIRROR_SECRET, "ray")["metadata"] == version


def test_label_and_list_must_agree() -> None:
    """A labeled namespace that the release does not list gets nothing, and is told."""
    world = World(namespaces=NamespaceFilter(allowed=("team-*",)))
    world.label("team-a")
    world.label("intruder")
    world.step()

    assert world.mirror("team-a") == BOTH
    assert world.mirror("intruder") is None
    assert world.reason("intruder") is MirrorReason.NOT_ALLOWED
    assert world.events() == ["NotAllowed"]


@pytest.mark.parametrize("name", [RELEASE, "kube-system"])
def test_some_namespaces_are_never_injected(world: World, name: str) -> None:
    """The label changes nothing there."""
    world.label(name)
    world.step()

    assert world.mirror(name) is None
    assert world.reason(name) is MirrorReason.EXCLUDED_NAMESPACE


def test_a_namespace_chooses_its_profile() -> None:
    """A renamed or mistyped one changes nothing: pods rely on what is there."""
    world = World('{"default": [{"configMap": "uri"}], "gpu": [{"secret": "keys"}]}')
    world.label("ray", profile="gpu")
    world.step()
    assert world.mirror("ray") == {"TRACKING_API_KEY": CANARY}

    world.label("ray", profile="none-such")
    world.label("late", profile="none-such")
    world.step()
    world.step(60)
    assert world.mirror("ray") == {"TRACKING_API_KEY": CANARY}
    assert world.result("ray").detail == "no profile none-such"
    assert world.reason("ray") is MirrorReason.STALE
    assert world.reason("late") is MirrorReason.UNKNOWN_PROFILE
    assert sorted(world.events()) == ["Stale", "UnknownProfile"]


def test_a_profile_that_the_release_lost_takes_no_mirror_away() -> None:
    """An upgrade without it is a mistake until somebody removes the label."""
    world = World('{"gpu": [{"secret": "keys"}]}')
    world.label("ray", profile="gpu")
    world.step()
    world.restart('{"default": []}')
    world.step()
    world.step(60)

    assert world.mirror("ray") == {"TRACKING_API_KEY": CANARY}
    assert world.reason("ray") is MirrorReason.STALE


def test_a_profile_without_a_source_gives_an_empty_mirror() -> None:
    """No pod waits for what never comes; that nothing comes is said."""
    world = World('{"default": []}')
    world.label("ray")
    world.step()

    assert world.mirror("ray") == {}
    assert world.reason("ray") is MirrorReason.NO_SOURCES
    assert world.events() == ["NoSources"]

    world.restart()
    world.step()
    assert world.mirror("ray") == BOTH
    world.restart('{"default": []}')
    world.step()
    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.STALE


def test_an_enforced_key_that_the_mirror_lacks_is_told() -> None:
    """A typo, or a name that is refused such as PATH."""
    world = World(enforced_keys=("TRACKING_URI", "TRACKING_URL"))
    world.label("ray")
    world.step()

    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.ENFORCED_KEY_MISSING
    assert world.result("ray").detail == "TRACKING_URL"
    assert world.events() == ["EnforcedKeyMissing"]


def test_a_missing_source_leaves_the_last_good(world: World) -> None:
    """It is stale, since a time that is known; new namespaces still get it."""
    world.label("ray")
    world.step()
    world.user.delete(SECRET, "keys", RELEASE)
    lost = world.now
    world.step()
    world.label("late")
    world.user.delete(SECRET, MIRROR_SECRET, "ray")
    world.step(60)

    assert [world.mirror("ray"), world.mirror("late")] == [BOTH, BOTH]
    assert world.reason("ray") is MirrorReason.STALE
    assert since(world) == lost


def test_a_restart_without_a_source_takes_nothing_away(world: World) -> None:
    """What is there stays, although nobody remembers what it was made of."""
    world.label("ray")
    world.step()
    world.user.delete(SECRET, "keys", RELEASE)
    world.restart()
    world.label("late")
    world.step()

    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.STALE
    assert world.reason("late") is MirrorReason.SOURCE_MISSING


def test_an_unreadable_source_leaves_the_last_good(world: World) -> None:
    """A right that was taken away changes nothing in any namespace."""
    world.label("ray")
    world.step()
    world.cluster.forbid(lambda call: call.kind == SECRET and call.key.name == "keys")
    lost = world.now
    world.step()
    world.step(60)

    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.STALE
    assert since(world) == lost

    world.cluster.allow_all()
    world.secret("keys", TRACKING_API_KEY="new")
    world.step()
    assert world.mirror("ray")["TRACKING_API_KEY"] == "new"  # type: ignore[index] # it is there
    assert world.reason("ray") is MirrorReason.MIRRORED


def test_a_terminating_namespace_is_left_alone(world: World) -> None:
    """Neither a write nor an Event goes there."""
    world.label("ray")
    world.cluster.terminate("ray")
    world.cluster.calls.clear()
    world.step()

    assert world.writes() == 0
    assert world.reason("ray") is MirrorReason.TERMINATING


def test_a_namespace_that_goes_meanwhile_is_no_failure(world: World) -> None:
    """The write that comes too late is understood."""
    world.label("ray")
    world.refresh()
    world.cluster.terminate("ray")
    world.work()

    assert world.reason("ray") is MirrorReason.TERMINATING


def test_a_full_quota_is_retried_and_told(world: World) -> None:
    """Later each time, and at once when there is room again."""
    world.label("ray")
    world.cluster.full.add("ray")
    world.step()
    assert world.reason("ray") is MirrorReason.QUOTA_EXCEEDED
    assert isinstance(world.result("ray").error, QuotaExceeded)
    assert world.events() == ["QuotaExceeded"]

    world.cluster.full.clear()
    world.step(20)
    assert world.mirror("ray") == BOTH
    assert world.reason("ray") is MirrorReason.MIRRORED


def test_one_forbidden_namespace_stops_no_other(world: World) -> None:
    """With rights bound to namespaces, the others go on."""
    for name in ("a", "b", "c"):
        world.label(name)
    world.cluster.forbid(
        lambda call: call.verb == "apply" and call.key.namespace == "b"
    )
    world.step()

    assert [world.mirror(n) is not None for n in "abc"] == [True, False, True]
    assert world.reason("b") is MirrorReason.FORBIDDEN


def test_throttling_makes_it_wait_as_long_as_it_was_asked_to(world: World) -> None:
    """And nothing is lost."""
    for number in range(10):
        world.label(f"n{number}")
    world.refresh()
    world.cluster.fail(
        lambda call: call.verb == "apply",
        Throttled("apply secrets: too many", retry_after=30.0),
    )
    world.work()
    assert {world.reason(f"n{n}") for n in range(10)} == {MirrorReason.UNAVAILABLE}
    world.cluster.allow_all()
    world.cluster.calls.clear()
    world.step(29)
    assert world.writes() == 0

    world.step(1)
    assert all(world.mirror(f"n{number}") == BOTH for number in range(10))


def test_new_namespaces_come_before_updates(world: World) -> None:
    """A rotation across a thousand keeps nobody waiting for the first mirror."""
    for number in range(200):
        world.label(f"n{number:03}")
    world.step()
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.refresh()
    world.label("zz-new")
    world.refresh()
    world.mirrors.step()

    assert world.mirror("zz-new") is not None
    assert world.mirror("n199") == BOTH


def test_no_value_is_told_anywhere(world: World) -> None:
    """Logs, Events and reports name keys only."""
    world.label("ray")
    world.label("full")
    world.cluster.full.add("full")
    world.step()
    told = repr(
        (world.log.lines, world.everything(), dict(world.mirrors.results.items()))
    )

    assert "TRACKING_API_KEY" in told
    assert CANARY not in told


def test_the_mirror_carries_nothing_of_the_source(world: World) -> None:
    """No label or annotation that a tool left on the source comes along."""
    meta = {"name": "keys", "namespace": RELEASE, "labels": {"argocd": "app"}}
    world.user.apply(
        SECRET, {"metadata": meta, "type": "Opaque", "data": {"A": "MQ=="}}
    )
    world.label("ray")
    world.step()
    body = world.user.get(SECRET, MIRROR_SECRET, "ray")["metadata"]

    ours = [MANAGED_BY_LABEL, PROFILE_LABEL, RELEASE_LABEL]
    assert sorted(body["labels"]) == ours
    assert "ownerReferences" not in body
    assert "finalizers" not in body


@pytest.mark.parametrize("writes", range(6))
def test_every_write_may_be_the_last(world: World, writes: int) -> None:
    """Whoever starts after a crash before any write ends in the same state."""
    for name in ("a", "b"):
        world.label(name)
    world.step()
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.label("b", on=False)
    world.label("c")
    left = iter(range(writes))
    world.cluster.forbid(
        lambda call: call.verb in ("apply", "delete") and next(left, None) is None
    )
    world.step()
    world.step(10)
    world.cluster.allow_all()
    world.restart()
    world.step()
    world.step(10)

    expected = BOTH | {"TRACKING_API_KEY": "rotated"}
    assert [world.mirror(n) for n in "abc"] == [expected, None, expected]


def test_leadership_that_ends_within_a_step_stops_its_writes() -> None:
    """Nobody writes after the fence."""
    world = World()
    world.label("ray")
    world.leads = False
    world.step()
    assert world.mirror("ray") is None
    assert world.reason("ray") is MirrorReason.PENDING
    assert world.events() == []

    world.leads = True
    world.step(1)
    assert world.mirror("ray") == BOTH

    world.label("ray", on=False)
    world.step()
    world.leads = False
    world.step(10)
    assert world.mirror("ray") == BOTH

    world.leads = True
    world.step(1)
    assert world.mirror("ray") is None


@pytest.mark.parametrize("more", [{}, {"ADDED": "MQ=="}])
def test_an_immutable_mirror_is_made_again(world: World, more: dict[str, str]) -> None:
    """Who made it so keeps nobody from the keys of today."""
    world.label("ray")
    world.step()
    before = world.user.get(SECRET, MIRROR_SECRET, "ray")
    meta = {"name": MIRROR_SECRET, "namespace": "ray"}
    world.user.patch(SECRET, {"metadata": meta, "immutable": True, "data": more})
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.step()

    assert world.mirror("ray") == BOTH | {"TRACKING_API_KEY": "rotated"}
    assert world.reason("ray") is MirrorReason.MIRRORED
    after = world.user.get(SECRET, MIRROR_SECRET, "ray")
    assert "immutable" not in after
    assert metadata.uid(before) != metadata.uid(after)


def test_an_immutable_secret_of_somebody_else_stays(world: World) -> None:
    """It is foreign, and nothing more."""
    world.label("ray")
    world.secret(MIRROR_SECRET, "ray", THEIRS="1")
    meta = {"name": MIRROR_SECRET, "namespace": "ray"}
    world.user.patch(SECRET, {"metadata": meta, "immutable": True})
    world.refresh()
    world.caches.mirrors.forget(key("ray"))
    world.work()

    assert world.mirror("ray") == {"THEIRS": "1"}
    assert world.reason("ray") is MirrorReason.FOREIGN_SECRET


def test_whoever_writes_the_mirror_again_and_again_is_told(world: World) -> None:
    """Each write of ours is answered by another one: no loop comes of it."""
    world.label("ray")
    world.step()
    body = {
        "metadata": {"name": MIRROR_SECRET, "namespace": "ray"},
        "data": {"TRACKING_URI": "ZXZpbA=="},
    }
    world.cluster.calls.clear()
    for _ in range(300):
        world.user.apply(SECRET, body)
        world.step(0.1)

    ours = world.cluster.counts()["apply"] - 300
    assert 2 < ours < 20
    assert world.events() == ["Contested"]


def test_a_mirror_that_vanishes_while_it_is_to_go_is_no_failure(world: World) -> None:
    """Whoever deletes it does our work."""
    world.label("ray")
    world.step()
    world.label("ray", on=False)
    world.step()
    name = MIRROR_SECRET
    world.cluster.meanwhile("list", lambda: world.user.delete(SECRET, name, "ray"))
    world.now += timedelta(seconds=10)
    world.work()

    assert world.mirror("ray") is None
    assert world.mirrors.results.items() == {}
    assert "reconcile-failed" not in world.log.events()


def test_pods_that_cannot_be_listed_in_one_namespace_freeze_nothing_else(
    world: World,
) -> None:
    """The list times out where it is asked, and is asked again there."""
    for name in ("a", "off", "z"):
        world.label(name)
    world.step()
    world.cluster.fail(
        lambda call: call.kind == POD and call.key.namespace == "off",
        Unavailable("list pods off/*: timed out"),
    )
    world.label("off", on=False)
    world.step()
    world.now += timedelta(seconds=10)
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.step()

    assert world.mirror("a") == world.mirror("z")
    assert world.mirror("a") == BOTH | {"TRACKING_API_KEY": "rotated"}
    assert world.reason("off") is MirrorReason.UNAVAILABLE
    assert isinstance(world.result("off").error, Unavailable)
    assert world.events() == ["Unavailable"]

    world.cluster.allow_all()
    world.step(15)
    assert world.mirror("off") is None


FAILURES = (
    (Forbidden("a right is missing"), MirrorReason.FORBIDDEN),
    (Invalid("another no", fields=("metadata",)), MirrorReason.REFUSED),
    (Throttled("too many", retry_after=1.0), MirrorReason.UNAVAILABLE),
    (Unavailable("HTTP 500"), MirrorReason.UNAVAILABLE),
    (Unavailable("timed out"), MirrorReason.UNAVAILABLE),
    (Unauthorized("the token is not valid"), MirrorReason.REFUSED),
    (RuntimeError("a mistake of ours"), MirrorReason.INTERNAL_ERROR),
)


@pytest.mark.parametrize(("error", "reason"), FAILURES, ids=str)
@pytest.mark.parametrize("verb", ["apply", "merge", "delete"])
def test_one_failing_namespace_of_many_fails_alone(
    world: World, verb: str, error: Exception, reason: MirrorReason
) -> None:
    """The others converge; it has reason, Event and error, and recovers by itself."""
    names = [f"n{number:02}" for number in range(50)]
    for name in names:
        world.label(name)
    world.step()
    if verb == "merge":
        add_a_key(world, "n25")
    world.cluster.fail(
        lambda call: (
            (call.verb, call.key) == (verb, key("n25")) and call.kind == SECRET
        ),
        error,
    )
    if verb == "delete":
        for name in names:
            world.label(name, on=False)
        world.step()
        world.step(10)
        expected = None
    else:
        world.secret("keys", TRACKING_API_KEY="rotated")
        expected = BOTH | {"TRACKING_API_KEY": "rotated"}
        world.step()

    assert [n for n in names if world.mirror(n) != expected] in (["n25"], [])
    failed = world.result("n25")
    assert (failed.reason, failed.error) == (reason, error)
    assert world.events("n25") == [reason]
    assert {one.reason for name, one in world.mirrors.results.items().items()} <= {
        reason,
        MirrorReason.MIRRORED,
    }

    world.cluster.allow_all()
    world.step(16)
    assert world.mirror("n25") == expected
    after = world.mirrors.results.get("n25")
    assert after is None or after.reason is MirrorReason.MIRRORED
    assert (after is None) == (verb == "delete")


def add_a_key(world: World, namespace: str) -> None:
    """Somebody else adds a key to a mirror, which only a merge patch takes away."""
    meta = {"name": MIRROR_SECRET, "namespace": namespace}
    world.user.patch(SECRET, {"metadata": meta, "data": {"ADDED": "MQ=="}})


def test_a_mirror_that_cannot_be_read_is_left_alone_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was known of it stays, and the others go on."""
    odd = unreadable(monkeypatch, "mirror_state")
    world = World()
    for name in ("a", "odd"):
        world.label(name)
    world.step()
    odd.add(key("odd"))
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.step()

    assert world.mirror("odd") == BOTH
    assert world.mirror("a") == BOTH | {"TRACKING_API_KEY": "rotated"}
    assert world.reason("odd") is MirrorReason.PROJECTION_FAILED
    assert world.result("odd").detail == "Secret: TypeError"
    assert world.events() == ["ProjectionFailed"]

    world.restart()
    world.step()
    assert world.mirror("odd") == BOTH
    assert world.reason("odd") is MirrorReason.PROJECTION_FAILED

    odd.clear()
    world.step()
    assert world.mirror("odd") == world.mirror("a")
    assert world.reason("odd") is MirrorReason.MIRRORED


def test_a_namespace_that_cannot_be_read_keeps_its_mirror(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also for a companion that never could: it may well be labeled."""
    odd = unreadable(monkeypatch, "compute_namespace")
    world = World()
    world.label("odd")
    world.step()
    odd.add(ObjectKey("", "odd"))
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.step()
    assert world.mirror("odd") == BOTH | {"TRACKING_API_KEY": "rotated"}
    assert world.reason("odd") is MirrorReason.PROJECTION_FAILED
    assert world.events() == ["ProjectionFailed"]

    world.restart()
    world.step()
    world.step(60)
    assert world.mirror("odd") == BOTH | {"TRACKING_API_KEY": "rotated"}
    assert world.result("odd").detail == "Namespace: TypeError"
    assert world.events() == ["ProjectionFailed", "ProjectionFailed"]


def unreadable(monkeypatch: pytest.MonkeyPatch, name: str) -> set[ObjectKey]:
    """Return a set of objects that a projection does not understand, empty yet."""
    odd: set[ObjectKey] = set()
    real = getattr(projections, name)

    def project(body: Json, **more: str) -> object:
        if metadata.key(body) in odd:
            raise TypeError("no value of it is told")
        return real(body, **more)

    monkeypatch.setattr(projections, name, project)
    return odd


def test_one_namespace_costs_one_namespace(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of one mirror among many looks at no other namespace."""
    for number in range(50):
        world.label(f"n{number:02}")
    world.step()
    add_a_key(world, "n25")
    world.refresh()

    def refuse() -> None:
        raise AssertionError("all namespaces were copied")

    monkeypatch.setattr(world.caches.namespaces, "items", refuse)
    monkeypatch.setattr(world.caches.mirrors, "items", refuse)
    assert world.mirrors.step()
    world.mirrors.step()
    assert not world.mirrors.step()
    assert world.mirror("n25") == BOTH


def test_a_slow_namespace_holds_up_no_other(world: World) -> None:
    """Several workers write at a time; a key is never worked on twice at once."""
    slow, stop = threading.Event(), threading.Event()
    inner = world.context.client.apply

    def apply(kind: ResourceType, body: Json, *, force: bool = True) -> Json:
        if metadata.key(body) == key("n00"):
            slow.wait(10)
        return inner(kind, body, force=force)

    world.context.client.apply = apply  # type: ignore[method-assign] # a slow admission chain
    names = [f"n{number:02}" for number in range(30)]
    for name in names:
        world.label(name)
    world.refresh()
    workers = [
        threading.Thread(target=world.mirrors.run, args=(stop,)) for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    try:
        assert eventually(lambda: all(world.mirror(name) == BOTH for name in names[1:]))
        assert world.mirror("n00") is None
        slow.set()
        assert eventually(lambda: world.mirror("n00") == BOTH)
    finally:
        slow.set()
        stop.set()
        world.mirrors.queue.shut_down()
        for worker in workers:
            worker.join(5)
    assert world.cluster.counts()["apply"] == 30 + 2 + len(names)


def test_the_grace_begins_anew_with_each_switching_off(world: World) -> None:
    """Also where no worker saw that the namespace was on in between."""
    world.label("ray")
    world.step()
    world.label("ray", on=False)
    world.step()
    world.now += timedelta(seconds=8)
    world.label("ray")
    world.refresh()
    world.label("ray", on=False)
    world.refresh()
    world.now += timedelta(seconds=4)
    world.work()
    assert world.mirror("ray") == BOTH

    world.step(10)
    assert world.mirror("ray") is None


def test_a_changed_profile_queues_its_own_namespaces_alone() -> None:
    """Those of another profile are not even looked at."""
    world = World('{"default": [{"configMap": "uri"}], "gpu": [{"secret": "keys"}]}')
    for name in ("a", "b"):
        world.label(name)
        world.label(f"gpu-{name}", profile="gpu")
    world.step()
    before = world.mirrors.results.items()
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.step()

    after = world.mirrors.results.items()
    changed = {name for name in before if before[name] is not after[name]}
    assert changed == {"gpu-a", "gpu-b"}


def test_a_mirror_that_was_edited_meanwhile_is_looked_at_again(world: World) -> None:
    """Nothing is deleted that was not seen as it is."""
    world.label("ray")
    world.step()
    world.label("ray", on=False)
    world.step()
    world.cluster.meanwhile("delete", lambda: add_a_key(world, "ray"))
    world.now += timedelta(seconds=10)
    world.work()
    assert world.mirror("ray") == BOTH | {"ADDED": "1"}

    world.step(15)
    assert world.mirror("ray") is None


def test_a_contest_that_is_over_is_forgotten(world: World) -> None:
    """Who edits a mirror a minute later sees it change back at once."""
    world.label("ray")
    world.step()
    for _ in range(100):
        add_a_key(world, "ray")
        world.step(0.1)
    # The last step may have been the one in which it was written again.
    add_a_key(world, "ray")
    world.step()
    assert world.reason("ray") is MirrorReason.CONTESTED

    world.step(16)
    world.step(120)
    for _ in range(2):
        add_a_key(world, "ray")
        world.step(0.3)
        assert world.mirror("ray") == BOTH
        assert world.reason("ray") is MirrorReason.MIRRORED


def test_what_was_queued_too_early_is_queued_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before everything was listed nobody knows what a namespace should have."""
    odd = unreadable(monkeypatch, "compute_namespace")
    world = World()
    for name in ("on", "off", "odd"):
        world.label(name)
    world.step()
    world.label("off", on=False)
    world.label("bare")
    odd.update((ObjectKey("", "odd"), ObjectKey("", "bare")))
    world.restart()
    world.caches.namespaces.refresh()
    world.caches.mirrors.refresh()
    world.work()
    assert world.mirrors.results.items() == {}

    world.step()
    assert {name: world.reason(name) for name in ("on", "off", "odd", "bare")} == {
        "on": MirrorReason.MIRRORED,
        "off": MirrorReason.LEAVING,
        "odd": MirrorReason.PROJECTION_FAILED,
        "bare": MirrorReason.PROJECTION_FAILED,
    }
