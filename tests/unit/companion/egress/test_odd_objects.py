"""Objects with missing, wrong-typed and out-of-range fields: nobody else is harmed."""

import random
from contextlib import suppress
from typing import Any, Final

import pytest

from tests.unit.companion.egress.egress_world import DENY, EgressWorld
from webhook.cluster.errors import NotFound
from webhook.cluster.resources import (
    ENDPOINT_SLICE,
    NETWORK_POLICY,
    NODE,
    SERVICE,
    ResourceType,
)
from webhook.egress.reasons import EgressReason

OBJECTS: Final = 300
ODD: Final[list[Any]] = [
    *(None, 0, -1, 1.5, 2**70, True, "", "x" * 300, "010.0.0.1", "\ud800"),
    *([], {}, [None], [{}], {"a": None}, {"a": []}),
]
PEERS: Final = [
    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
    {"podSelector": {}, "namespaceSelector": {}},
]
GOOD: Final[dict[ResourceType, dict[str, Any]]] = {
    NETWORK_POLICY: {
        "spec": {
            "podSelector": {
                "matchLabels": {"a": "b"},
                "matchExpressions": [{"key": "x", "operator": "In", "values": ["y"]}],
            },
            "policyTypes": ["Egress", "Ingress"],
            "egress": [{"to": PEERS, "ports": [{"port": 80, "endPort": 90}]}],
            "ingress": [{"from": PEERS, "ports": [{"port": "http"}]}],
        }
    },
    SERVICE: {
        "spec": {
            "clusterIPs": ["10.0.7.9"],
            "selector": {"a": "b"},
            "ports": [{"port": 80, "targetPort": "http", "protocol": "TCP"}],
            "externalName": "x.example",
        }
    },
    ENDPOINT_SLICE: {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.2.0.1"], "conditions": {"ready": True}}],
        "ports": [{"port": 80, "name": "", "protocol": "TCP"}],
    },
    NODE: {"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}},
}


def spoil(value: Any, chance: random.Random) -> Any:
    """Return a value with one part of it missing or odd."""
    if not value or not isinstance(value, dict | list) or chance.random() < 0.2:
        return chance.choice(ODD)
    copy = value.copy()
    place = chance.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
    if chance.random() < 0.15:
        copy.pop(place)
    else:
        copy[place] = spoil(copy[place], chance)
    return copy


@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: kind.plural)
def test_an_odd_object_raises_nowhere(kind: ResourceType) -> None:
    """Not in the namespace that it is in, nor in one that dials a server there."""
    chance = random.Random(kind.plural)  # noqa: S311 - repeatable on purpose
    world = EgressWorld()
    world.keys.set("default", TRACKING_URI="http://mlflow.odd")
    for name in ("odd", "team-a"):
        world.label(name)
        world.policy(DENY, namespace=name)
    for number in range(OBJECTS):
        name = chance.choice(("mlflow", f"odd-{number}"))
        meta: dict[str, Any] = {"name": name}
        if kind.namespaced:
            meta["namespace"] = "odd"
        meta["labels"] = {"kubernetes.io/service-name": "mlflow"}
        body = spoil(GOOD[kind], chance)
        with suppress(NotFound):
            world.user.delete(kind, name, meta.get("namespace", ""))
        if isinstance(body, dict):
            world.user.create(kind, {**body, "metadata": meta})
        if number % 10 == 9:
            world.step(6)
            results = world.egress_controller.results.items()
            assert results.keys() == {"odd", "team-a"}
            assert {result.error for result in results.values()} == {None}
    world.keys.set("default", TRACKING_URI="https://mlflow.example.org")
    world.step(6)

    assert world.result("team-a").reason is EgressReason.EGRESS_READY
    assert "203.0.113.7/32" in world.opened()
