"""Odd objects: what API servers take although one would not think so, and more.

Each is made from a good one by changes at random places, from a fixed seed: a field is
missing, null, of another type, out of range, at its limit or nested deeply. The first
ones are those that once stopped a companion.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from tests.fakes.ownership import copied
from webhook.injection.names import INJECT_LABEL, MIRROR_SECRET, PROFILE_LABEL

Json = dict[str, Any]
Path = tuple[str | int, ...]

ODD: Final = "odd"
"""The namespace, or the beginning of its name, and the profile of what is odd."""
COUNT: Final = 300
"""Of each kind."""
_DEPTH: Final = 900
"""API servers take 10 000; the project's own reader of JSON bears more than this."""


def _deep(depth: int) -> Any:
    value: Any = 0
    for number in range(depth):
        value = [value] if number % 2 else {"": value}
    return value


_LIMIT: Final = "/".join((".".join(["a" * 63] * 3 + ["b" * 61]), "c" * 63))
"""As long as the key of a label can be."""
_VALUES: Final[Sequence[Any]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    65_536,
    2**31,
    2**63,
    2**64,
    1e308,
    0.5,
    "",
    " ",
    "0",
    "None",
    "\0",
    "\u202e\ud7ff\U0010ffff",
    "a" * 63,
    "a" * 253,
    _LIMIT,
    "x" * 300_000,
    "010.0.0.1",
    "010.000.000.001",
    "::ffff:010.0.0.1",
    "256.1.1.1",
    "0.0.0.0/0",
    "10.0.0.0/33",
    "010.0.0.0/08",
    "fe80::1%eth0",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "2026-02-30T25:61:61Z",
    "%zz",
    "====",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"": None},
    {"a": []},
    {_LIMIT: "d" * 63},
    _deep(3),
    _deep(_DEPTH),
)


def managed(time: str) -> Json:
    """Managed fields as their owner may write them: API servers check no year."""
    fields: Json = {"f:data": {".": {}, "f:A": {}}}
    return {
        "manager": "x",
        "operation": "Update",
        "apiVersion": "v1",
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


YEARS: Final = ("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z")
EXTERNAL: Final[Json] = {
    "ports": [{"port": 5000, "targetPort": 22, "protocol": "TCP"}],
    "selector": {"app": "evil"},
    "externalIPs": ["010.0.0.1"],
}
"""A Service's spec that API servers up to 1.35 take."""
STOPPERS: Final[Mapping[str, Sequence[tuple[Path, Any]]]] = {
    "Secret": [(("metadata", "managedFields"), [managed(one)]) for one in YEARS],
    "Service": [
        (("spec",), EXTERNAL),
        (("spec",), EXTERNAL | {"clusterIPs": ["010.0.0.1"], "clusterIP": "010.0.0.1"}),
        (("spec",), EXTERNAL | {"externalIPs": ["203.0.113.7"]}),
        (("spec",), EXTERNAL | {"externalIPs": ["10.0.0.10"]}),
    ],
    "EndpointSlice": [(("endpoints",), [{"addresses": ["010.0.0.1"]}])],
    "NetworkPolicy": [
        (
            ("spec", "egress"),
            [
                {
                    "to": [
                        {"ipBlock": {"cidr": "010.0.0.0/8", "except": ["010.1.0.0/16"]}}
                    ]
                }
            ],
        )
    ],
}
"""What stopped a companion once, by kind: exactly so."""


def _paths(value: Any, at: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield (*at, key)
            yield from _paths(child, (*at, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield (*at, index)
            yield from _paths(child, (*at, index))


def _parent(body: Any, path: Path) -> Any:
    """What holds the end of a path, if the changes so far have left it."""
    for step in path[:-1]:
        if isinstance(body, dict):
            body = body.get(step)
        elif isinstance(body, list) and step in range(len(body)):
            body = body[int(step)]
        else:
            return None
    return body


def _set(body: Any, path: Path, value: Any) -> None:
    parent, last = _parent(body, path), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and last in range(len(parent)):
        parent[int(last)] = value


def _remove(body: Any, path: Path) -> None:
    del _parent(body, path)[path[-1]]


def odd_objects(
    good: Callable[[int], Json], kept: Sequence[Path] = (), count: int = COUNT
) -> Iterator[Json]:
    """Make as many odd objects; the same ones each time.

    Args:
        good: makes the n-th good one; what is odd is odd about it.
        kept: what selects it: without these the companion would not even look.
        count: how many.
    """
    stoppers = STOPPERS.get(good(0)["kind"], ())
    for number, (path, value) in enumerate(stoppers):
        body = copied(good(number))
        _set(body, path, copied(value))
        yield body
    chance = random.Random(good(0)["kind"])  # noqa: S311 - the same ones each time
    for number in range(len(stoppers), count):
        body = copied(good(number))
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            places = [one for one in _paths(body) if not _is_kept(one, kept)]
            if not places:
                break
            # Shallow ones as often as deep ones, of which there are more.
            depth = chance.choice(sorted({len(one) for one in places}))
            path = chance.choice([one for one in places if len(one) == depth])
            if chance.random() < 0.15:
                _remove(body, path)
            else:
                _set(body, path, copied(chance.choice(_VALUES)))
        yield body


def _is_kept(path: Path, kept: Sequence[Path]) -> bool:
    """Whether a change there would change what is to be kept."""
    return any(path == one[: len(path)] for one in kept)


def _meta(name: str, namespace: str = ODD, **labels: str) -> Json:
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}-{namespace}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"a": "b"} | labels,
        "annotations": {"a": "b"},
        "ownerReferences": [
            {
                "apiVersion": "ray.io/v1",
                "kind": "RayCluster",
                "name": f"owner-{name}",
                "uid": f"owner-{name}",
                "controller": True,
            }
        ],
        "managedFields": [managed("2026-01-01T00:00:00Z")],
    }


def namespace(number: int) -> Json:
    """A labeled Namespace."""
    meta = _meta(f"{ODD}-n{number}") | {
        "labels": {INJECT_LABEL: "enabled", PROFILE_LABEL: ODD, "egress": "observe"}
    }
    del meta["namespace"]
    return {"kind": "Namespace", "metadata": meta, "status": {"phase": "Active"}}


def mirror(number: int) -> Json:
    """A Secret of the mirror's name, in a labeled namespace."""
    return _data("Secret", MIRROR_SECRET, f"{ODD}-{number % 50}") | {"type": "Opaque"}


def _data(kind: str, name: str, home: str) -> Json:
    data = {"A": "YQ==", "TRACKING_URI": "aHR0cHM6Ly9hLmV4YW1wbGUub3Jn"}
    return {"kind": kind, "metadata": _meta(name, home), "data": data}


def source_secret(number: int) -> Json:
    """A source of the profile of its own."""
    return _data("Secret", ODD, "release") | {"type": "Opaque"}


def source_config_map(number: int) -> Json:
    """Another source of that profile."""
    return _data("ConfigMap", ODD, "release") | {"binaryData": {"B": "Yg=="}}


def shadowing(number: int) -> Json:
    """A ConfigMap whose keys may win, in a labeled namespace."""
    name = "michelangelo-config"
    return _data("ConfigMap", name, f"{ODD}-{number % 50}") | {
        "binaryData": {"B": "Yg=="}
    }


def report(number: int) -> Json:
    """The ConfigMap that holds the report."""
    body = _data("ConfigMap", "tracking-injector-status", "release")
    return body | {"data": {"status.json": "{}"}}


def pod(number: int) -> Json:
    """A task pod with everything that is read of one."""
    running = {"running": {"startedAt": "2026-01-01T00:00:01Z"}}
    labels = {"ray.io/node-type": "head", "ray.io/cluster": "c"}
    source = {"configMapRef": {"name": "michelangelo-config"}, "prefix": "P_"}
    container = {
        "name": "ray-head",
        "image": "i",
        "env": [{"name": "RAY_ADDRESS", "value": "a"}],
        "envFrom": [source, {"secretRef": {"name": MIRROR_SECRET}}],
    }
    return {
        "kind": "Pod",
        "metadata": _meta(f"p-{number}", **labels),
        "spec": {"containers": [container, {"name": "side", "image": "i"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "ray-head", "state": running}],
        },
    }


def ray_cluster(number: int) -> Json:
    """Who made a pod; it is asked for by name."""
    meta = _meta(f"owner-p-{number}")
    return {"kind": "RayCluster", "metadata": meta, "spec": {"headGroupSpec": {}}}


def policy(number: int) -> Json:
    """A NetworkPolicy with everything that one can say."""
    terms = [{"key": "k", "operator": "In", "values": ["v"]}]
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": terms}
    ports = [{"protocol": "TCP", "port": 443, "endPort": 444}]
    peers = [
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        {"podSelector": selector, "namespaceSelector": selector},
    ]
    return {
        "kind": "NetworkPolicy",
        "metadata": _meta(f"q-{number}"),
        "spec": {
            "podSelector": selector,
            "policyTypes": ["Egress", "Ingress"],
            "egress": [{"to": peers, "ports": ports}],
            "ingress": [{"from": peers, "ports": ports}],
        },
    }


def service(number: int) -> Json:
    """A Service."""
    port = {"name": "h", "port": 80, "targetPort": "h", "protocol": "TCP"}
    address = f"10.9.{number // 250}.{number % 250}"
    return {
        "kind": "Service",
        "metadata": _meta(f"s-{number}"),
        "spec": {
            "clusterIP": address,
            "clusterIPs": [address],
            "externalIPs": ["192.0.2.1"],
            "selector": {"app": "a"},
            "ports": [port],
            "type": "ClusterIP",
        },
    }


def endpoint_slice(number: int) -> Json:
    """Endpoints of such a Service."""
    label = {"kubernetes.io/service-name": f"s-{number}"}
    endpoint = {
        "addresses": ["10.8.0.1"],
        "conditions": {"ready": True},
        "targetRef": {"kind": "Pod", "name": "p"},
    }
    meta = _meta(f"s-{number}")
    return {
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": meta | {"labels": label},
        "endpoints": [endpoint, endpoint],
        "ports": [{"name": "h", "port": 80, "protocol": "TCP"}],
    }


def node(number: int) -> Json:
    """A Node."""
    meta = _meta(f"node-{number}")
    del meta["namespace"]
    addresses = [
        {"type": "InternalIP", "address": "172.18.0.2"},
        {"type": "Hostname", "address": "node"},
    ]
    return {"kind": "Node", "metadata": meta, "status": {"addresses": addresses}}


def lease(number: int) -> Json:
    """The Lease by which one replica leads."""
    return {
        "kind": "Lease",
        "metadata": _meta("tracking-injector-companion", "release"),
        "spec": {
            "holderIdentity": "somebody",
            "leaseDurationSeconds": 15,
            "leaseTransitions": 1,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
        },
    }


def addresses(number: int) -> Json:
    """The content of the ConfigMap that remembers what names resolved to."""
    return {
        "kind": "addresses",
        "mlflow.example.org": {
            "seen": {"2026-01-01T00:00:00+00:00": ["203.0.113.7", "2001:db8::1"]},
            "last": "NOERROR",
            "succeeded": "2026-01-01T00:00:00+00:00",
            "rotated": "2026-01-01T00:00:00+00:00",
            "failures": 0,
            "growth": 1,
        },
    }
