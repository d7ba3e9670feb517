"""A cluster in memory with the companion's egress in it, stepped by hand."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import yaml

from tests.fakes.cluster import FakeCluster
from tests.unit.companion.world import Lines
from webhook.cluster.events import EventRecorder
from webhook.cluster.interface import Json, ListOptions, ObjectKey
from webhook.cluster.resources import (
    CONFIG_MAP,
    ENDPOINT_SLICE,
    EVENT,
    NAMESPACE,
    NETWORK_POLICY,
    SERVICE,
)
from webhook.companion.egress.concern import Egress
from webhook.companion.egress.elsewhere import Elsewhere
from webhook.companion.egress.judge import EgressReport, Judge
from webhook.companion.egress.names import Names, Wakes
from webhook.companion.egress.seen import watch
from webhook.companion.means import Means
from webhook.egress.addresses import Address
from webhook.egress.baseline import Baseline
from webhook.egress.dns_cache import DnsAnswer, DnsLimits, DnsOutcome
from webhook.egress.mode import EgressMode
from webhook.egress.options import EgressOptions
from webhook.injection.names import EGRESS_LABEL, INJECT_LABEL
from webhook.mirror.decide import NamespaceFilter, ProfileContent
from webhook.mirror.merge import MergedKeys
from webhook.secret_bytes import SecretBytes

HOME = ObjectKey("release", "tracking-injector-addresses")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DENY = "{podSelector: {}, policyTypes: [Egress]}"
WORKERS = (
    "{podSelector: {matchLabels: {ray.io/node-type: worker}}, policyTypes: [Egress]}"
)


class Zone:
    """DNS as scripted: names to addresses, or to how they fail."""

    def __init__(self) -> None:
        """One tracking server."""
        self.records: dict[str, tuple[str, ...] | DnsOutcome] = {
            "mlflow.example.org": ("203.0.113.7",)
        }
        self.ttl = 60.0
        self.dead = 0
        """Replicas that do not answer, besides the one that does."""
        self.asked: list[str] = []
        self.servers: Sequence[tuple[Address, int]] = ()

    def look_up(
        self, name: str, servers: Sequence[tuple[Address, int]], now: datetime
    ) -> DnsAnswer:
        """The record."""
        self.asked.append(name)
        self.servers = servers
        found = self.records.get(name, DnsOutcome.NXDOMAIN)
        if isinstance(found, DnsOutcome):
            return DnsAnswer(now, found, servers=(found,))
        addresses = tuple(ip_address(a) for a in found)
        ttl = timedelta(seconds=self.ttl)
        said = (DnsOutcome.NOERROR, *[DnsOutcome.TIMEOUT] * self.dead)
        return DnsAnswer(now, DnsOutcome.NOERROR, addresses, ttl, said)


class World:
    """The cluster, the time, DNS, and the two concerns."""

    def __init__(self, mode: EgressMode = EgressMode.ADDITIVE) -> None:
        """A cluster with DNS and no compute namespace yet."""
        self.now = START
        self.cluster = FakeCluster(clock=lambda: self.now)
        self.user = self.cluster.client("user")
        self.log = Lines()
        self.zone = Zone()
        self.baseline = Baseline()
        self.leads = True
        self.keys: dict[str, str] | None = {
            "TRACKING_URI": "https://mlflow.example.org",
            "TRACKING_API_KEY": "canary-value-of-a-key",
        }
        self.user.create(NAMESPACE, {"metadata": {"name": "release"}})
        self.user.create(NAMESPACE, {"metadata": {"name": "kube-system"}})
        spec = (
            "{clusterIP: 10.0.0.10, selector: {k8s-app: kube-dns}, ports: [{port: 53,"
            " protocol: UDP, name: dns}]}"
        )
        self.apply(SERVICE, "kube-dns", spec, "kube-system")
        self.restart(mode)

    def restart(self, mode: EgressMode = EgressMode.ADDITIVE) -> None:
        """A new companion, which remembers what is written down."""
        port = self.cluster.client()
        self.means = Means(
            resources=port,
            announcer=EventRecorder(port, component="companion", instance="a"),
            log=self.log,
            may_act=lambda: self.leads,
        )
        self.watched = watch(port, lambda: None)
        self.names = Names(
            self.means,
            HOME,
            self.zone,
            limits=DnsLimits(),
            jitter=lambda: 0.0,
            wakes=Wakes(names=lambda: None, egress=lambda: None),
        )
        options = EgressOptions(
            mode=mode, nameservers=(ip_address("10.0.0.10"),), baseline=self.baseline
        )
        elsewhere = Elsewhere(port, port)
        judge = Judge(
            self.watched,
            self.names,
            elsewhere,
            scope=NamespaceFilter(excluded=("release",)),
            options=options,
        )
        self.egress = Egress(self.means, self.watched, judge, elsewhere, self.supplies)

    def supplies(self) -> dict[str, ProfileContent]:
        """The one profile."""
        if self.keys is None:
            return {"default": ProfileContent(None, None)}
        data = {k: SecretBytes(v.encode()) for k, v in self.keys.items()}
        return {"default": ProfileContent(MergedKeys(data, str(self.keys), ()), None)}

    def apply(self, kind: Any, name: str, spec: str, namespace: str) -> Json:
        """Somebody applies an object."""
        meta = {"name": name, "namespace": namespace}
        return self.user.apply(kind, {"metadata": meta, "spec": yaml.safe_load(spec)})

    def apply_service(self) -> None:
        """The API server's own Service and where it leads."""
        self.user.apply(NAMESPACE, {"metadata": {"name": "default"}})
        spec = "{clusterIP: 10.0.0.1, ports: [{port: 443, targetPort: 6443}]}"
        self.apply(SERVICE, "kubernetes", spec, "default")
        labels = {"kubernetes.io/service-name": "kubernetes"}
        meta = {"name": "kubernetes", "namespace": "default", "labels": labels}
        where = {
            "endpoints": [{"addresses": ["172.18.0.2"]}],
            "ports": [{"port": 6443}],
        }
        self.user.apply(ENDPOINT_SLICE, {"metadata": meta, **where})

    def label(self, name: str, *, on: bool = True, egress: str = "") -> None:
        """An operator labels a namespace."""
        labels = {INJECT_LABEL: "enabled"} if on else {}
        labels |= {EGRESS_LABEL: egress} if egress else {}
        self.user.apply(NAMESPACE, {"metadata": {"name": name, "labels": labels}})

    def policy(self, spec: str, name: str = "deny", namespace: str = "team-a") -> Json:
        """Somebody applies a NetworkPolicy."""
        return self.apply(NETWORK_POLICY, name, spec, namespace)

    def delete(self, name: str = "deny", namespace: str = "team-a") -> None:
        """Somebody deletes a NetworkPolicy."""
        self.user.delete(NETWORK_POLICY, name, namespace)

    def step(self, seconds: float = 0.0) -> float | None:
        """Time passes, followers catch up, and both concerns take their steps."""
        self.now += timedelta(seconds=seconds)
        pause: float | None = None
        for _ in range(3):
            for follower in self.watched.all():
                follower.refresh()
            pause = self.egress.step(self.now)
            self.names.step(self.now)
        return pause

    def ours(self, namespace: str = "team-a") -> list[Json]:
        """The policies in a namespace that we made, by name."""
        listing = self.user.list(ListOptions(NETWORK_POLICY, namespace), dict)
        found = [body for _, (_, body) in sorted(listing.items.items())]
        return [b for b in found if b["metadata"]["name"].startswith("mti-egress-")]

    def opened(self, namespace: str = "team-a") -> list[str]:
        """The ranges that our policies permit on 443."""
        return [
            peer["ipBlock"]["cidr"]
            for body in self.ours(namespace)
            for rule in body["spec"]["egress"]
            if rule["ports"] == [{"protocol": "TCP", "port": 443}]
            for peer in rule["to"]
        ]

    def report(self, namespace: str = "team-a") -> EgressReport:
        """What is said of a namespace."""
        return self.egress.report[namespace]

    def writes(self) -> int:
        """How many writes the cluster got from anybody, Events apart."""
        verbs = ("apply", "create", "delete")
        calls = self.cluster.calls
        return sum(call.verb in verbs and call.kind != EVENT for call in calls)

    def remembered(self, name: str) -> list[str]:
        """The addresses of a name that are written down."""
        body = self.user.get(CONFIG_MAP, HOME.name, HOME.namespace)
        seen = json.loads(body["data"]["addresses.json"])[name]["seen"]
        return [address for found in seen.values() for address in found]

    def events(self) -> list[tuple[str, str, str]]:
        """Reason, object and message of every Event, in order."""
        self.means.announcer.flush()
        listing = self.user.list(ListOptions(EVENT), dict)
        return sorted(
            (e["reason"], e["involvedObject"]["name"], e["message"])
            for _, e in listing.items.values()
        )
