"""A cluster in memory with egress' three controllers in it, stepped by hand."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import yaml

from tests.fakes.cluster import FakeCluster
from tests.fakes.log import Lines
from webhook.cluster.events import EventRecorder
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import (
    CONFIG_MAP,
    ENDPOINT_SLICE,
    EVENT,
    NAMESPACE,
    NETWORK_POLICY,
    SERVICE,
)
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.caches import Caches, Interests, build_caches
from webhook.companion.controller import Context, Controller
from webhook.companion.dns import Resolver
from webhook.companion.dns_controller import DnsController, DnsResult
from webhook.companion.egress.controller import EgressController, EgressResult
from webhook.companion.egress.engine_detection import EngineDetector, EngineResult
from webhook.companion.egress.planner import EgressSources
from webhook.companion.egress.service_index import ServiceIndexCache
from webhook.egress.baseline import Baseline
from webhook.egress.dns_cache import DnsAnswer, DnsOutcome
from webhook.egress.mode import EgressMode
from webhook.egress.options import EgressOptions
from webhook.egress.reasons import EgressReason
from webhook.injection.names import EGRESS_LABEL, INJECT_LABEL, PROFILE_LABEL
from webhook.mirror.decide import ProfileContent
from webhook.mirror.merge import MergedKeys
from webhook.secret_bytes import SecretBytes

_NAME = re.compile(r"([a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}")
HOME = ObjectKey("release", "tracking-injector-addresses")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMESERVER = ip_address("10.0.0.10")
DENY = "{podSelector: {}, policyTypes: [Egress]}"
WORKERS = (
    "{podSelector: {matchLabels: {ray.io/node-type: worker}}, policyTypes: [Egress]}"
)


class Zone:
    """DNS as scripted: names to addresses, to how they fail, or to what is raised."""

    def __init__(self) -> None:
        """Hold one tracking server."""
        self.records: dict[str, tuple[str, ...] | DnsOutcome | Exception] = {
            "mlflow.example.org": ("203.0.113.7",)
        }
        self.ttl = 60.0
        self.dead = 0
        """Replicas that do not answer, besides the one that does."""
        self.asked: list[str] = []
        self.resolver = Resolver()
        """Asked for names that no server could be asked for."""

    def look_up(self, name: str, now: datetime) -> DnsAnswer:
        """Return the record."""
        self.asked.append(name)
        if len(name) > 253 or not _NAME.fullmatch(name):
            return self.resolver.look_up(name, (), now)
        found = self.records.get(name, DnsOutcome.NXDOMAIN)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, DnsOutcome):
            return DnsAnswer(now, found, servers=(found,))
        addresses = tuple(ip_address(a) for a in found)
        ttl = timedelta(seconds=self.ttl)
        said = (DnsOutcome.NOERROR, *[DnsOutcome.TIMEOUT] * self.dead)
        return DnsAnswer(now, DnsOutcome.NOERROR, addresses, ttl, said)


class Keys:
    """The keys of each profile, as the store of profiles gives them."""

    def __init__(self) -> None:
        """Hold the default profile's."""
        self._keys: dict[str, dict[str, str] | None] = {}
        self._on_change: list[Callable[[str], None]] = []
        self.set("default", TRACKING_URI="https://mlflow.example.org")

    def set(self, profile: str, /, **keys: str) -> None:
        """Change a profile's keys."""
        self._keys[profile] = keys
        for on_change in self._on_change:
            on_change(profile)

    def lose(self, profile: str) -> None:
        """Let its sources never have been read."""
        self._keys[profile] = None

    def content(self, name: str) -> ProfileContent | None:
        """Return what a profile gives."""
        if name not in self._keys:
            return None
        keys = self._keys[name]
        if keys is None:
            return ProfileContent()
        data = {k: SecretBytes(v.encode()) for k, v in keys.items()}
        return ProfileContent(content=MergedKeys(data=data, digest=str(keys)))

    def subscribe(self, on_change: Callable[[str], None]) -> None:
        """Call back with a profile's name."""
        self._on_change.append(on_change)


class EgressWorld:
    """The cluster, the time, DNS, and the controllers."""

    def __init__(self, mode: EgressMode = EgressMode.ADDITIVE) -> None:
        """Make a cluster with DNS and no compute namespace yet."""
        self.now = START
        self._ahead = 0.0
        self._hurries_since: float | None = None
        self.cluster = FakeCluster(clock=self.clock)
        self.user = self.cluster.client("user")
        self.log = Lines()
        self.zone, self.keys = Zone(), Keys()
        self.baseline = Baseline()
        self.excluded: tuple[str, ...] = ("release",)
        self.settings: dict[str, Any] = {}
        """Further fields of the options."""
        self.leads, self.terms = True, 1
        for name in ("release", "kube-system"):
            self.user.create(NAMESPACE, {"metadata": {"name": name}})
        spec = (
            "{clusterIP: 10.0.0.10, selector: {k8s-app: kube-dns}, ports: [{port: 53,"
            " protocol: UDP, name: dns}]}"
        )
        self.apply(SERVICE, "kube-dns", spec, "kube-system")
        self.restart(mode)

    def restart(
        self, mode: EgressMode = EgressMode.ADDITIVE, client: KubeClient | None = None
    ) -> None:
        """Make a new companion, which remembers what was saved."""
        own = self.cluster.client()
        port = client or own
        self.context = Context(
            client=port,
            log=self.log,
            recorder=EventRecorder(
                own, component="companion", instance="a", monotonic=self.monotonic
            ),
            is_leader=lambda: self.leads,
            clock=self.clock,
            term=lambda: self.terms,
        )
        interests = Interests(
            release_namespace="release", pods=False, watch_seconds=0.5
        )
        self.caches: Caches = build_caches(own, interests)
        assert self.caches.egress is not None
        options = EgressOptions(
            mode=mode,
            nameservers=(NAMESERVER,),
            baseline=self.baseline,
            excluded=self.excluded,
        )
        self.options = replace(options, **self.settings)
        options = self.options
        index = ServiceIndexCache(self.caches.egress, options.domain)
        self.dns = DnsController(
            self.context,
            dns_queue := self.queue("dns"),
            self.zone.look_up,
            ObjectKey(HOME.namespace, options.dns_cache),
            limits=options.limits,
            jitter=lambda: 0.0,
        )
        self.engines = EngineDetector(
            self.context, engines_queue := self.queue("engines")
        )
        sources = EgressSources(
            profiles=self.keys, index=index, dns=self.dns, engines=self.engines
        )
        self.egress = EgressController(
            self.context, self.caches, queue := self.queue("egress"), sources, options
        )
        self.egress_controller: Controller[EgressResult] = Controller(
            reconciler=self.egress, queue=queue, context=self.context
        )
        self.dns_results: Controller[DnsResult] = Controller(
            reconciler=self.dns, queue=dns_queue, context=self.context
        )
        self.engine_results: Controller[EngineResult] = Controller(
            reconciler=self.engines, queue=engines_queue, context=self.context
        )

    def queue(self, name: str) -> WorkQueue:
        """Return a queue in this world's time."""
        return WorkQueue(name, monotonic=self.monotonic)

    def hurry(self) -> None:
        """Let time pass by itself from now on, ten times as fast as it does."""
        self._hurries_since = time.monotonic()

    def clock(self) -> datetime:
        """Return the time."""
        if self._hurries_since is None:
            return self.now
        passed = time.monotonic() - self._hurries_since
        return self.now + timedelta(seconds=10 * passed)

    def monotonic(self) -> float:
        """Return seconds since the start."""
        return (self.clock() - START).total_seconds() + self._ahead

    def step(self, seconds: float = 0.0) -> None:
        """Let time pass, informers catch up, and controllers do what is due."""
        self.now += timedelta(seconds=seconds)
        for _ in range(3):
            self.refresh()
            self.run()
            self.pass_gathering()

    def pass_gathering(self) -> None:
        """Let the moment pass in which changes are gathered."""
        self._ahead += 0.1

    def refresh(self) -> None:
        """Let informers catch up."""
        for informer in self.caches.all():
            informer.refresh()

    def run(self) -> None:
        """Let controllers do what is due, while this replica leads."""
        controllers = (self.engine_results, self.egress_controller, self.dns_results)
        for _ in range(3):
            for controller in controllers if self.leads else ():
                while controller.step():
                    pass
        self.context.recorder.flush()

    def apply(self, kind: Any, name: str, spec: str, namespace: str) -> Json:
        """Let somebody apply an object."""
        meta = {"name": name, "namespace": namespace}
        return self.user.apply(kind, {"metadata": meta, "spec": yaml.safe_load(spec)})

    def apply_api_server(self) -> None:
        """Apply the API server's own Service and where it leads."""
        self.user.apply(NAMESPACE, {"metadata": {"name": "default"}})
        spec = "{clusterIP: 10.0.0.1, ports: [{port: 443, targetPort: 6443}]}"
        self.apply(SERVICE, "kubernetes", spec, "default")
        self.endpoints("kubernetes", "default", "172.18.0.2", port=6443)

    def endpoints(self, service: str, namespace: str, *ips: str, port: int) -> None:
        """Apply where a Service leads."""
        labels = {"kubernetes.io/service-name": service}
        meta = {"name": service, "namespace": namespace, "labels": labels}
        where = {"endpoints": [{"addresses": [ip]} for ip in ips]}
        ports = [{"port": port, "protocol": "TCP"}]
        self.user.apply(ENDPOINT_SLICE, {"metadata": meta, **where, "ports": ports})

    def label(
        self, name: str, *, on: bool = True, egress: str = "", profile: str = ""
    ) -> None:
        """Let an operator label a namespace."""
        labels = {INJECT_LABEL: "enabled"} if on else {}
        labels |= {EGRESS_LABEL: egress} if egress else {}
        labels |= {PROFILE_LABEL: profile} if profile else {}
        self.user.apply(NAMESPACE, {"metadata": {"name": name, "labels": labels}})

    def policy(self, spec: str, name: str = "deny", namespace: str = "team-a") -> Json:
        """Let somebody apply a NetworkPolicy."""
        return self.apply(NETWORK_POLICY, name, spec, namespace)

    def delete(self, name: str = "deny", namespace: str = "team-a") -> None:
        """Let somebody delete a NetworkPolicy."""
        self.user.delete(NETWORK_POLICY, name, namespace)

    def ours(self, namespace: str = "team-a") -> list[Json]:
        """Return the policies in a namespace that we made, by name."""
        listing = self.user.list(ListOptions(NETWORK_POLICY, namespace=namespace), dict)
        found = [body for _, (_, body) in sorted(listing.items.items())]
        return [b for b in found if b["metadata"]["name"].startswith("mti-egress-")]

    def opened(self, namespace: str = "team-a") -> list[str]:
        """Return the ranges that our policies permit on 443."""
        return [
            peer["ipBlock"]["cidr"]
            for body in self.ours(namespace)
            for rule in body["spec"]["egress"]
            if rule["ports"] == [{"protocol": "TCP", "port": 443}]
            for peer in rule["to"]
        ]

    def result(self, namespace: str = "team-a") -> EgressResult:
        """Return what is said of a namespace."""
        found = self.egress_controller.results.get(namespace)
        assert found is not None
        return found

    def reasons(self, namespace: str = "team-a") -> set[EgressReason]:
        """Return what is found about a namespace."""
        return {finding.reason for finding in self.result(namespace).findings}

    def writes(self) -> int:
        """Return how many writes the cluster got from anybody, Events apart."""
        verbs = ("apply", "create", "delete")
        calls = self.cluster.calls
        return sum(call.verb in verbs and call.kind != EVENT for call in calls)

    def saved(self, name: str) -> list[str]:
        """Return the addresses of a name that were saved."""
        body = self.user.get(CONFIG_MAP, HOME.name, HOME.namespace)
        seen = json.loads(body["data"]["addresses.json"])[name]["seen"]
        return [address for found in seen.values() for address in found]

    def events(self) -> list[tuple[str, str, str]]:
        """Return reason, object and message of every Event, in order."""
        self.context.recorder.flush()
        listing = self.user.list(ListOptions(EVENT), dict)
        return sorted(
            (e["reason"], e["involvedObject"]["name"], e["message"])
            for _, e in listing.items.values()
        )
