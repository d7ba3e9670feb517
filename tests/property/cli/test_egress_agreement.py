"""`egress plan` on a live release prints what its companion applied there."""

import base64
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.companion.egress.egress_world import (
    DENY,
    HOME,
    WORKERS,
    EgressWorld,
)
from webhook.cli import egress as command
from webhook.cluster.resources import CONFIG_MAP, NAMESPACE, NODE, SECRET, SERVICE
from webhook.egress.baseline import Baseline, parse_baseline
from webhook.egress.destinations import parse_extra
from webhook.egress.dns_cache import DnsOutcome
from webhook.egress.mode import EgressMode
from webhook.mirror.decide import NamespaceFilter

NAMES = ("team-a", "team-b", "lab")
URIS = (
    "https://mlflow.example.org",
    "https://other.example.org:8443",
    "http://mlflow.ml:80",
    "http://mlflow",
    "http://192.0.2.1:5000",
    "http://alias.ml",
    "file:/tmp/runs",
    "https://no host",
)
POLICIES = (
    DENY,
    WORKERS,
    "{podSelector: {}, policyTypes: [Ingress]}",
    "{policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}",
    "{policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}",
)
WHOLE = parse_baseline(
    '{"peers": "namespace", "apiServer": ["kubernetes.default.svc"],'
    ' "storage": ["other.example.org"], "michelangelo": []}',
    "baseline",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenery:
    """A random release and what it works in."""

    mode: EgressMode
    baseline: Baseline
    hosts: list[str]
    domain: str
    allowed: tuple[str, ...]
    excluded: tuple[str, ...]
    release: str
    uris: dict[str, str]
    before: dict[str, str]
    """What the keys named a while ago; pods of then still dial it."""
    labels: dict[str, tuple[str, str]]
    policies: dict[str, list[str]]
    other: tuple[str, ...] | DnsOutcome
    sees_nodes: bool


def by_name(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """One for each namespace."""
    return st.fixed_dictionaries(dict.fromkeys(NAMES, values))


SCENERY = st.builds(
    Scenery,
    mode=st.sampled_from(["additive", "isolate", *EgressMode]).map(EgressMode),
    baseline=st.sampled_from([WHOLE, WHOLE, WHOLE, Baseline()]),
    hosts=st.lists(
        st.sampled_from(["s3.example.org", "198.51.100.0/24", "other.example.org"]),
        max_size=2,
        unique=True,
    ),
    domain=st.sampled_from(["cluster.local", "corp.example"]),
    allowed=st.sampled_from([(), ("team-*",)]),
    excluded=st.sampled_from([("release",), ("release", "team-b")]),
    release=st.sampled_from(["tracking-injector", "mine"]),
    uris=st.fixed_dictionaries(
        {"default": st.sampled_from(URIS), "second": st.sampled_from(URIS)}
    ),
    before=st.dictionaries(st.sampled_from(["default"]), st.sampled_from(URIS)),
    labels=by_name(
        st.tuples(
            st.sampled_from([*[""] * 6, "off", "observe", "additive", "odd"]),
            st.sampled_from(["", "", "", "second", "second", "ghost"]),
        )
    ),
    policies=by_name(st.lists(st.sampled_from(POLICIES), min_size=1, max_size=3)),
    other=st.sampled_from(
        [("203.0.113.8",), ("203.0.113.8", "203.0.113.10"), DnsOutcome.SERVFAIL]
    ),
    sees_nodes=st.booleans(),
)


def build(scenery: Scenery) -> EgressWorld:
    """Make the cluster, and let the companion settle in it."""
    world = EgressWorld()
    world.baseline, world.excluded = scenery.baseline, scenery.excluded
    world.settings = {
        "extra": tuple(parse_extra(host, "hosts") for host in scenery.hosts),
        "domain": scenery.domain,
        "allowed": scenery.allowed,
        "dns_cache": f"{scenery.release}-addresses",
    }
    world.zone.records["other.example.org"] = scenery.other
    world.zone.records["s3.example.org"] = ("203.0.113.30",)
    world.user.create(NAMESPACE, {"metadata": {"name": "ml"}})
    spec = "{clusterIP: 10.0.0.20, selector: {app: mlflow}, ports: [{port: 80}]}"
    world.apply(SERVICE, "mlflow", spec, "ml")
    world.endpoints("mlflow", "ml", "192.0.2.9", "10.244.0.9", port=80)
    world.apply(SERVICE, "alias", "{externalName: other.example.org}", "ml")
    node = {"addresses": [{"type": "InternalIP", "address": "192.0.2.9"}]}
    world.user.apply(NODE, {"metadata": {"name": "n"}, "status": node})
    world.apply_api_server()
    if not scenery.sees_nodes:
        world.cluster.forbid(lambda call: call.kind == NODE)
    for profile, uri in (scenery.uris | scenery.before).items():
        world.keys.set(profile, TRACKING_URI=uri)
    for name in NAMES:
        mode, profile = scenery.labels[name]
        world.label(name, egress=mode, profile=profile)
        for number, policy in enumerate(scenery.policies[name]):
            world.policy(policy, f"p{number}", name)
    world.restart(scenery.mode)
    world.step()
    for profile in scenery.before:
        world.keys.set(profile, TRACKING_URI=scenery.uris[profile])
        world.step(60)
    world.step(60)
    return world


def publish(world: EgressWorld, scenery: Scenery) -> None:
    """Let the rest of the companion do its part: mirrors, and the status."""
    scope = NamespaceFilter(scenery.allowed, scenery.excluded)
    for name in NAMES:
        uri = scenery.uris.get(scenery.labels[name][1] or "default")
        if uri is not None and scope.exclusion(name) is None:
            data = {"TRACKING_URI": base64.b64encode(uri.encode()).decode()}
            meta = {"name": "michelangelo-tracking", "namespace": name}
            world.user.apply(SECRET, {"metadata": meta, "data": data})
    report = {
        "profiles": {profile: {} for profile in scenery.uris},
        "settings": {"egress": world.options.to_json()},
    }
    labels = {
        "app.kubernetes.io/name": "tracking-injector",
        "app.kubernetes.io/component": "companion",
    }
    name = f"{scenery.release}-status"
    status = {"name": name, "namespace": HOME.namespace, "labels": labels}
    data = {"status.json": json.dumps(report)}
    world.user.apply(CONFIG_MAP, {"metadata": status, "data": data})


def essence(body: dict[str, Any]) -> tuple[Any, ...]:
    """Whatever a plan says of a policy."""
    meta = body["metadata"]
    owners = sorted(owner["uid"] for owner in meta.get("ownerReferences", ()))
    return meta["namespace"], meta["name"], owners, meta["labels"], body["spec"]


@given(SCENERY)
def test_the_plan_is_what_was_applied(scenery: Scenery) -> None:
    """Object by object, for every namespace together."""
    world = build(scenery)
    publish(world, scenery)
    access = SimpleNamespace(resources=world.user, namespace="default")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "connect", lambda *_, **__: access)
        result = CliRunner().invoke(command.egress, ["plan", "-o", "yaml"])
    printed = [essence(body) for body in yaml.safe_load_all(result.stdout) if body]
    applied = [essence(body) for name in NAMES for body in world.ours(name)]

    assert result.exit_code == 0
    assert sorted(printed, key=str) == sorted(applied, key=str)
