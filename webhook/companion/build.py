"""The composition root: every object of the companion, once. Nothing starts here."""

import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector

from webhook import METRICS_PREFIX
from webhook.cluster.config import ClusterConnection
from webhook.cluster.events import EventRecorder, ObjectReference
from webhook.cluster.informer import Informer
from webhook.cluster.interface import Json, ListOptions, ObjectKey
from webhook.cluster.leader_election import LeaderElector
from webhook.cluster.resources import CONFIG_MAP
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.audit import AuditController
from webhook.companion.caches import Caches, Interests, build_caches
from webhook.companion.certificate_mirror import CertificateMirrorController
from webhook.companion.certificates.controller import (
    CertificateController,
    Prober,
    certificate_informers,
)
from webhook.companion.certificates.objects import ObjectNames, certificate_policy
from webhook.companion.certificates.probe import TlsProber
from webhook.companion.cleanup import PolicyCleanup
from webhook.companion.controller import (
    Context,
    Controller,
    Log,
    Reconciler,
    Result,
    Results,
)
from webhook.companion.dns import Resolver, read_resolv_conf
from webhook.companion.dns_controller import DnsController, LookUp
from webhook.companion.egress.applier import Applier
from webhook.companion.egress.controller import EgressController
from webhook.companion.egress.engine_detection import EngineDetector
from webhook.companion.egress.planner import EgressSources
from webhook.companion.egress.service_index import ServiceIndexCache
from webhook.companion.manager import Manager
from webhook.companion.metrics import CompanionCollector, QueueMetrics
from webhook.companion.mirror_controller import WORKERS, MirrorController
from webhook.companion.profiles import ProfileStore
from webhook.companion.report import ReportSource
from webhook.companion.results import CompanionResults
from webhook.companion.status import StatusController, digest
from webhook.companion.watches import WatchController
from webhook.egress.addresses import Address
from webhook.egress.baseline import parse_baseline
from webhook.egress.destinations import parse_extra
from webhook.egress.dns_cache import DnsAnswer, DnsLimits
from webhook.egress.mode import EgressMode
from webhook.egress.options import EgressOptions
from webhook.egress.rules import dns_servers
from webhook.injection.names import CA_CONFIG_MAP, CA_PATH
from webhook.mirror.certificates import tracking_ca
from webhook.mirror.decide import NamespaceFilter
from webhook.mirror.profile import (
    CaSource,
    SourceRef,
    parse_ca_source,
    parse_profiles,
    refs,
)
from webhook.settings import CompanionSettings, Issuer, SettingError, Switch

R = TypeVar("R", bound=Result)
T = TypeVar("T")

RESOLV_CONF: Final = Path("/etc/resolv.conf")
"""The kubelet writes the same one for task pods: both have `ClusterFirst`."""
_DNS_WORKERS: Final = 4
_AUDIT_WORKERS: Final = 2
"""One may wait for an owner, and the other goes on; each costs half a mebibyte."""
_COMPONENT: Final = "tracking-injector-companion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the companion has to do with besides the API server.

    Attributes:
        log: gets a line for each change and each failure.
        clock: UTC now.
        monotonic: seconds that never go back.
        resolv_conf: whose servers are asked for names.
        look_up: asks DNS instead of the servers in `resolv_conf`.
        probe: asks replicas for their certificate instead of a TLS client.
    """

    log: Log
    clock: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
    resolv_conf: Path = RESOLV_CONF
    look_up: LookUp | None = None
    probe: Prober | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """Everything that was built.

    Attributes:
        settings: as given.
        context: what all controllers share.
        caches: the informers.
        elector: decides whether this replica acts.
        controllers: in the order in which `--once` takes them; the status is last.
        profiles: what each profile gives.
        results: what the controllers found.
        status: publishes them.
        registry: serves them as metrics.
    """

    settings: CompanionSettings
    context: Context
    caches: Caches
    elector: LeaderElector
    controllers: tuple[Controller[Any], ...]
    profiles: ProfileStore
    results: CompanionResults
    status: StatusController
    registry: CollectorRegistry

    def manager(self) -> Manager:
        """Return what runs it all."""
        return Manager(
            caches=self.caches,
            elector=self.elector,
            recorder=self.context.recorder,
            controllers=self.controllers,
            log=self.context.log,
        )

    def settle(self) -> None:
        """List everything once, then reconcile until no key is ready; no threads."""
        for informer in self.caches.all():
            informer.refresh()
        while sum(one.step() for one in self.controllers):
            pass
        self.context.recorder.flush()


def build_companion(
    connection: ClusterConnection,
    settings: CompanionSettings,
    outside: Outside,
    *,
    alone: bool = False,
) -> Companion:
    """Build the companion for a cluster; `alone`, it acts without the Lease.

    Raises:
        ProfileError: the profiles in the settings cannot be used.
        PolicyError: the certificates' durations contradict each other.
        SettingError: a host or the baseline in the settings cannot be read.
    """
    return _Builder(connection, settings, outside, alone=alone).build()


class _Egress(NamedTuple):
    """What the other parts need of egress; where it is off, the options alone."""

    options: EgressOptions
    dns: DnsController | None = None
    applier: Applier | None = None


class _Builder:
    """Holds what the parts share while they are built."""

    def __init__(
        self,
        connection: ClusterConnection,
        settings: CompanionSettings,
        outside: Outside,
        *,
        alone: bool,
    ) -> None:
        self.settings, self.outside, self.alone = settings, outside, alone
        self.client = client = connection.resources
        self.home = settings.release_namespace or connection.namespace
        identity = settings.identity or socket.gethostname()
        self.elector = LeaderElector(
            client,
            self._key(settings.lease_name),
            identity,
            clock=outside.clock,
            monotonic=outside.monotonic,
        )
        self.context = Context(
            client=client,
            log=outside.log,
            recorder=EventRecorder(
                client,
                component=_COMPONENT,
                instance=identity,
                monotonic=outside.monotonic,
            ),
            is_leader=(lambda: True) if alone else (lambda: self.elector.is_leader),
            clock=outside.clock,
            release=settings.release,
            term=lambda: self.elector.terms,
        )
        self.registry = CollectorRegistry()
        ProcessCollector(f"{METRICS_PREFIX}_companion", registry=self.registry)
        self.observer = QueueMetrics(self.registry)
        self.results = CompanionResults()
        self.controllers: list[Controller[Any]] = []
        profiles = parse_profiles(settings.profiles)
        self.ca = parse_ca_source(settings.tracking_ca_source)
        read = (*refs(profiles), *([self.ca.ref] if self.ca else []))
        sources = tuple(dict.fromkeys(read))
        self.caches = build_caches(client, self._interests(sources))
        self.profiles = ProfileStore(
            profiles,
            self.caches,
            allowed_keys=settings.allowed_keys,
            clock=outside.clock,
            certificate=CA_PATH if self.ca else "",
        )
        excluded = (self.home, *settings.excluded_namespaces)
        self.filter = NamespaceFilter(settings.allowed_namespaces, excluded)

    def build(self) -> Companion:
        self._mirrors()
        if self.ca is not None:
            self._tracking_ca(self.ca)
        if self.settings.audit is Switch.ON:
            self._audit()
        if self.settings.certificates is Issuer.COMPANION:
            self._certificates()
        egress = self._egress()
        key = self._key(self.settings.status_configmap)
        where = ListOptions(CONFIG_MAP, namespace=key.namespace, name=key.name)
        report = self._inform(where, digest)
        self._watches(key)
        status = self._status(egress.options, report)
        self.registry.register(
            CompanionCollector(
                results=self.results,
                profiles=self.profiles,
                caches=self.caches,
                recorder=self.context.recorder,
                queues=[one.queue for one in self.controllers],
                is_leader=self.context.is_leader,
                dns=egress.dns,
                policies=egress.applier,
            )
        )
        return Companion(
            settings=self.settings,
            context=self.context,
            caches=self.caches,
            elector=self.elector,
            controllers=tuple(self.controllers),
            profiles=self.profiles,
            results=self.results,
            status=status,
            registry=self.registry,
        )

    def _mirrors(self) -> None:
        queue = self._queue(MirrorController.name)
        controller = MirrorController(
            self.context,
            self.caches,
            self.profiles,
            queue,
            namespaces=self.filter,
            enforced_keys=self.settings.enforced_keys,
        )
        self._add(controller, queue, self.results.mirrors, WORKERS)

    def _tracking_ca(self, source: CaSource) -> None:
        options = ListOptions(CONFIG_MAP, name=CA_CONFIG_MAP)
        project = partial(tracking_ca, release=self.settings.release)
        copies = self._inform(options, project)
        queue = self._queue(CertificateMirrorController.name)
        controller = CertificateMirrorController(
            self.context, self.caches, copies, source, queue, namespaces=self.filter
        )
        self._add(controller, queue, self.results.tracking_ca, WORKERS)

    def _audit(self) -> None:
        queue = self._queue(AuditController.name)
        controller = AuditController(
            self.context, self.caches, queue, namespaces=self.filter
        )
        self._add(controller, queue, self.results.audits, _AUDIT_WORKERS)

    def _certificates(self) -> None:
        names = ObjectNames.from_settings(self.settings, self.home)
        policy = certificate_policy(self.settings, self.home)
        queue = self._queue(CertificateController.name)
        informers = certificate_informers(
            self.client, names, queue, watch_seconds=self.settings.watch_seconds
        )
        self.caches.others.extend(informers)
        controller = CertificateController(
            self.context,
            names,
            policy,
            self.outside.probe or TlsProber(policy.names[0]),
            monotonic=None if self.alone else self.outside.monotonic,
        )
        self._add(controller, queue, self.results.certificates)

    def _egress(self) -> _Egress:
        conf = read_resolv_conf(self.outside.resolv_conf.read_text("utf-8"))
        options = egress_options(self.settings, self.home, conf.nameservers)
        if self.caches.egress is None:
            queue = self._queue(PolicyCleanup.name)
            self._add(PolicyCleanup(self.context, queue), queue, Results())
            return _Egress(options)
        index = ServiceIndexCache(self.caches.egress, options.domain)
        queue = self._queue(EngineDetector.name)
        engines = EngineDetector(self.context, queue)
        self._add(engines, queue, self.results.engines)
        resolver = Resolver(conf.beyond(options.domain))

        def look_up(name: str, now: datetime) -> DnsAnswer:
            servers = dns_servers(options.nameservers, index.index())
            return resolver.look_up(name, servers, now)

        dns = self._dns(options, self.outside.look_up or look_up)
        sources = EgressSources(
            profiles=self.profiles, index=index, dns=dns, engines=engines
        )
        queue = self._queue(EgressController.name)
        egress = EgressController(self.context, self.caches, queue, sources, options)
        self._add(egress, queue, self.results.egress, WORKERS)
        return _Egress(options, dns, egress.applier)

    def _dns(self, options: EgressOptions, look_up: LookUp) -> DnsController:
        spread = random.Random()  # noqa: S311 - spreads lookups in time
        queue = self._queue(DnsController.name)
        dns = DnsController(
            self.context,
            queue,
            look_up,
            self._key(options.dns_cache),
            limits=options.limits,
            jitter=lambda: spread.uniform(-1, 1),
        )
        self._add(dns, queue, self.results.names, _DNS_WORKERS)
        return dns

    def _watches(self, report: ObjectKey) -> None:
        """Follow every informer; all of them are there by now."""
        queue = self._queue(WatchController.name)
        about = ObjectReference.to(CONFIG_MAP, report)
        controller = WatchController(
            self.caches, home=about, log=self.context.log, queue=queue
        )
        self._add(controller, queue, self.results.watches)

    def _status(self, options: EgressOptions, kept: Informer[str]) -> StatusController:
        settings: Json = {
            "egress": options.to_json(),
            "enforcedKeys": list(self.settings.enforced_keys),
            "profiles": sorted(self.profiles.names()),
            "certificates": self.settings.certificates,
        }
        source = ReportSource(
            results=self.results,
            profiles=self.profiles,
            settings=settings,
            caches=self.caches,
        )
        queue = self._queue(StatusController.name)
        status = StatusController(self.context, source, kept, queue)
        self._add(status, queue, Results())
        return status

    def _queue(self, name: str) -> WorkQueue:
        return WorkQueue(name, self.observer, monotonic=self.outside.monotonic)

    def _add(
        self,
        reconciler: Reconciler[R],
        queue: WorkQueue,
        results: Results[R],
        workers: int = 1,
    ) -> None:
        """Add what runs a reconciler over its queue."""
        controller = Controller(
            reconciler=reconciler,
            queue=queue,
            context=self.context,
            workers=workers,
            results=results,
            observer=self.observer,
        )
        self.controllers.append(controller)

    def _interests(self, sources: tuple[SourceRef, ...]) -> Interests:
        settings = self.settings
        return Interests(
            release_namespace=self.home,
            sources=sources,
            pods=settings.audit is Switch.ON,
            config_maps=settings.shadowing_config_maps,
            egress=settings.egress_mode is not EgressMode.OFF,
            release=settings.release,
            watch_seconds=settings.watch_seconds,
        )

    def _inform(
        self, options: ListOptions, project: Callable[[Json], T]
    ) -> Informer[T]:
        informer = Informer(
            self.client,
            options,
            project,
            watch_seconds=self.settings.watch_seconds,
        )
        self.caches.others.append(informer)
        return informer

    def _key(self, name: str) -> ObjectKey:
        return ObjectKey(self.home, name)


def egress_options(
    settings: CompanionSettings, home: str, nameservers: tuple[Address, ...]
) -> EgressOptions:
    """Return what the settings say about egress.

    Raises:
        SettingError: a host or the baseline in the settings cannot be read.
    """
    try:
        extra = tuple(parse_extra(h, "MTI_EGRESS_HOSTS") for h in settings.egress_hosts)
        baseline = parse_baseline(settings.egress_baseline, "MTI_EGRESS_BASELINE")
    except ValueError as error:
        raise SettingError(f"{error}.") from error
    return EgressOptions(
        mode=settings.egress_mode,
        extra=extra,
        baseline=baseline,
        domain=settings.cluster_domain,
        nameservers=nameservers,
        limits=DnsLimits(
            grace=timedelta(hours=settings.egress_grace_hours),
            cap=settings.egress_addresses_per_name,
        ),
        dns_cache=settings.dns_cache_configmap,
        allowed=settings.allowed_namespaces,
        excluded=(home, *settings.excluded_namespaces),
    )
