"""Reads what doctor's checks of an installation look at, beyond the observation."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from certs.policy import service_name
from webhook import __version__
from webhook.cli.doctor_objects import (
    PodTemplate,
    called_entries,
    is_helms,
    mutates_spark_pods,
    ours,
    pod_template,
    service_selector,
)
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import (
    ACCESS_REVIEW,
    CLUSTER_ROLE,
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    JOB,
    NETWORK_POLICY,
    SECRET,
    SERVICE,
    WEBHOOK_CONFIGURATION,
)
from webhook.companion.certificates.observe import replica_addresses
from webhook.companion.certificates.probe import ReplicaAddress
from webhook.companion.observation.model import Installation, Piece
from webhook.companion.observation.observe import PieceReader
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.doctor.facts import (
    ClusterFacts,
    ServedCertificate,
    WorkloadTrouble,
)
from webhook.doctor.reach import closing_policies
from webhook.doctor.rights import Right, RightsScope, companion_rights
from webhook.doctor.workloads import workload_trouble
from webhook.egress.mode import EgressMode
from webhook.egress.network_policy import NetworkPolicy, Pod, Protocol
from webhook.injection.names import INJECT_ENABLED
from webhook.settings import Issuer

T = TypeVar("T")

Serves = Callable[
    [Sequence[ReplicaAddress], bytes, str], Piece[tuple[ServedCertificate, ...]]
]
"""Asks replicas what they serve: addresses, the bundle, the server's name."""

WORKERS: Final = 8
"""Requests under way at once; an API server gives each client at least that many."""


@dataclass(frozen=True, slots=True)
class InstallationReader:
    """Reads one installation.

    Attributes:
        client: of the cluster.
        serves: asks replicas.
    """

    client: KubeClient
    serves: Serves

    def read(self, observation: Installation) -> ClusterFacts:
        """Return all facts but those of namespaces."""
        release, reader = observation.release, PieceReader(self.client)
        configuration = reader.get(
            WEBHOOK_CONFIGURATION, ObjectKey("", release.name), called_entries
        )
        deployment = reader.get(DEPLOYMENT, release.webhook, pod_template)
        endpoints = self._endpoints(observation)
        name = service_name(release.name, release.namespace)
        return ClusterFacts(
            seen=observation,
            client=__version__,
            time=self.client.server_time(),
            server_name=name,
            others=self._others(reader, release.name),
            leftovers=self._leftovers(reader, observation),
            entries=configuration,
            troubles={
                "companion": _trouble(
                    observation.companion, observation.companion_replicas
                ),
                "webhook": _trouble(observation.webhook, observation.webhook_replicas),
            },
            denied=self._denied(reader, observation),
            certificates=self._certificates(reader, observation),
            service=self._service(reader, observation, deployment),
            endpoints=_texts(endpoints),
            blocked=self._blocked(reader, observation, deployment),
            served=self._served(observation, endpoints, name),
            spark_webhook=self._spark_webhook(reader),
            alone=_is_alone(observation),
        )

    def _others(self, reader: PieceReader, own: str) -> Piece[tuple[str, ...]]:
        """Return other configurations whose entries bear our names."""
        found = reader.list(ListOptions(WEBHOOK_CONFIGURATION), ours)
        if isinstance(found, Unknown):
            return found
        return tuple(
            f"MutatingWebhookConfiguration {name}"
            for name in found
            if name and name != own
        )

    def _leftovers(
        self, reader: PieceReader, observation: Installation
    ) -> Piece[tuple[str, ...]]:
        release = observation.release
        by_helm = reader.get(CONFIG_MAP, release.report, is_helms)
        if isinstance(by_helm, Unknown):
            absent = by_helm.reason is UnknownReason.ABSENT
            return () if absent else by_helm
        if by_helm:
            return ()
        name = f"{release.name}-uninstall"
        role = reader.get(CLUSTER_ROLE, ObjectKey("", name), metadata.uid)
        job = reader.get(JOB, ObjectKey(release.namespace, name), metadata.uid)
        found = []
        if isinstance(role, str):
            found.append(f"clusterrole/{name}")
        if isinstance(job, str):
            found.append(f"job/{name}")
        return tuple(found)

    def _denied(
        self, reader: PieceReader, observation: Installation
    ) -> Piece[tuple[str, ...]]:
        scope, user = _scope(observation), _user(observation)
        if isinstance(scope, Unknown):
            return scope

        def ask(right: Right) -> bool:
            body = {"metadata": {}, "spec": _review(right, user)}
            answer = self.client.create(ACCESS_REVIEW, body)
            return bool((answer.get("status") or {}).get("allowed"))

        def denied() -> tuple[str, ...]:
            rights = companion_rights(scope)
            with ThreadPoolExecutor(WORKERS) as pool:
                allowed = list(pool.map(ask, rights))
            pairs = zip(rights, allowed, strict=True)
            return tuple(str(right) for right, is_allowed in pairs if not is_allowed)

        what = "subjectaccessreviews.authorization.k8s.io"
        return reader.ask(denied, "create", what)

    def _certificates(
        self, reader: PieceReader, observation: Installation
    ) -> Piece[tuple[str, ...]]:
        configuration, home = observation.configuration, observation.release.namespace
        if isinstance(configuration, Unknown):
            return configuration
        names = [configuration.tls_secret or f"{observation.release.name}-tls"]
        if configuration.issuer == Issuer.COMPANION:
            names.append(f"{names[0]}-state")
        missing = []
        for name in names:
            options = ListOptions(SECRET, namespace=home, name=name)
            found = reader.list(options, metadata.uid)
            if isinstance(found, Unknown):
                return found
            missing += [] if found else [name]
        return tuple(missing)

    def _service(
        self,
        reader: PieceReader,
        observation: Installation,
        deployment: Piece["PodTemplate"],
    ) -> Piece[bool]:
        selector = reader.get(SERVICE, observation.release.webhook, service_selector)
        if isinstance(selector, Unknown) or isinstance(deployment, Unknown):
            return selector if isinstance(selector, Unknown) else True
        return bool(selector) and selector.items() <= deployment.labels.items()

    def _endpoints(
        self, observation: Installation
    ) -> Piece[tuple[ReplicaAddress, ...]]:
        release = observation.release
        options = ListOptions(
            ENDPOINT_SLICE,
            namespace=release.namespace,
            labels=f"kubernetes.io/service-name={release.name}",
        )
        try:
            found = self.client.list(options, replica_addresses).items.values()
        except ClusterError as error:
            what = f"endpointslices.discovery.k8s.io in {release.namespace}"
            return Unknown.of(error, verb="list", what=what)
        return tuple(sorted({one for _, many in found for one in many}))

    def _blocked(
        self,
        reader: PieceReader,
        observation: Installation,
        deployment: Piece["PodTemplate"],
    ) -> Piece[tuple[str, ...]]:
        if isinstance(deployment, Unknown):
            return deployment
        home = observation.release.namespace
        policies = reader.list(
            ListOptions(NETWORK_POLICY, namespace=home), NetworkPolicy.parse
        )
        if isinstance(policies, Unknown):
            return policies
        pod = Pod(
            namespace=home,
            name="webhook",
            labels=deployment.labels,
            ports=(("https", deployment.port, Protocol.TCP),),
            host_network=deployment.host_network,
        )
        return closing_policies(policies, pod, deployment.port)

    def _served(
        self,
        observation: Installation,
        endpoints: Piece[tuple[ReplicaAddress, ...]],
        name: str,
    ) -> Piece[tuple[ServedCertificate, ...]]:
        configuration = observation.configuration
        if isinstance(endpoints, Unknown):
            return endpoints
        if isinstance(configuration, Unknown):
            return configuration
        bundles = {one.ca_bundle for one in configuration.entries} or {b""}
        asked = [self.serves(endpoints, bundle, name) for bundle in sorted(bundles)]
        served = []
        for one in asked:
            if isinstance(one, Unknown):
                return one
            served.append(one)
        # Where entries have different bundles, a replica has to satisfy each.
        pairs = zip(*served, strict=True)
        return tuple(min(each, key=lambda one: one.trusted) for each in pairs)

    def _spark_webhook(self, reader: PieceReader) -> Piece[bool]:
        hooks = reader.list(ListOptions(WEBHOOK_CONFIGURATION), mutates_spark_pods)
        return hooks if isinstance(hooks, Unknown) else any(hooks)


def _is_alone(observation: Installation) -> bool:
    """Return whether the release has a policy of the API server's, and no webhook."""
    for piece in (observation.webhook, observation.configuration):
        if not isinstance(piece, Unknown) or piece.reason is not UnknownReason.ABSENT:
            return False
    return not isinstance(observation.policy, Unknown)


def _trouble(workload: Any, replicas: Any) -> Piece[WorkloadTrouble]:
    for piece in (workload, replicas):
        if isinstance(piece, Unknown):
            return piece
    return workload_trouble(workload, replicas)


def _scope(observation: Installation) -> Piece[RightsScope]:
    """Return what the companion is meant to do, as it and the chart say."""
    configuration, report = observation.configuration, observation.report
    if isinstance(configuration, Unknown):
        return configuration
    # Before the first report, what every mode needs.
    egress, audits = EgressMode.OFF, False
    if not isinstance(report, Unknown):
        egress = EgressMode(report.settings.get("egress", {}).get("mode", "off"))
        audits = report.audit != "off"
    return RightsScope(
        home=observation.release.namespace,
        release=observation.release.name,
        issues=configuration.issuer == Issuer.COMPANION,
        tls_secret=configuration.tls_secret,
        audits=audits,
        egress=egress,
        namespace=_writable(observation),
    )


def _writable(observation: Installation) -> str:
    """Return a namespace where the companion writes; empty where there is none."""
    report, namespaces = observation.report, observation.namespaces
    if isinstance(namespaces, Unknown) or isinstance(report, Unknown):
        return ""
    return next(
        (
            one.name
            for one in namespaces
            if one.inject == INJECT_ENABLED
            and not one.terminating
            and one.name in report.namespaces
            and report.namespaces[one.name].reason == "Mirrored"
        ),
        "",
    )


def _user(observation: Installation) -> str:
    companion = observation.release.companion
    return f"system:serviceaccount:{companion.namespace}:{companion.name}"


def _review(right: Right, user: str) -> Json:
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "name": right.name,
        "namespace": right.namespace,
    }
    namespace = user.split(":")[2]
    groups = [
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    ]
    kept = {name: value for name, value in attributes.items() if value}
    return {"user": user, "groups": groups, "resourceAttributes": kept}


def _texts(addresses: Piece[Iterable[ReplicaAddress]]) -> Piece[tuple[str, ...]]:
    if isinstance(addresses, Unknown):
        return addresses
    return tuple(str(one) for one in addresses)
