"""A write that fails is its namespace's, and nothing is ready that is not there."""

from contextlib import suppress

import pytest

from tests.fakes.cluster import Call
from tests.unit.companion.egress.egress_world import DENY, EgressWorld
from webhook.cluster.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Throttled,
    Unavailable,
)
from webhook.cluster.resources import NETWORK_POLICY
from webhook.egress.reasons import EgressReason
from webhook.injection.names import (
    INJECTED_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RELEASE_LABEL,
)

ERRORS = {
    "403": Forbidden("denied by an admission policy"),
    "404": NotFound("no such namespace"),
    "409": Conflict("another manager owns the field"),
    "422": Invalid("spec is invalid", fields=("spec",)),
    "429": Throttled("too many requests", retry_after=2.0),
    "500": Unavailable("internal error"),
    "quota": QuotaExceeded("exceeded quota"),
    "timeout": Unavailable("nobody answered within 5 s"),
}


def refuse(
    world: EgressWorld, error: ClusterError, verb: str = "", namespace: str = "team-a"
) -> None:
    """Let every write of our policies in a namespace fail."""

    def fails(call: Call) -> bool:
        writes = call.verb in ({verb} if verb else {"apply", "create", "delete"})
        ours = call.kind == NETWORK_POLICY and call.key.name.startswith("mti-")
        return writes and ours and call.key.namespace == namespace

    world.cluster.fail(fails, error)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_a_refused_write_is_no_ready_namespace(
    world: EgressWorld, error: ClusterError
) -> None:
    """It has the reason, the error, an Event, and its own backoff."""
    refuse(world, error)
    world.step()
    refused = world.result()

    assert (refused.reason, refused.error) == (EgressReason.WRITE_REFUSED, error)
    assert world.events() == [
        ("WriteRefused", "team-a", f"Egress policies are not as planned: {error}.")
    ]
    world.cluster.allow_all()
    world.step(15)
    assert (world.result().reason, world.result().error) == (
        EgressReason.EGRESS_READY,
        None,
    )
    assert len(world.ours()) == 1


def test_an_api_server_that_does_not_know_the_label_yet_is_asked_again(
    world: EgressWorld,
) -> None:
    """Its policy refuses the shadow for a moment, which is no news; later it is."""
    refuse(world, Invalid("ValidatingAdmissionPolicy denied request"))
    world.step()
    early, told = world.result(), world.events()
    world.step(10)

    assert (early.reason, early.error, told) == (EgressReason.PENDING, None, [])
    assert world.result().reason is EgressReason.WRITE_REFUSED
    world.cluster.allow_all()
    world.step(15)
    assert world.result().reason is EgressReason.EGRESS_READY


def test_a_refused_rewrite_stays_refused_while_it_is_retried(
    world: EgressWorld,
) -> None:
    """Pacing is for rewrites that worked: it must not hide the error."""
    world.step()
    refuse(world, ERRORS["403"])
    world.zone.records["mlflow.example.org"] = ("203.0.113.9",)
    world.step(60)
    tries = world.cluster.counts()["apply"]
    world.step(1)

    assert world.result().reason is EgressReason.WRITE_REFUSED
    assert world.cluster.counts()["apply"] > tries


def test_a_refused_delete_is_reported_where_egress_is_off(world: EgressWorld) -> None:
    """The policy is still there, and still in force."""
    world.step()
    refuse(world, ERRORS["403"])
    world.label("team-a", egress="off")
    world.step()

    assert world.result().reason is EgressReason.WRITE_REFUSED
    assert len(world.ours()) == 1


def test_a_refused_delete_is_reported_of_a_namespace_no_longer_labeled(
    world: EgressWorld,
) -> None:
    """And once it worked, nothing is said of it any more."""
    world.step()
    refuse(world, ERRORS["403"], "delete")
    world.label("team-a", on=False)
    world.step()
    refused = world.result()
    world.cluster.allow_all()
    world.step(15)

    assert refused.reason is EgressReason.WRITE_REFUSED
    assert world.egress_controller.results.items() == {}
    assert world.ours() == []


def test_an_orphan_that_cannot_be_deleted_is_counted(world: EgressWorld) -> None:
    """Until it goes, it isolates."""
    world.step()
    refuse(world, ERRORS["403"], "delete")
    world.delete()
    world.step()

    assert world.result().orphans == 1


def test_a_foreign_policy_of_our_name_stays(world: EgressWorld) -> None:
    """It is refused, not overwritten."""
    world.step()
    name = world.ours()[0]["metadata"]["name"]
    world.user.delete(NETWORK_POLICY, name, "team-a")
    foreign = world.policy("{podSelector: {}, policyTypes: [Ingress]}", name)
    world.step()

    assert world.ours()[0]["spec"] == foreign["spec"]
    assert world.result().reason is EgressReason.WRITE_REFUSED


def test_another_releases_policies_stay(world: EgressWorld) -> None:
    """Under our very name, or one that we would take away."""
    world.step()
    name = world.ours()[0]["metadata"]["name"]
    theirs = []
    for taken in (name, f"{name}-more"):
        labels = {MANAGED_BY_LABEL: MANAGED_BY, RELEASE_LABEL: "a.b"}
        meta = {"name": taken, "namespace": "team-a", "labels": labels}
        spec = {"podSelector": {"matchLabels": {INJECTED_LABEL: "true"}}}
        with suppress(NotFound):
            world.user.delete(NETWORK_POLICY, taken, "team-a")
        theirs.append(
            world.user.apply(NETWORK_POLICY, {"metadata": meta, "spec": spec})
        )
    world.step(60)

    assert world.ours() == theirs
    assert world.result().reason is EgressReason.WRITE_REFUSED


def test_a_policy_from_before_releases_had_names_is_labeled(
    world: EgressWorld,
) -> None:
    """Earlier versions wrote no such label."""
    world.step()
    meta = {
        "name": world.ours()[0]["metadata"]["name"],
        "namespace": "team-a",
        "labels": {RELEASE_LABEL: None},
    }
    world.user.patch(NETWORK_POLICY, {"metadata": meta})
    world.step(60)

    assert world.ours()[0]["metadata"]["labels"][RELEASE_LABEL] == MANAGED_BY


def test_a_foreign_policy_that_took_the_name_meanwhile_stays(
    world: EgressWorld,
) -> None:
    """A delete names the very object that was seen."""
    world.step()
    name = world.ours()[0]["metadata"]["name"]
    world.delete()

    def replace() -> None:
        world.user.delete(NETWORK_POLICY, name, "team-a")
        world.policy("{podSelector: {}, policyTypes: [Ingress]}", name)

    world.cluster.meanwhile("delete", replace)
    world.step()

    assert [one["metadata"]["name"] for one in world.ours()] == [name]


def test_what_refuses_does_not_stop_the_rest_of_its_namespace(
    world: EgressWorld,
) -> None:
    """One policy of two is refused; deletes go first."""
    world.step()
    first = world.ours()[0]["metadata"]["name"]
    world.delete()
    for name in ("head", "worker"):
        spec = (
            f"{{podSelector: {{matchLabels: {{role: {name}}}}}, policyTypes: [Egress]}}"
        )
        world.policy(spec, name)
    world.step()
    names = [one["metadata"]["name"] for one in world.ours()]
    for name in names:
        world.user.delete(NETWORK_POLICY, name, "team-a")
    world.cluster.fail(
        lambda c: (c.verb, c.key.name) == ("apply", names[0]), ERRORS["422"]
    )
    world.step()

    assert first not in names
    assert [one["metadata"]["name"] for one in world.ours()] == [names[1]]


def test_a_server_that_is_away_is_asked_once_a_try(world: EgressWorld) -> None:
    """Twenty policies must not cost twenty timeouts."""
    for number in range(20):
        spec = (
            f"{{podSelector: {{matchLabels: {{n: n{number}}}}}, policyTypes: [Egress]}}"
        )
        world.policy(spec, f"p{number}")
    world.delete()
    world.step()
    for one in world.ours():
        world.user.delete(NETWORK_POLICY, one["metadata"]["name"], "team-a")
    refuse(world, ERRORS["timeout"])
    world.cluster.calls.clear()
    world.refresh()
    world.egress_controller.step()

    assert world.cluster.counts()["apply"] == 1


def test_what_a_namespace_left_behind_is_dropped_with_it(world: EgressWorld) -> None:
    """Thousands of namespaces come and go in a companion's life."""
    world.step()
    world.zone.records["mlflow.example.org"] = ("203.0.113.9",)
    world.step(60)
    sizes = _sizes(world)
    world.label("team-a", on=False)
    world.step()

    assert sizes["_pauses"] == sizes["_planned"] == 1
    assert set(_sizes(world).values()) == {0}


def _sizes(world: EgressWorld) -> dict[str, int]:
    egress, dns = vars(vars(world.egress)["_planner"]), vars(world.dns)
    return {
        "_planned": len(egress["_planned"]),
        "_pauses": len(vars(vars(world.egress.applier)["_pauses"])["_ends"]),
        "_wanted": len(dns["_wanted"]),
    }


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_one_namespace_that_fails_for_good_keeps_nobody_waiting(
    error: ClusterError,
) -> None:
    """Fifty others converge, again and again."""
    world = EgressWorld()
    others = [f"team-{number}" for number in range(50)]
    for name in ("bad", *others):
        world.label(name)
        world.policy(DENY, namespace=name)
    refuse(world, error, namespace="bad")
    for address in ("203.0.113.7", "203.0.113.8"):
        world.zone.records["mlflow.example.org"] = (address,)
        world.step(60)
        for name in others:
            assert f"{address}/32" in world.opened(name)
            assert world.result(name).reason is EgressReason.EGRESS_READY
    assert (world.result("bad").reason, world.ours("bad")) == (
        EgressReason.WRITE_REFUSED,
        [],
    )


def test_who_no_longer_leads_stops_in_the_middle(world: EgressWorld) -> None:
    """It says so to nobody, and takes it up again when it leads again."""
    world.step()
    world.delete()
    world.refresh()
    world.policy(DENY, "another")
    world.refresh()
    world.leads = False
    while world.egress_controller.step():
        pass
    meanwhile, events = world.result(), world.events()
    world.leads = True
    world.step(15)

    assert meanwhile.reason is EgressReason.WRITE_REFUSED
    assert events == []
    assert world.result().reason is EgressReason.EGRESS_READY


def test_a_policy_that_cannot_be_read_any_more_keeps_its_shadow(
    world: EgressWorld,
) -> None:
    """It may isolate what it did, and then the shadow alone permits the server."""
    world.step()
    before = world.ours()
    world.policy("{podSelector: {}, policyTypes: [Egress, Sideways]}")
    world.step()

    assert len(before) == 1
    assert world.ours() == before
    assert world.result().reason is EgressReason.SELECTOR_UNREADABLE
    assert world.result().orphans == 0

    world.delete()
    world.step()

    assert world.ours() == []
