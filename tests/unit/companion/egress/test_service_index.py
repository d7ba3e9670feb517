"""When the index is built anew, and what nodes are in it."""

from tests.unit.companion.egress.egress_world import EgressWorld
from webhook.cluster.errors import Forbidden
from webhook.cluster.resources import NODE, SERVICE
from webhook.companion.egress.service_index import ServiceIndexCache


def test_the_index_is_the_same_object_until_something_changes() -> None:
    """A thousand namespaces are planned with one."""
    world = EgressWorld()
    world.refresh()
    assert world.caches.egress is not None
    cache, told = ServiceIndexCache(world.caches.egress, "cluster.local"), []
    cache.subscribe(lambda: told.append(1))
    first = cache.index()
    world.refresh()
    again = cache.index()
    world.apply(SERVICE, "web", "{clusterIP: 10.0.7.8, ports: [{port: 80}]}", "release")
    world.refresh()

    assert first is again
    assert ("release", "web") in cache.index().services
    assert told == [1]


def test_nodes_that_may_not_be_seen_are_unknown_not_none() -> None:
    """An address might be a node's; with the right, it is known which are."""
    world = EgressWorld()
    world.cluster.forbid(lambda call: call.kind == NODE)
    world.restart()
    world.refresh()
    assert world.caches.egress is not None
    cache = ServiceIndexCache(world.caches.egress, "cluster.local")
    unknown = cache.index().nodes
    world.cluster.allow_all()
    world.refresh()

    assert isinstance(world.caches.egress.nodes.health.failing, Forbidden | None)
    assert unknown is None
    assert cache.index().nodes == frozenset()
