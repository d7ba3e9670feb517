"""The whole companion, as `build_companion` builds it, on a cluster in memory."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import yaml

from certs.state import ReplicaCertificate
from tests.fakes.cluster import FakeCluster
from tests.fakes.log import Lines
from webhook.cluster.config import ClusterConnection
from webhook.cluster.events import EventRecorder
from webhook.cluster.interface import Json
from webhook.cluster.resources import (
    CONFIG_MAP,
    ENDPOINT_SLICE,
    NAMESPACE,
    POD,
    SECRET,
    SERVICE,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.companion.build import Companion, Outside, build_companion
from webhook.companion.certificates.probe import ReplicaAddress
from webhook.companion.controller import Result
from webhook.egress.dns_cache import DnsAnswer, DnsOutcome
from webhook.injection.names import (
    CONTENT_LABEL,
    EGRESS_LABEL,
    INJECT_LABEL,
    MANAGED_BY,
    PROFILE_LABEL,
)
from webhook.settings import CompanionSettings

HOME = "release"
NAME = "tracking-injector"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CANARY = "canary-value-of-a-key"
KEYS = {"TRACKING_URI": "https://mlflow.example.org", "TRACKING_API_KEY": CANARY}
PROFILES = '{"default": [{"secret": "keys"}]}'
HEAD = {"ray.io/node-type": "head"}
DENY = "{podSelector: {}, policyTypes: [Egress]}"


class Built:
    """A cluster with a release in it as the chart leaves it, and its companion.

    Attributes:
        now: the time, for everybody.
        ahead: how far the companion's clock is ahead of the API server's.
        records: DNS: addresses of a name, or how its lookup ends.
        companion: built by `start`, and again by each.
    """

    companion: Companion

    def __init__(self, folder: Path) -> None:
        """Nothing is built yet."""
        self.now = START
        self.ahead = timedelta(0)
        self.records: dict[str, tuple[str, ...] | DnsOutcome] = {
            "mlflow.example.org": ("203.0.113.7",)
        }
        self.log = Lines()
        self.cluster = FakeCluster(clock=lambda: self.now)
        self.cluster.served.add("cilium.io")
        self.user = self.cluster.client("user")
        self._resolv_conf = folder / "resolv.conf"
        self._resolv_conf.write_text("nameserver 10.0.0.10\n", "utf-8")
        self.create(NAMESPACE, HOME, "")
        for name in (f"{NAME}-status", f"{NAME}-addresses"):
            self.create(CONFIG_MAP, name)
        for name in (f"{NAME}-tls", f"{NAME}-tls-state"):
            self.create(SECRET, name, labels={CONTENT_LABEL: MANAGED_BY})
        hooks: list[Json] = [
            {"name": name, "clientConfig": {}} for name in ("ray", "spark")
        ]
        self.create(WEBHOOK_CONFIGURATION, NAME, "", webhooks=hooks)
        self.create(
            ENDPOINT_SLICE,
            NAME,
            labels={"kubernetes.io/service-name": NAME},
            addressType="IPv4",
            endpoints=[{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
            ports=[{"name": "https", "port": 8443}],
        )
        self.secret("keys", **KEYS)

    def start(self, *, alone: bool = True, **settings: Any) -> None:
        """Build the companion, which remembers nothing; then let it settle."""
        given = {"release_namespace": HOME, "profiles": PROFILES} | settings
        client = cast("Any", self.cluster.client())
        outside = Outside(
            log=self.log,
            clock=lambda: self.now + self.ahead,
            monotonic=self._seconds,
            resolv_conf=self._resolv_conf,
            look_up=self._look_up,
            probe=self._probe,
        )
        self.companion = build_companion(
            ClusterConnection(client, HOME),
            CompanionSettings(**given),
            outside,
            alone=alone,
        )
        self.settle()

    def settle(self, seconds: float = 0.0) -> None:
        """Time passes, and the companion does what is due."""
        self.now += timedelta(seconds=seconds)
        self.companion.settle()

    def create(
        self,
        kind: ResourceType,
        name: str,
        namespace: str = HOME,
        *,
        labels: dict[str, str] | None = None,
        **parts: Any,
    ) -> Json:
        """Somebody creates an object."""
        meta: Json = {"name": name, "labels": labels or {}}
        if namespace:
            meta["namespace"] = namespace
        return self.user.apply(kind, {"metadata": meta, **parts})

    def secret(self, name: str, namespace: str = HOME, **data: str) -> None:
        """Somebody creates a Secret."""
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
        self.create(SECRET, name, namespace, type="Opaque", data=encoded)

    def label(
        self, name: str = "ray", *, on: bool = True, profile: str = "", egress: str = ""
    ) -> None:
        """An operator labels a namespace."""
        labels = {INJECT_LABEL: "enabled"} if on else {}
        labels |= {PROFILE_LABEL: profile} if profile else {}
        labels |= {EGRESS_LABEL: egress} if egress else {}
        self.create(NAMESPACE, name, "", labels=labels)

    def spec(
        self, kind: ResourceType, name: str, text: str, namespace: str = "ray"
    ) -> Json:
        """Somebody creates an object with this spec."""
        return self.create(kind, name, namespace, spec=yaml.safe_load(text))

    def pod(
        self, labels: dict[str, str], *, container: str = "head", **more: Any
    ) -> None:
        """Somebody runs a pod in the labeled namespace."""
        self.create(
            POD,
            f"pod-{self.now:%S}",
            "ray",
            labels=labels,
            spec={"containers": [{"name": container, "image": "i", **more}]},
            status={
                "phase": "Running",
                "containerStatuses": [
                    {
                        "name": container,
                        "state": {"running": {"startedAt": f"{self.now:%FT%TZ}"}},
                    }
                ],
            },
        )

    def service(self, name: str, text: str, addresses: tuple[str, ...] = ()) -> None:
        """Somebody creates a Service in the labeled namespace, and what it leads to."""
        self.spec(SERVICE, name, text)
        if addresses:
            self.create(
                ENDPOINT_SLICE,
                name,
                "ray",
                labels={"kubernetes.io/service-name": name},
                endpoints=[{"addresses": list(addresses)}],
                ports=[{"port": 8080}],
            )

    def results(self) -> Iterator[Result]:
        """The latest result of every key of every controller."""
        for controller in self.companion.controllers:
            yield from controller.results.items().values()

    @property
    def recorder(self) -> EventRecorder:
        """The companion's."""
        return self.companion.context.recorder

    def reasons(self) -> Iterator[StrEnum]:
        """Every reason that is found anywhere now."""
        for one in self.results():
            yield one.reason
        results = self.companion.results
        for egress in results.egress.items().values():
            yield from (finding.reason for finding in egress.findings)
        for audit in results.audits.items().values():
            yield from audit.counts
        for certificates in results.certificates.items().values():
            yield from (condition.reason for condition in certificates.conditions)
        for profile in map(self._profile, self.companion.profiles.names()):
            yield from profile

    def _profile(self, name: str) -> Iterator[StrEnum]:
        given = self.companion.profiles.content(name)
        for part in (given.content, given.problem) if given else ():
            if part is not None:
                yield from (finding.reason for finding in part.findings)

    def _seconds(self) -> float:
        return (self.now - START).total_seconds()

    def _look_up(self, name: str, now: datetime) -> DnsAnswer:
        found = self.records.get(name, DnsOutcome.NXDOMAIN)
        if isinstance(found, DnsOutcome):
            return DnsAnswer(now, found, servers=(found,))
        addresses = tuple(ip_address(one) for one in found)
        ttl, servers = timedelta(seconds=60), (DnsOutcome.NOERROR,)
        return DnsAnswer(now, DnsOutcome.NOERROR, addresses, ttl, servers)

    def _probe(
        self, replicas: tuple[ReplicaAddress, ...], bundle: bytes
    ) -> tuple[ReplicaCertificate, ...]:
        del replicas, bundle
        return ()
