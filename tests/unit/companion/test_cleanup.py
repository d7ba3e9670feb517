"""What the pre-delete hook takes away, and in which order."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.companion.companion_world import RELEASE, World
from webhook.cluster.errors import Forbidden, NotFound, Unavailable
from webhook.cluster.interface import ListOptions, ObjectKey
from webhook.cluster.leader_election import FENCE_SECONDS, LeaderElector
from webhook.cluster.resources import (
    ADMISSION_POLICY,
    CONFIG_MAP,
    NETWORK_POLICY,
    SECRET,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.companion.cleanup import (
    PolicyCleanup,
    delete_mirrors,
    delete_policies,
    is_helm_release,
)
from webhook.companion.controller import Controller, Result
from webhook.egress.reasons import EgressReason
from webhook.injection.names import RELEASE_LABEL
from webhook.mirror.reasons import MirrorReason

CONFIGURATION = "tracking-injector"


@pytest.fixture(name="world")
def _world() -> World:
    """Two namespaces with mirrors; API servers ask a webhook and have a policy."""
    world = World()
    for name in ("a", "b"):
        world.label(name)
    world.step()
    for kind in (WEBHOOK_CONFIGURATION, ADMISSION_POLICY):
        world.user.create(kind, {"metadata": {"name": CONFIGURATION}})
    return world


def lead(world: World, identity: str) -> LeaderElector:
    """A candidate for the companion's Lease."""
    return LeaderElector(
        world.cluster.client(),
        ObjectKey("release", "companion"),
        identity,
        clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
    )


def uninstall(world: World, wait: Callable[[float], object]) -> dict[str, str]:
    """Run it beside a companion that leads; what is left."""
    leader = lead(world, "one")
    leader.step()
    left = delete_mirrors(
        world.context,
        world.caches.mirrors,
        lead(world, "uninstall"),
        configuration=CONFIGURATION,
        wait=wait,
    )
    leader.step()
    assert not leader.is_leader
    return left


def test_another_releases_mirrors_stay(world: World) -> None:
    """It is uninstalled beside the release that made them."""
    world.restart(release="other.tracking-injector")

    assert uninstall(world, lambda _: None) == {}
    assert all(world.mirror(name) for name in ("a", "b"))


def test_every_mirror_of_ours_goes(world: World) -> None:
    """A foreign Secret of the name stays."""
    world.label("foreign")
    world.secret("michelangelo-tracking", "foreign", THEIRS="1")

    left = uninstall(world, lambda _: None)

    assert left == {}
    assert [world.mirror(n) for n in ("a", "b", "foreign")] == [
        None,
        None,
        {"THEIRS": "1"},
    ]


def test_webhook_and_policy_go_before_the_first_mirror(world: World) -> None:
    """Whatever pod still got a reference got it while its mirror was there."""
    waits: list[float] = []
    uninstall(world, waits.append)
    deleted = [call.kind for call in world.cluster.calls if call.verb == "delete"]

    assert [WEBHOOK_CONFIGURATION, ADMISSION_POLICY, SECRET, SECRET] == deleted
    assert waits[0] > FENCE_SECONDS


@pytest.mark.parametrize(
    "kind", [WEBHOOK_CONFIGURATION, ADMISSION_POLICY], ids=lambda kind: kind.name
)
def test_without_the_right_to_either_every_mirror_stays(
    world: World, kind: ResourceType
) -> None:
    """A pod that still gets a reference must find what it refers to."""
    world.cluster.forbid(lambda call: call.verb == "delete" and call.kind == kind)

    with pytest.raises(Forbidden):
        delete_mirrors(
            world.context,
            world.caches.mirrors,
            lead(world, "uninstall"),
            configuration=CONFIGURATION,
            wait=lambda _: None,
        )

    assert None not in [world.mirror(name) for name in ("a", "b")]


def test_a_mirror_that_cannot_be_deleted_is_named_and_stops_no_other(
    world: World,
) -> None:
    """The hook fails, and says which and why."""
    world.cluster.fail(
        lambda call: call.verb == "delete" and call.key.namespace == "a",
        Unavailable("timed out"),
    )

    left = uninstall(world, lambda _: None)

    assert left == {"a": MirrorReason.UNAVAILABLE.sentence}
    assert world.mirror("b") is None


def test_mirrors_that_cannot_be_listed_fail_the_uninstall(world: World) -> None:
    """Nobody knows then what is left."""
    world.cluster.forbid(lambda call: call.verb == "list" and call.kind == SECRET)

    with pytest.raises(Forbidden):
        uninstall(world, lambda _: None)


OURS = {"app.kubernetes.io/managed-by": "tracking-injector"}
LEFT = ["deny", "mti-egress-of-somebody", "mti-egress-other"]
"""Not ours by label, by name, or by release."""


def policy(world: World, name: str, labels: dict[str, str], namespace: str) -> None:
    """A NetworkPolicy of whoever."""
    meta = {"name": name, "namespace": namespace, "labels": labels}
    spec = {"podSelector": {}, "policyTypes": ["Egress"]}
    world.user.apply(NETWORK_POLICY, {"metadata": meta, "spec": spec})


def policies(world: World) -> list[str]:
    """What is left."""
    listing = world.user.list(ListOptions(NETWORK_POLICY), dict)
    return sorted(key.name for key in listing.items)


@pytest.fixture(name="cleanup")
def _cleanup(world: World) -> Controller[Result]:
    """Egress is off, and an earlier mode left two policies."""
    for namespace in ("a", "b"):
        policy(world, "mti-egress-deny", OURS, namespace)
    policy(world, "mti-egress-of-somebody", {}, "a")
    policy(world, "deny", OURS, "a")
    policy(world, "mti-egress-other", OURS | {RELEASE_LABEL: "a.b"}, "b")
    queue = world.queue("policy-cleanup")
    return world.add(PolicyCleanup(world.context, queue), queue)


def test_policies_of_ours_go_and_the_rest_stays(
    world: World, cleanup: Controller[Result]
) -> None:
    """Ours by label and by name, both; it looks once."""
    world.work()
    assert policies(world) == LEFT

    world.cluster.calls.clear()
    world.now += timedelta(hours=1)
    world.work()
    assert world.cluster.calls == []


def test_a_missing_right_to_policies_is_said_once(
    world: World, cleanup: Controller[Result]
) -> None:
    """Whether something is left is not known then; nothing is tried again."""
    world.cluster.forbid(lambda call: call.kind == NETWORK_POLICY)
    for _ in range(3):
        world.work()
        world.now += timedelta(minutes=1)

    assert world.log.events().count("egress-policies-unknown") == 1
    (result,) = cleanup.results.items().values()
    assert "right is missing" in result.detail
    assert result.error is None


def test_a_policy_that_cannot_be_deleted_is_tried_again_alone(
    world: World, cleanup: Controller[Result]
) -> None:
    """The others go meanwhile."""
    world.cluster.fail(
        lambda call: call.verb == "delete" and call.key.namespace == "a",
        Unavailable("timed out"),
    )
    world.work()
    assert policies(world) == sorted([*LEFT, "mti-egress-deny"])
    (result,) = cleanup.results.items().values()
    assert isinstance(result.error, Unavailable)
    assert result.reason is EgressReason.WRITE_REFUSED

    world.cluster.allow_all()
    world.now += timedelta(seconds=15)
    world.work()
    assert policies(world) == LEFT


def test_who_does_not_lead_deletes_no_policy(
    world: World, cleanup: Controller[Result]
) -> None:
    """It does once it leads."""
    world.leads = False
    world.work()
    assert len(policies(world)) == 5

    world.leads = True
    world.now += timedelta(seconds=1)
    world.work()
    assert policies(world) == LEFT


def test_a_policy_that_goes_by_itself_meanwhile_is_no_failure(
    world: World, cleanup: Controller[Result]
) -> None:
    """Garbage collection is as fast."""
    world.cluster.meanwhile(
        "delete", lambda: world.user.delete(NETWORK_POLICY, "mti-egress-deny", "a")
    )

    assert delete_policies(world.context) == 2
    assert policies(world) == LEFT


@pytest.mark.parametrize(
    ("annotations", "found"),
    [
        ({"meta.helm.sh/release-name": "tracking"}, True),
        ({"meta.helm.sh/release-name": "other"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_helm_itself_marks_what_it_installs(
    annotations: dict[str, str] | None, found: bool
) -> None:
    """A render that Kustomize applied has no such mark, and so nothing is removed."""
    world = World()
    meta = {"name": "status", "namespace": RELEASE, "annotations": annotations}
    world.user.create(CONFIG_MAP, {"metadata": meta})

    assert found is is_helm_release(
        world.context, ObjectKey(RELEASE, "status"), "tracking"
    )


def test_without_the_report_nobody_knows_who_installed_it() -> None:
    """An error, and no guess."""
    with pytest.raises(NotFound, match="release/status"):
        is_helm_release(World().context, ObjectKey(RELEASE, "status"), "tracking")
