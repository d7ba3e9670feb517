"""What a namespace's objects take up is counted, and bounded for each namespace."""

import gc
import json
import tracemalloc
from collections.abc import Callable

import pytest

from webhook.cluster.interface import Json, ObjectKey, ObjectList
from webhook.cluster.quota import NAMESPACE_BYTES, NamespaceUsage, footprint
from webhook.cluster.store import FULL, ObjectStore, Unprojected
from webhook.companion import projections
from webhook.egress.services import EndpointSlice, Service
from webhook.mirror.secret import MIRROR_TYPE

META = {"name": "a", "namespace": "tenant"}


def policy(rule: Json) -> Json:
    """A NetworkPolicy of one rule."""
    return {"metadata": META, "spec": {"podSelector": {}, "egress": [rule]}}


def mirror(data: dict[str, str]) -> Json:
    """A Secret that is taken for the release's own."""
    return {"metadata": META, "type": MIRROR_TYPE, "data": data}


def address(number: int) -> str:
    """Each number's own."""
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


LARGE: dict[str, tuple[Callable[[Json], object], Callable[[int], Json]]] = {
    "ranges": (
        projections.network_policy,
        lambda n: policy(
            {"to": [{"ipBlock": {"cidr": f"{address(i)}/32"}} for i in range(n)]}
        ),
    ),
    "ports": (
        projections.network_policy,
        lambda n: policy({"ports": [{"port": i} for i in range(n)]}),
    ),
    "selectors": (
        projections.network_policy,
        lambda n: policy(
            {"to": [{"podSelector": {"matchLabels": {f"a{i}": ""}}} for i in range(n)]}
        ),
    ),
    "rules": (
        projections.network_policy,
        lambda n: {"metadata": META, "spec": {"egress": [{}] * n}},
    ),
    "endpoints": (
        EndpointSlice.parse,
        lambda n: {
            "metadata": META,
            "endpoints": [{"addresses": [address(i)]} for i in range(n)],
        },
    ),
    "a Service's ports": (
        Service.parse,
        lambda n: {
            "metadata": META,
            "spec": {"ports": [{"port": i, "name": f"n{i}"} for i in range(n)]},
        },
    ),
    "sources of a pod": (
        projections.task_pod,
        lambda n: {
            "metadata": META | {"labels": {"ray.io/node-type": "head"}},
            "spec": {
                "containers": [
                    {
                        "name": "a",
                        "envFrom": [
                            {"configMapRef": {"name": f"n{i}"}} for i in range(n)
                        ],
                    }
                ]
            },
        },
    ),
    "keys of a mirror": (
        projections.mirror_state,
        lambda n: mirror({f"k{i}": "" for i in range(n)}),
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_no_less_is_counted_than_is_taken(name: str) -> None:
    """By what the interpreter allocates; and not much more."""
    project, make = LARGE[name]
    text = json.dumps(make(3000))
    project(json.loads(text))
    gc.collect()
    tracemalloc.start()
    kept = project(json.loads(text))
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken * 0.9 < footprint(kept) < taken * 4


def test_counting_ends_when_it_is_enough() -> None:
    """So that it costs no more than the room that there is."""
    texts = tuple("x" * n for n in range(500, 1000))

    assert 5000 < footprint(texts, 5000) < 7000


def test_what_is_dropped_makes_room() -> None:
    """For others of the same namespace; other namespaces have their own."""
    usage = NamespaceUsage(limit=1000)

    assert usage.takes("a", "x" * 600)
    assert not usage.takes("a", "x" * 600)
    assert usage.takes("b", "x" * 600)
    usage.drop("a", "x" * 600)
    assert usage.takes("a", "y" * 600)


def test_objects_without_a_namespace_are_not_bounded() -> None:
    """Administrators make them."""
    usage = NamespaceUsage(limit=1)

    assert usage.takes("", "x" * 600)
    usage.drop("", "x" * 600)


HALF = "x" * (NAMESPACE_BYTES // 2)


def key(name: str, namespace: str = "tenant") -> ObjectKey:
    """Of an object."""
    return ObjectKey(namespace, name)


def listing(**items: str | Unprojected) -> ObjectList[str | Unprojected]:
    """What a list says of a tenant's namespace."""
    return ObjectList({key(name): (1, one) for name, one in items.items()}, "9")


def test_a_full_namespace_leaves_out_its_own_objects() -> None:
    """They are named, and come in once there is room."""
    store = ObjectStore[str]()
    assert store.put(key("a"), 1, HALF)
    assert store.put(key("b"), 2, HALF)
    assert store.put(key("c", "other"), 3, HALF)

    assert store.unprojected() == {key("b"): FULL.error}
    assert store.unprojected("other") == {}
    assert set(store.items()) == {key("a"), key("c", "other")}
    assert store.items("tenant").keys() == {key("a")}
    store.remove(key("a"), 4)
    assert store.put(key("b"), 5, HALF)
    assert store.unprojected() == {}


def test_an_object_that_grows_too_large_is_not_known_any_more() -> None:
    """What was known of it would be wrong, unless it fits."""
    store = ObjectStore[str]()
    store.put(key("a"), 1, HALF)
    store.put(key("b"), 2, "small")
    store.put(key("b"), 3, HALF)
    store.put(key("a"), 4, HALF * 3)

    assert store.unprojected() == {key("a"): FULL.error, key("b"): FULL.error}
    assert store.get(key("b")) == "small"
    assert store.get(key("a")) == HALF
    assert store.put(key("a"), 5, "s")
    assert store.put(key("b"), 6, HALF)
    assert store.unprojected() == {}


def test_no_list_lets_a_namespace_keep_more_and_more() -> None:
    """Objects that cannot be read any more keep their last value only if it fits."""
    store = ObjectStore[str]()
    odd = Unprojected("ValueError")
    store.replace(listing(a=HALF))
    store.replace(listing(a=odd, b=HALF))
    store.replace(listing(a=odd, b=odd, c=HALF))

    kept = [len(one) for one in store.items().values()]
    assert sum(kept) <= NAMESPACE_BYTES
    assert set(store.unprojected()) == {key("a"), key("b"), key("c")}


def test_what_is_written_while_a_list_is_under_way_counts_once() -> None:
    """Of both versions only the newer one is kept."""
    store = ObjectStore[str]()
    store.begin_list()
    store.put(key("a"), 10, "new" * 1000, written=True)
    store.replace(listing(a="old" * 1000))
    assert store.get(key("a")) == "new" * 1000
    store.remove(key("a"))

    assert store.put(key("b"), 11, "x" * (NAMESPACE_BYTES - 100))


def test_large_mirrors_are_not_remembered_once_they_are_gone() -> None:
    """However often a tenant writes other keys into one."""
    gc.collect()
    tracemalloc.start()
    for turn in range(40):
        data = {f"k{turn}.{n}": "" for n in range(3000)}
        projections.mirror_state(mirror(data))
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 1 << 20


def test_of_a_foreign_secret_no_key_is_kept() -> None:
    """There may be one of thousands of keys in every namespace."""
    state = projections.mirror_state(mirror({"K": ""}) | {"type": "Opaque"})

    assert state.keys == ()
    assert projections.mirror_state(mirror({"K": ""})).keys == ("K",)
