"""Objects and requests of every size, made from a seed: what their reader holds grows.

Each is what an API server takes; sizes are drawn so that small and large ones mix.
"""

import base64
import random
from collections.abc import Callable, Iterator
from typing import Final

from tests.lab.api import Object
from tests.redteam.attacks import MIRROR, pod, policy, secret, service, slice_

SEED: Final = 13
COUNT: Final = 500
"""Of each kind."""
_SIZES: Final = (10, 100, 1_000, 25_000)
_WEIGHTS: Final = (50, 35, 10, 5)
"""How many parts an object has: the largest are what API servers just take."""


def address(number: int) -> str:
    """An address of its own for each number."""
    return f"11.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def policies(name: str, parts: int, chance: random.Random) -> Object:
    """A NetworkPolicy of ranges, selectors, ports or rules."""
    peers = [{"ipBlock": {"cidr": f"{address(n)}/32"}} for n in range(parts)]
    shapes: dict[str, list[Object]] = {
        "ranges": [{"to": peers}],
        "holes": [
            {
                "to": [
                    {
                        "ipBlock": {
                            "cidr": "11.0.0.0/8",
                            "except": [f"{address(n)}/32" for n in range(parts)],
                        }
                    }
                ]
            }
        ],
        "selectors": [
            {
                "to": [
                    {"podSelector": {"matchLabels": {f"a{n}": f"b{n}"}}}
                    for n in range(parts)
                ]
            }
        ],
        "values": [
            {
                "to": [
                    {
                        "namespaceSelector": {
                            "matchExpressions": [
                                {
                                    "key": "a",
                                    "operator": "In",
                                    "values": [f"v{n}" for n in range(parts)],
                                }
                            ]
                        }
                    }
                ]
            }
        ],
        "ports": [{"ports": [{"port": n % 65_535 + 1} for n in range(parts)]}],
        "rules": [{}] * parts,
        "one by one": [{"to": [peer]} for peer in peers],
    }
    shape = shapes[chance.choice(list(shapes))]
    labels = {f"l{n}": "" for n in range(min(parts, 3000))}
    metadata = chance.choice([{}, {"labels": labels}])
    if chance.random() < 0.3:
        ingress = [{"from": rule["to"]} for rule in shape if "to" in rule]
        both = {"policyTypes": ["Ingress", "Egress"], "ingress": ingress}
        return policy(name, metadata, egress=shape, **both)
    return policy(name, metadata, egress=shape)


def services(name: str, parts: int, chance: random.Random) -> Object:
    """A Service of many ports, labels to select or addresses."""
    ports = [
        {"name": f"p{n}", "port": n % 65_535 + 1, "targetPort": f"t{n}"}
        for n in range(min(parts, 3000))
    ]
    selector = {f"a{n}": f"b{n}" for n in range(min(parts, 3000))}
    annotations = {f"a{n}": "x" * 60 for n in range(min(parts, 2000))}
    metadata = chance.choice([{}, {"annotations": annotations}])
    # Mostly headless: a lab has 250 cluster IPs.
    specs: list[Object] = [
        {"clusterIP": "None", "ports": ports},
        {"clusterIP": "None", "ports": ports[:1], "selector": selector},
        {"ports": ports[:1], "externalIPs": [address(n) for n in range(parts)]},
        {"clusterIP": "None", "ports": ports, "selector": selector},
    ]
    return service(name, metadata, **chance.choice(specs))


def endpoint_slices(name: str, parts: int, chance: random.Random) -> Object:
    """An EndpointSlice of many endpoints, each with up to a hundred addresses."""
    each = chance.choice((1, 10, 100))
    ends = min(parts // each + 1, 1000)
    body = slice_(name, *map(address, range(ends)), of=chance.choice((name, "mlflow")))
    for number, one in enumerate(body["endpoints"]):
        one["addresses"] = [address(number * 100 + n) for n in range(each)]
    return body


def pods(name: str, parts: int, chance: random.Random) -> Object:
    """A task pod of many variables, sources, containers or labels."""
    labels = {chance.choice(("ray.io/node-type", "spark-role")): "head"}
    sources = [{"configMapRef": {"name": f"n{n}"}} for n in range(parts)]
    prefixed = [
        {"configMapRef": {"name": "michelangelo-config"}, "prefix": f"P{n}_"}
        for n in range(parts)
    ]
    env = [{"name": f"A{n}", "value": f"{n}"} for n in range(parts)]
    containers: list[Object] = [
        {"envFrom": sources},
        {"envFrom": prefixed},
        {"env": env},
    ]
    body = pod(name, labels, **chance.choice(containers))
    if chance.random() < 0.3:
        side = [{"name": f"c{n}", "image": "i"} for n in range(min(parts, 3000))]
        body["spec"]["containers"] += side
    if chance.random() < 0.3:
        labels |= {f"l{n}": "" for n in range(min(parts, 3000))}
    return body


def secrets(name: str, parts: int, chance: random.Random) -> Object:
    """A Secret of the mirror's name, which each namespace has one of."""
    value = base64.b64encode(b"x" * chance.choice((0, 1, 10))).decode()
    body = secret(MIRROR, data={f"K{n}": value for n in range(parts)})
    body["metadata"]["namespace"] = name
    return body


KINDS: Final[dict[str, Callable[[str, int, random.Random], Object]]] = {
    "pods": pods,
    "secrets": secrets,
    "services": services,
    "slices": endpoint_slices,
    "policies": policies,
}


def generated(kind: str, count: int = COUNT) -> Iterator[Object]:
    """Make objects of a kind; the same ones each time."""
    chance = random.Random(f"{SEED} {kind}")  # noqa: S311 - objects, not secrets
    for number in range(count):
        (parts,) = chance.choices(_SIZES, _WEIGHTS)
        yield KINDS[kind](f"{kind}-{number}", parts, chance)


def heads(count: int = COUNT) -> Iterator[bytes]:
    """Heads of requests: long, many, odd, whole or broken off."""
    chance = random.Random(f"{SEED} heads")  # noqa: S311 - bytes, not secrets
    pieces = (
        b"A: b\r\n", b"X-%d: y\r\n", b"Cookie: " + b"c" * 4000 + b"\r\n",
        b"Content-Length: 3000000\r\n", b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n", b" folded\r\n", b"\x00\xff: \x80\r\n",
        b"Content-Type: application/json\r\n", b"Connection: keep-alive\r\n",
    )  # fmt: skip
    for number in range(count):
        (parts,) = chance.choices((1, 30, 300, 3_000), (4, 3, 2, 1))
        path = b"/" + b"p" * chance.choice((0, 10, 3_000, 60_000))
        chosen = [chance.choice(pieces).replace(b"%d", b"%d" % n) for n in range(parts)]
        end = chance.choice((b"\r\n", b"", b"\r\n" + b"{" * 50_000))
        yield (
            b"POST %s HTTP/1.1\r\nHost: h%d\r\n" % (path, number)
            + b"".join(chosen)
            + end
        )
