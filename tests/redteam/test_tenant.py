"""A tenant's objects change nothing of anybody else's, on a cluster in memory."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from tests.redteam.attacks import ATTACKS, DNS, TENANT, TRACKER
from tests.unit.companion.built import CANARY, DENY, KEYS, Built
from webhook.cluster.errors import ClusterError, NotFound
from webhook.cluster.interface import Json, ListOptions
from webhook.cluster.metadata import key
from webhook.cluster.resources import (
    CONFIG_MAP,
    ENDPOINT_SLICE,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    SECRET,
    SERVICE,
)
from webhook.injection.names import MIRROR_SECRET
from webhook.mirror.reasons import MirrorReason

KINDS = {
    one.name: one
    for one in (CONFIG_MAP, ENDPOINT_SLICE, NETWORK_POLICY, POD, SECRET, SERVICE)
}


def others(built: Built) -> list[Json]:
    """Every Secret and policy but the attacker's, with its version."""
    return [
        body
        for kind in (SECRET, NETWORK_POLICY)
        for key, (_, body) in sorted(
            built.user.list(ListOptions(kind), dict).items.items()
        )
        if key.namespace != TENANT and not key.name.startswith("tracking-injector-tls")
    ]


def attack(built: Built, name: str) -> list[Json]:
    """What of it an API server takes; this one takes all that has a shape."""
    done = []
    for body in ATTACKS[name]():
        kind = KINDS[body["kind"]]
        stored = built.user.apply(kind, body)
        claimed = body["metadata"].get("managedFields")
        if claimed:  # an apply keeps its own; who replaces an object writes any
            found = built.cluster.find(kind, key(stored))
            found["metadata"]["managedFields"] = claimed
        done.append(stored)
    return done


@pytest.fixture(name="built")
def _built(tmp_path: Path) -> Built:
    """A victim with a mirror, a policy that isolates, and a shadow of it."""
    built = Built(tmp_path)
    built.create(NAMESPACE, TENANT, "")
    for name in ("ray", "spark"):
        built.label(name)
        built.spec(NETWORK_POLICY, "deny", DENY, name)
    built.create(NAMESPACE, "kube-system", "")
    built.create(
        SERVICE,
        "kube-dns",
        "kube-system",
        spec={
            "clusterIP": DNS,
            "clusterIPs": [DNS],
            "selector": {"k8s-app": "kube-dns"},
            "ports": [{"port": 53, "protocol": "UDP"}],
        },
    )
    built.start()
    built.settle(60)
    return built


def opened(built: Built) -> set[str]:
    """Every range that the victims' pods may reach by our policies."""
    return {
        peer["ipBlock"]["cidr"]
        for body in others(built)
        for rule in (body.get("spec") or {}).get("egress") or ()
        for peer in rule.get("to") or ()
        if "ipBlock" in peer
    }


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_nobody_else_notices(built: Built, name: str, restarted: bool) -> None:
    """No object of another namespace changes; new namespaces are served; no leak."""
    before = others(built)
    assert f"{TRACKER}/32" in opened(built)
    attack(built, name)
    if restarted:
        built.start()
    for _ in range(3):
        built.settle(60)

    assert others(built) == before
    built.label("new")
    built.settle(5)
    assert mirrored(built, "new")
    mirrors = built.companion.results.mirrors.items()
    assert {mirrors[one].reason for one in ("ray", "spark", "new")} == {
        MirrorReason.MIRRORED
    }
    told = (
        built.log.lines,
        built.companion.status.text(),
        generate_latest(built.companion.registry),
    )
    assert CANARY not in str(told)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_namespace_with_an_attack_in_it_can_be_switched_on(
    built: Built, name: str
) -> None:
    """What was there before the label costs that namespace alone."""
    attack(built, name)
    before = others(built)
    built.label(TENANT)
    for _ in range(3):
        built.settle(60)

    assert others(built) == before
    result = built.companion.results.mirrors.get(TENANT)
    assert result is not None
    assert result.reason is not MirrorReason.INTERNAL_ERROR
    built.label("new")
    built.settle(5)
    assert mirrored(built, "new")


def mirrored(built: Built, namespace: str) -> bool:
    """Whether the mirror there has the keys."""
    try:
        body: dict[str, Any] = built.user.get(SECRET, MIRROR_SECRET, namespace)
    except (NotFound, ClusterError):
        return False
    return sorted(body["data"]) == sorted(KEYS)
