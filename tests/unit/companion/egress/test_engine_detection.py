"""Which other engines are found, when they are looked for, and what is said."""

from datetime import timedelta

import pytest

from tests.unit.companion.egress.egress_world import EgressWorld
from webhook.cluster.errors import Forbidden, Unavailable
from webhook.cluster.resources import (
    CONFIG_MAP,
    NAMESPACE,
    NETWORK_POLICY,
    ResourceType,
)
from webhook.companion.egress.engine_detection import KEY, EngineResult
from webhook.egress.engines.detect import Engine
from webhook.egress.reasons import EgressReason

CILIUM = ResourceType("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies")
SIDECAR = ResourceType("networking.istio.io", "v1", "Sidecar", "sidecars")


def detection(world: EgressWorld) -> EngineResult:
    """Return what is known of other engines."""
    found = world.engine_results.results.get(KEY)
    assert found is not None
    return found


def test_an_engine_with_an_object_here_is_told_with_what_to_do(
    world: EgressWorld,
) -> None:
    """In its own namespace, and nowhere else."""
    world.label("team-b")
    meta = {"name": "deny-all", "namespace": "team-a"}
    world.user.apply(CILIUM, {"metadata": meta, "spec": {"egress": []}})
    world.step()
    (told,) = [m for r, _, m in world.events() if r == "OtherEgressControls"]

    assert told == (
        "CiliumNetworkPolicy team-a/deny-all may restrict egress; its owner adds what"
        " `tracking-injector egress plan -n team-a --engine cilium` prints."
    )
    assert EgressReason.OTHER_EGRESS_CONTROLS not in world.reasons("team-b")
    assert detection(world).detected.engines == {Engine.CILIUM: ()}


@pytest.mark.parametrize("version", ["v1alpha2", "v1beta1", "v1"])
def test_an_object_is_read_in_the_version_that_is_served(
    world: EgressWorld, version: str
) -> None:
    """None is a constant of ours: engines move on."""
    group, kind = "policy.networking.k8s.io", "ClusterNetworkPolicy"
    known = ResourceType(
        group, version, kind, "clusternetworkpolicies", namespaced=False
    )
    spec = {"egress": [{"action": "Deny"}]}
    world.user.apply(known, {"metadata": {"name": "closed"}, "spec": spec})
    world.step()

    assert EgressReason.OTHER_EGRESS_CONTROLS in world.reasons("team-a")


def test_what_may_not_be_listed_is_unknown_and_said_so(world: EgressWorld) -> None:
    """Nothing is guessed, and nobody is alarmed."""
    world.cluster.served.add("cilium.io")
    world.cluster.forbid(lambda call: call.kind.group == "cilium.io")
    world.step()

    assert detection(world).detected.engines == {
        Engine.CILIUM: (
            "ciliumnetworkpolicies.cilium.io",
            "ciliumclusterwidenetworkpolicies.cilium.io",
        )
    }
    assert EgressReason.OTHER_EGRESS_CONTROLS not in world.reasons()


def test_a_kind_that_fails_for_good_hides_no_other(world: EgressWorld) -> None:
    """Its conversion webhook is dead; it is unseen, and looked for again."""
    meta = {"name": "deny-all", "namespace": "team-a"}
    world.user.apply(CILIUM, {"metadata": meta, "spec": {"egress": []}})
    world.cluster.served.add("crd.antrea.io")
    world.cluster.fail(
        lambda call: call.kind.group == "crd.antrea.io", Unavailable("conversion")
    )
    world.step()
    found = detection(world)

    assert EgressReason.OTHER_EGRESS_CONTROLS in world.reasons("team-a")
    assert found.detected.engines[Engine.ANTREA] == (
        "networkpolicies.crd.antrea.io",
        "clusternetworkpolicies.crd.antrea.io",
    )
    assert isinstance(found.error, Unavailable)
    world.cluster.allow_all()
    world.step(15)
    assert detection(world).detected.engines[Engine.ANTREA] == ()
    assert detection(world).error is None


def test_istio_may_close_the_whole_mesh(world: EgressWorld) -> None:
    """By its ConfigMap, or by a Sidecar in its own namespace."""
    world.user.apply(NAMESPACE, {"metadata": {"name": "istio-system"}})
    meta = {"name": "istio", "namespace": "istio-system"}
    closed = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"
    world.user.apply(CONFIG_MAP, {"metadata": meta, "data": {"mesh": closed}})
    outbound = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
    meta = {"name": "default", "namespace": "istio-system"}
    world.user.apply(SIDECAR, {"metadata": meta, "spec": outbound})
    world.step()
    (told,) = [f for f in world.result().findings if f.subject == Engine.ISTIO]

    assert told.message.startswith(
        "REGISTRY_ONLY in ConfigMap istio-system/istio, Sidecar istio-system/default"
    )


def test_istios_settings_may_be_out_of_sight(world: EgressWorld) -> None:
    """Or not be there at all."""
    world.cluster.served.add("networking.istio.io")
    world.step()
    absent = detection(world).detected.engines
    world.cluster.forbid(lambda call: call.key.namespace == "istio-system")
    world.restart()
    world.step()

    assert absent == {Engine.ISTIO: ()}
    assert detection(world).detected.engines == {
        Engine.ISTIO: ("ConfigMap istio-system/istio",)
    }


def test_engines_are_looked_for_again_after_half_an_hour(world: EgressWorld) -> None:
    """And a server that is away meanwhile changes nothing."""
    world.step()
    world.cluster.served.add("crd.antrea.io")
    world.step(60)
    before = detection(world).detected.engines
    world.cluster.forbid(lambda call: call.verb == "groups")
    world.step(1800)
    away = detection(world).detected.engines
    world.cluster.allow_all()
    world.step(1800)

    assert before == away == {}
    assert list(detection(world).detected.engines) == [Engine.ANTREA]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("", ["cluster"]),
        ("crd.antrea.io", []),
        ("kubeovn.io", ["kubeovn.io"]),
        ("kuma.io", ["cluster", "kuma.io"]),
    ],
)
def test_a_cluster_that_shows_no_network_plugin_is_noted(
    world: EgressWorld, group: str, expected: list[str]
) -> None:
    """NetworkPolicy without one is a wish; one that is not read is named."""
    world.cluster.served |= {group} - {""}
    world.step()

    findings = detection(world).findings
    assert sorted(f.subject for f in findings) == expected
    assert {f.reason for f in findings} <= {EgressReason.ENFORCEMENT_UNKNOWN}


def test_a_refused_egress_write_does_not_stop_the_search(world: EgressWorld) -> None:
    """One team's admission policy is no reason not to see Antrea."""
    world.cluster.fail(
        lambda c: (c.verb, c.kind) == ("apply", NETWORK_POLICY), Forbidden("no")
    )
    world.cluster.served.add("crd.antrea.io")
    world.step()

    assert world.result().reason is EgressReason.WRITE_REFUSED
    assert list(detection(world).detected.engines) == [Engine.ANTREA]


def test_a_first_look_that_fails_is_repeated_within_seconds(world: EgressWorld) -> None:
    """Half an hour is for looks that worked."""
    world.cluster.served.add("crd.antrea.io")
    world.cluster.fail(lambda c: c.verb == "groups", Unavailable("not now"))
    world.step()
    failed = detection(world)
    world.cluster.allow_all()
    world.step(15)

    assert isinstance(failed.error, Unavailable)
    assert failed.detected.enforced is None
    assert list(detection(world).detected.engines) == [Engine.ANTREA]
    assert detection(world).requeue_after == 1800


@pytest.mark.parametrize("spec", [[], "none", {"egress": 1, "enableDefaultDeny": []}])
def test_an_object_that_cannot_be_read_may_restrict(
    world: EgressWorld, spec: object
) -> None:
    """It is named, and ends nothing."""
    meta = {"name": "odd", "namespace": "team-a"}
    world.user.apply(CILIUM, {"metadata": meta, "spec": spec, "specs": [spec]})
    world.step()

    assert detection(world).error is None
    assert EgressReason.OTHER_EGRESS_CONTROLS in world.reasons()


def test_only_a_look_that_finds_something_else_queues_namespaces(
    world: EgressWorld,
) -> None:
    """An idle cluster costs no plan."""
    world.step()
    queue, found = world.egress_controller.queue, []
    for group in ("", "crd.antrea.io"):
        world.cluster.served |= {group} - {""}
        world.now += timedelta(seconds=1801)
        assert world.engine_results.step()
        found.append(queue.get(0))

    assert found == [None, "team-a"]
