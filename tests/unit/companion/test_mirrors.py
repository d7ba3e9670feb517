"""One mirror in every namespace that should have one, whatever happens to it."""

import pytest

from tests.unit.companion.world import CANARY, RELEASE, World
from webhook.cluster.resources import POD, SECRET
from webhook.injection.names import MIRROR_SECRET, PROFILE_LABEL
from webhook.mirror.decide import NamespaceFilter
from webhook.mirror.reasons import MirrorReason

BOTH = {"TRACKING_API_KEY": CANARY, "TRACKING_URI": "https://mlflow.example.org"}
POD_WITH_MIRROR = {
    "spec": {
        "containers": [
            {"name": "c", "envFrom": [{"secretRef": {"name": MIRROR_SECRET}}]}
        ]
    },
    "status": {"phase": "Running"},
}


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


def test_a_namespace_without_the_label_gets_nothing(world: World) -> None:
    """Only the label switches a namespace on."""
    world.label("other", on=False)
    world.step()

    assert world.mirror("other") is None


def test_a_changed_source_reaches_every_namespace(world: World) -> None:
    """One write for each."""
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
    pause = world.step()

    assert world.reason("ray") is MirrorReason.CONTESTED
    assert pause is not None
    assert pause > 0
    assert world.events() == ["Contested"]

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


def test_a_foreign_secret_that_appears_meanwhile_is_not_touched(world: World) -> None:
    """The API server itself refuses the write that we were about to make."""
    world.label("ray")
    world.cluster.meanwhile(
        "apply", lambda: world.secret(MIRROR_SECRET, "ray", THEIRS="1")
    )
    for follower in world.observed.all():
        follower.refresh()
    world.mirrors.step(world.now)

    assert world.mirror("ray") == {"THEIRS": "1"}
    assert world.reason("ray") is MirrorReason.FOREIGN_SECRET


def test_a_switched_off_namespace_loses_its_mirror(world: World) -> None:
    """After the grace in which the API server may still admit pods."""
    world.label("ray")
    world.step()
    world.label("ray", on=False)
    assert world.step() == 10.0
    assert world.mirror("ray") == BOTH
    world.step(10)

    assert world.mirror("ray") is None


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
    world = World(scope=NamespaceFilter(allowed=("team-*",)))
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
    """And loses its mirror with the profile."""
    world = World('{"default": [{"configMap": "uri"}], "gpu": [{"secret": "keys"}]}')
    world.label("ray", profile="gpu")
    world.step()
    assert world.mirror("ray") == {"TRACKING_API_KEY": CANARY}

    world.label("ray", profile="none-such")
    world.step()
    world.step(10)
    assert world.mirror("ray") is None
    assert world.reason("ray") is MirrorReason.UNKNOWN_PROFILE


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
    assert world.mirrors.supplies["default"].since == lost


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
    assert world.mirrors.supplies["default"].since == lost

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
    for follower in world.observed.all():
        follower.refresh()
    world.cluster.terminate("ray")
    world.mirrors.step(world.now)

    assert world.reason("ray") is MirrorReason.TERMINATING


def test_a_full_quota_is_retried_and_told(world: World) -> None:
    """Later each time, and at once when there is room again."""
    world.label("ray")
    world.cluster.full.add("ray")
    pause = world.step()
    assert pause is not None
    assert pause > 0
    assert world.reason("ray") is MirrorReason.QUOTA_EXCEEDED
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
    for follower in world.observed.all():
        follower.refresh()
    world.cluster.throttle = 10
    pause = world.mirrors.step(world.now)
    assert pause is not None
    assert pause > 0

    world.step(20)
    assert all(world.mirror(f"n{number}") == BOTH for number in range(10))


def test_new_namespaces_come_before_updates(world: World) -> None:
    """A rotation across a thousand keeps nobody waiting for the first mirror."""
    for number in range(200):
        world.label(f"n{number:03}")
    world.step()
    world.secret("keys", TRACKING_API_KEY="rotated")
    world.label("zz-new")
    for follower in world.observed.all():
        follower.refresh()
    world.mirrors.step(world.now)

    assert world.mirror("zz-new") is not None
    assert world.mirror("n199") == BOTH


def test_no_value_is_told_anywhere(world: World) -> None:
    """Logs, Events and reports name keys only."""
    world.label("ray")
    world.label("full")
    world.cluster.full.add("full")
    world.step()
    told = repr((world.log.lines, world.everything(), world.mirrors.report))

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

    assert sorted(body["labels"]) == ["app.kubernetes.io/managed-by", PROFILE_LABEL]
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
    for follower in world.observed.all():
        follower.refresh()
    object.__setattr__(world.means, "may_act", lambda: False)
    world.mirrors.step(world.now)

    assert world.mirror("ray") is None
