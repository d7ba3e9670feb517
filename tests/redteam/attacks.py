"""What a tenant may write who has `edit` in one namespace that is not labeled.

Each attack is the objects that the tenant creates, as the API takes them. An API server
may refuse some, by its version: then there is less to survive.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.lab.api import Object

TENANT: Final = "mallory"
"""The attacker's namespace."""
TRACKER: Final = "203.0.113.7"
"""The tracking server's address in these worlds."""
DNS: Final = "10.0.0.10"
MIRROR: Final = "michelangelo-tracking"
DOMAIN: Final = "tracking.michelangelo-ai.org"
OURS: Final = {
    "app.kubernetes.io/managed-by": "tracking-injector",
    f"{DOMAIN}/release": "tracking-injector",
}
HEAD: Final = {"ray.io/node-type": "head"}
TASK: Final = {**HEAD, f"{DOMAIN}/injected": "true"}
EVIL: Final = base64.b64encode(b"http://evil.example").decode()


def made(api_version: str, kind: str, name: str, **parts: Any) -> Object:
    """An object in the tenant's namespace."""
    meta = {"name": name, "namespace": TENANT, **parts.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **parts}


def secret(name: str = MIRROR, type_: str = "Opaque", **parts: Any) -> Object:
    """A Secret."""
    given = {"data": {"TRACKING_URI": EVIL}, **parts}
    return made("v1", "Secret", name, type=type_, **given)


def service(name: str, metadata: Object | None = None, **spec: Any) -> Object:
    """A Service."""
    full = {"ports": [{"port": 443}], **spec}
    return made("v1", "Service", name, metadata=metadata or {}, spec=full)


def slice_(name: str, *addresses: str, family: str = "IPv4", of: str = "") -> Object:
    """An EndpointSlice."""
    return made(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        name,
        metadata={"labels": {"kubernetes.io/service-name": of or name}},
        addressType=family,
        endpoints=[{"addresses": [one]} for one in addresses],
        ports=[{"name": "", "port": 443, "protocol": "TCP"}],
    )


def policy(name: str, metadata: Object | None = None, **spec: Any) -> Object:
    """A NetworkPolicy."""
    full = {"podSelector": {}, "policyTypes": ["Egress"], **spec}
    kind = ("networking.k8s.io/v1", "NetworkPolicy")
    return made(*kind, name, metadata=metadata or {}, spec=full)


def pod(name: str, labels: Object, **container: Any) -> Object:
    """A pod that nobody schedules."""
    one = {"name": "head", "image": "example.com/a:1", **container}
    return made(
        "v1",
        "Pod",
        name,
        metadata={"labels": labels},
        spec={"containers": [one]},
    )


def written_at(time: str) -> Object:
    """Fields that somebody claims to have written at a time."""
    entry = {
        "manager": "x",
        "operation": "Update",
        "apiVersion": "v1",
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {".": {}, "f:TRACKING_URI": {}}},
    }
    return {"managedFields": [entry]}


def times() -> Iterator[Object]:
    """Times that Kubernetes can hold, and Python cannot."""
    for number, time in enumerate(
        ("0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z")
    ):
        name = MIRROR if number == 0 else f"{MIRROR}-{number}"
        yield secret(name, metadata=written_at(time))


def owned_pods() -> Iterator[Object]:
    """Pods whose owners are others' objects, or nothing that exists."""
    for number, (kind, name) in enumerate(
        [("RayCluster", "victim"), ("Pod", "pod-1"), ("Node", "x"), ("Secret", MIRROR)]
    ):
        body = pod(f"owned-{number}", HEAD)
        version = "ray.io/v1" if number == 0 else "v1"
        owner: Object = {"apiVersion": version, "kind": kind, "name": name}
        owner |= {"uid": f"uid-{number}", "controller": True}
        body["metadata"]["ownerReferences"] = [owner]
        yield body


def large_pods() -> Iterator[Object]:
    """Pods of hundreds of kilobytes."""
    env = [{"name": f"A{number}", "value": "x"} for number in range(10_000)]
    for number in range(12):
        yield pod(f"large-{number}", {"spark-role": "driver"}, env=env)


ATTACKS: Final[dict[str, Callable[[], Iterator[Object]]]] = {
    "times that Python lacks": times,
    "a squatter for later": lambda: iter([secret()]),
    "a mirror's type": lambda: iter(
        [secret(type_=f"{DOMAIN}/keys", metadata={"labels": OURS})]
    ),
    "an immutable mirror": lambda: iter(
        [secret(type_=f"{DOMAIN}/keys", immutable=True, metadata={"labels": OURS})]
    ),
    "a mirror with a finalizer": lambda: iter(
        [secret(type_=f"{DOMAIN}/keys", metadata={"finalizers": ["example.com/x"]})]
    ),
    "another release's mirror": lambda: iter(
        [
            secret(
                type_=f"{DOMAIN}/keys",
                metadata={"labels": {f"{DOMAIN}/release": "a.b"}},
            )
        ]
    ),
    "a megabyte in the mirror": lambda: iter(
        [secret(data={"A": base64.b64encode(b"x" * 700_000).decode()})]
    ),
    "thousands of keys": lambda: iter(
        [secret(data={f"K{number}": "eA==" for number in range(5_000)})]
    ),
    "externalIPs that no parser takes": lambda: iter(
        [service("odd", externalIPs=["010.0.0.1"])]
    ),
    "externalIPs of the tracker": lambda: iter(
        [service("tracker", externalIPs=[TRACKER], selector={"a": "b"})]
    ),
    "externalIPs of DNS": lambda: iter(
        [service("dns", externalIPs=[DNS], selector={"a": "b"})]
    ),
    "the tracker's name elsewhere": lambda: iter(
        [service("mlflow"), service("example"), slice_("mlflow", "198.51.100.66")]
    ),
    "names that lead to names": lambda: iter(
        [
            service("a", type="ExternalName", externalName=f"b.{TENANT}.svc"),
            service("b", type="ExternalName", externalName=f"a.{TENANT}.svc"),
            service("c", type="ExternalName", externalName="mlflow.example.org"),
        ]
    ),
    "endpoints at the tracker": lambda: iter([slice_("at", TRACKER, DNS)]),
    "endpoints that are nowhere": lambda: iter(
        [
            slice_("loop", "127.0.0.1", "169.254.169.254", "224.0.0.1"),
            slice_("six", "fe80::1", "::ffff:203.0.113.7", family="IPv6"),
            slice_("zeros", "010.0.0.1", "1.2.3"),
        ]
    ),
    "endpoints of the webhook": lambda: iter(
        [slice_("webhook", "198.51.100.66", of="tracking-injector")]
    ),
    "endpoints of DNS": lambda: iter([slice_("dns", "198.51.100.66", of="kube-dns")]),
    "ours by label and name": lambda: iter(
        [
            policy("mti-egress-isolate", {"labels": OURS}),
            policy("mti-egress-x", {"labels": OURS}, egress=[{}]),
        ]
    ),
    "a shadow of another's policy": lambda: iter(
        [
            policy(
                "mti-egress-owned",
                {
                    "labels": OURS,
                    "ownerReferences": [
                        {
                            "apiVersion": "networking.k8s.io/v1",
                            "kind": "NetworkPolicy",
                            "name": "deny",
                            "uid": "uid",
                        }
                    ],
                },
            )
        ]
    ),
    "policies with odd values": lambda: iter(
        [
            policy("cidr", egress=[{"to": [{"ipBlock": {"cidr": "::/0"}}]}]),
            policy("mapped", egress=[{"to": [{"ipBlock": {"cidr": "010.0.0.0/8"}}]}]),
            policy("ports", egress=[{"ports": [{"port": 9, "endPort": 10}]}]),
            policy("none", policyTypes=["Egress", "Ingress"], ingress=[{}]),
            policy(
                "every",
                podSelector={
                    "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]
                },
            ),
        ]
    ),
    "hundreds of policies": lambda: (policy(f"many-{n}") for n in range(200)),
    "pods that claim to be injected": lambda: (pod(f"p-{n}", TASK) for n in range(50)),
    "pods of others": owned_pods,
    "large pods": large_pods,
    "roles that nobody has": lambda: iter(
        [pod("a", {"ray.io/node-type": "x" * 60}), pod("b", {"spark-role": ""})]
    ),
    "a shadowing ConfigMap": lambda: iter(
        [made("v1", "ConfigMap", "michelangelo-config", data={"TRACKING_URI": "x"})]
    ),
    "our own objects' names": lambda: iter(
        [
            made("v1", "ConfigMap", "tracking-injector-status", data={"a": "b"}),
            made("v1", "ConfigMap", "tracking-injector-addresses", data={"a": "b"}),
            made("v1", "Secret", "tracking-injector-tls", data={"tls.crt": "eA=="}),
            made("v1", "ConfigMap", "uri", data={"TRACKING_URI": "http://evil"}),
            secret("keys"),
        ]
    ),
}
"""By name; `test_tenant` and `test_on_a_cluster` check what comes of each."""
