"""Reads what doctor's checks of an installation look at, beyond the observation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from webhook.cli.doctor_rights import denied_rights
from webhook.cluster import metadata
from webhook.cluster.interface import KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import (
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
from webhook.companion.observation.model import ConfigurationState, Installation, Piece
from webhook.companion.observation.observe import PieceReader
from webhook.companion.observation.release import ReleaseName
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.doctor.check import mapped
from webhook.doctor.facts import ClusterFacts, ServedCertificate
from webhook.doctor.reach import closing_policies
from webhook.doctor.rights import RightsScope, companion_rights
from webhook.doctor.workloads import workload_trouble
from webhook.egress.mode import EgressMode
from webhook.egress.network_policy import NetworkPolicy, Pod, Protocol
from webhook.injection.names import INJECT_ENABLED
from webhook.settings import Issuer

Serves = Callable[
    [Sequence[ReplicaAddress], bytes, str], Piece[tuple[ServedCertificate, ...]]
]
"""Asks replicas what they serve: addresses, the bundle, the server's name."""


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
        configuration = ObjectKey("", release.name)
        configurations = ListOptions(WEBHOOK_CONFIGURATION)
        deployment = reader.get(DEPLOYMENT, release.webhook, pod_template)
        endpoints = _endpoints(reader, release)
        name = service_name(release.name, release.namespace)
        return ClusterFacts(
            seen=observation,
            client=__version__,
            time=self.client.server_time(),
            server_name=name,
            others=mapped(
                lambda found: tuple(
                    f"MutatingWebhookConfiguration {one}"
                    for one in found
                    if one not in ("", release.name)
                ),
                reader.list(configurations, ours),
            ),
            leftovers=_leftovers(reader, release),
            entries=reader.get(WEBHOOK_CONFIGURATION, configuration, called_entries),
            troubles={
                "companion": mapped(
                    workload_trouble,
                    observation.companion,
                    observation.companion_replicas,
                ),
                "webhook": mapped(
                    workload_trouble, observation.webhook, observation.webhook_replicas
                ),
            },
            denied=self._denied(reader, observation),
            certificates=_missing_secrets(reader, observation),
            service=_selects(reader, release, deployment),
            endpoints=mapped(lambda found: tuple(map(str, found)), endpoints),
            blocked=_blocked(reader, release, deployment),
            served=mapped(
                lambda found, there: self._served(found, there, name),
                endpoints,
                observation.configuration,
            ),
            spark_webhook=mapped(any, reader.list(configurations, mutates_spark_pods)),
            alone=_is_alone(observation),
        )

    def _denied(
        self, reader: PieceReader, observation: Installation
    ) -> Piece[tuple[str, ...]]:
        scope, account = _scope(observation), observation.release.companion
        return mapped(
            lambda known: reader.ask(
                lambda: denied_rights(self.client, companion_rights(known), account),
                "create",
                "subjectaccessreviews.authorization.k8s.io",
            ),
            scope,
        )

    def _served(
        self,
        endpoints: tuple[ReplicaAddress, ...],
        configuration: ConfigurationState,
        name: str,
    ) -> Piece[tuple[ServedCertificate, ...]]:
        bundles = {one.ca_bundle for one in configuration.entries} or {b""}
        asked = [self.serves(endpoints, bundle, name) for bundle in sorted(bundles)]
        # Where entries have different bundles, a replica has to satisfy each.
        return mapped(
            lambda *served: tuple(
                min(each, key=lambda one: one.trusted)
                for each in zip(*served, strict=True)
            ),
            *asked,
        )


def _leftovers(reader: PieceReader, release: ReleaseName) -> Piece[tuple[str, ...]]:
    by_helm = reader.get(CONFIG_MAP, release.report, is_helms)
    if isinstance(by_helm, Unknown):
        return () if by_helm.reason is UnknownReason.ABSENT else by_helm
    if by_helm:
        return ()
    name = f"{release.name}-uninstall"
    keys = (
        (CLUSTER_ROLE, ObjectKey("", name)),
        (JOB, ObjectKey(release.namespace, name)),
    )
    return tuple(
        f"{kind.name.lower()}/{name}"
        for kind, key in keys
        if isinstance(reader.get(kind, key, metadata.uid), str)
    )


def _missing_secrets(
    reader: PieceReader, observation: Installation
) -> Piece[tuple[str, ...]]:
    """Return the Secrets of the certificates that do not exist."""
    configuration, release = observation.configuration, observation.release
    if isinstance(configuration, Unknown):
        return configuration
    names = [configuration.tls_secret or f"{release.name}-tls"]
    if configuration.issuer == Issuer.COMPANION:
        names.append(f"{names[0]}-state")
    found = (
        reader.list(ListOptions(SECRET, namespace=release.namespace, name=name), dict)
        for name in names
    )
    return mapped(
        lambda *each: tuple(
            name for name, one in zip(names, each, strict=True) if not one
        ),
        *found,
    )


def _selects(
    reader: PieceReader, release: ReleaseName, deployment: Piece[PodTemplate]
) -> Piece[bool]:
    """Return whether the Service selects the Deployment's pods, as far as is known."""
    selector = reader.get(SERVICE, release.webhook, service_selector)
    if isinstance(selector, Unknown) or isinstance(deployment, Unknown):
        return selector if isinstance(selector, Unknown) else True
    return bool(selector) and selector.items() <= deployment.labels.items()


def _endpoints(
    reader: PieceReader, release: ReleaseName
) -> Piece[tuple[ReplicaAddress, ...]]:
    options = ListOptions(
        ENDPOINT_SLICE,
        namespace=release.namespace,
        labels=f"kubernetes.io/service-name={release.name}",
    )
    return mapped(
        lambda found: tuple(sorted({one for many in found for one in many})),
        reader.list(options, replica_addresses),
    )


def _blocked(
    reader: PieceReader, release: ReleaseName, deployment: Piece[PodTemplate]
) -> Piece[tuple[str, ...]]:
    home = release.namespace

    def closing(
        template: PodTemplate, policies: tuple[NetworkPolicy, ...]
    ) -> tuple[str, ...]:
        pod = Pod(
            namespace=home,
            name="webhook",
            labels=template.labels,
            ports=(("https", template.port, Protocol.TCP),),
            host_network=template.host_network,
        )
        return closing_policies(policies, pod, template.port)

    options = ListOptions(NETWORK_POLICY, namespace=home)
    return mapped(closing, deployment, reader.list(options, NetworkPolicy.parse))


def _is_alone(observation: Installation) -> bool:
    """Return whether the release has a policy of the API server's, and no webhook."""
    for piece in (observation.webhook, observation.configuration):
        if not isinstance(piece, Unknown) or piece.reason is not UnknownReason.ABSENT:
            return False
    return not isinstance(observation.policy, Unknown)


def _scope(observation: Installation) -> Piece[RightsScope]:
    """Return what the companion is meant to do, as it and the chart say."""
    configuration, report = observation.configuration, observation.report
    if isinstance(configuration, Unknown):
        return configuration
    # Before the first report, what every mode needs.
    egress, audits = EgressMode.OFF, False
    if not isinstance(report, Unknown):
        audits = report.audit != "off"
        said = metadata.mapping(report.settings.get("egress"))
        try:
            egress = EgressMode(said.get("mode", EgressMode.OFF))
        except ValueError:
            what, detail = "the companion's settings", "their egress mode is not known"
            reason = UnknownReason.UNREADABLE
            return Unknown(reason=reason, what=what, detail=detail)
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
