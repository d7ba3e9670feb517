"""Examines one cluster: reads what checks look at, and has them judge it."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from cryptography import x509

from certs.model import root_of
from webhook.cli.doctor_cluster import InstallationReader
from webhook.cli.doctor_namespace import NamespaceReader
from webhook.cli.doctor_preflight import read_preflight
from webhook.cli.doctor_probe import Prober
from webhook.cluster.errors import ClusterError
from webhook.cluster.interface import Json, KubeClient, ListOptions
from webhook.cluster.resources import POD
from webhook.cluster.tunnel import Tunnel
from webhook.companion.certificates.probe import ReplicaAddress, TlsProber, connect
from webhook.companion.observation.model import Piece
from webhook.companion.observation.observe import observe
from webhook.companion.observation.release import ReleaseName
from webhook.companion.observation.unknown import Unknown, UnknownReason
from webhook.doctor.check import Diagnosis, Outcome, examine_all
from webhook.doctor.facts import ServedCertificate
from webhook.doctor.pods import IMAGE, KINDS
from webhook.doctor.registry import CLUSTER, NAMESPACE, PREFLIGHT, PROBE

_HANDSHAKE: Final = 3.0
"""Seconds for one: what API servers give the whole call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """Examines one cluster.

    Attributes:
        client: of the cluster.
        tunnel: into its pods; None where pods are reached by their addresses.
        probes: run the probe in each namespace.
        kinds: of which a task pod is created in a dry run.
    """

    client: KubeClient
    tunnel: Tunnel | None = None
    probes: bool = False
    kinds: Sequence[str] = tuple(KINDS)

    def examine(
        self, release: ReleaseName, namespaces: Sequence[str], at: datetime
    ) -> tuple[Diagnosis, ...]:
        """Return every diagnosis of a release, the cluster's first."""
        asker = ReplicaAsker(self.client, self.tunnel, release.namespace)
        reader = InstallationReader(self.client, asker.ask)
        facts = reader.read(observe(self.client, release, at))
        diagnoses = examine_all(CLUSTER, facts)
        failed = frozenset(
            one.check.code for one in diagnoses if one.outcome is Outcome.FAILURE
        )
        webhook = facts.seen.webhook
        image = IMAGE if isinstance(webhook, Unknown) else webhook.image
        at = facts.time or at
        spaces = NamespaceReader(self.client, facts, at, kinds=self.kinds)
        for one in spaces.read(namespaces):
            name = one.name
            found = examine_all(NAMESPACE, one, namespace=name, failed=failed)
            diagnoses += found
            if self.probes and self.tunnel is not None and one.is_enabled:
                inside = Prober(self.client, self.tunnel, image).probe(one)
                diagnoses += tuple(
                    replace(one, place=inside.where)
                    for one in examine_all(PROBE, inside, namespace=name)
                )
        return diagnoses

    def preflight(self, home: str, release: str) -> tuple[Diagnosis, ...]:
        """Return what there is to say before an install."""
        facts = read_preflight(self.client, home, release)
        return examine_all(PREFLIGHT, facts)


@dataclass(slots=True)
class ReplicaAsker:
    """Asks webhook replicas what they serve, as kube-apiserver asks.

    From outside of a cluster its pods' addresses may be somebody else's, so a port is
    forwarded; where that cannot be, and nobody answers directly, nothing is known.

    Attributes:
        client: of the cluster.
        tunnel: into its pods.
        home: the release's namespace.
    """

    client: KubeClient
    tunnel: Tunnel | None
    home: str
    _pods: dict[str, str] | None = None
    _hindrance: str = field(default="", init=False)

    def ask(
        self, replicas: Sequence[ReplicaAddress], bundle: bytes, name: str
    ) -> Piece[tuple[ServedCertificate, ...]]:
        """Return what each serves, or why they cannot be asked."""
        prober = TlsProber(name, timeout=_HANDSHAKE, dial=self._dial)
        served = tuple(_served(prober, one, bundle) for one in replicas)
        if self._hindrance and not all(one.reached for one in served):
            what = f"pods/portforward in {self.home}"
            return Unknown(
                reason=UnknownReason.UNREACHABLE, what=what, detail=self._hindrance
            )
        return served

    def _dial(self, replica: ReplicaAddress, timeout: float) -> socket.socket:
        if self.tunnel is not None:
            try:
                pod = self._by_address().get(replica.host, "")
                made = self.tunnel.connect(self.home, pod, replica.port)
            except (OSError, ClusterError) as error:
                self._hindrance = str(error)
            else:
                made.settimeout(timeout)
                return made
        return connect(replica, timeout)

    def _by_address(self) -> dict[str, str]:
        if self._pods is None:
            found = self.client.list(ListOptions(POD, namespace=self.home), _address)
            self._pods = {
                address: key.name for key, (_, address) in found.items.items()
            }
        return self._pods


def _address(body: Json) -> str:
    return str((body.get("status") or {}).get("podIP") or "")


def _served(
    prober: TlsProber, replica: ReplicaAddress, bundle: bytes
) -> ServedCertificate:
    der, trusted = prober.certificate(replica, bundle)
    if not der:
        return ServedCertificate(replica=str(replica), reached=False)
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.DNSName)
    except (ValueError, x509.ExtensionNotFound):
        return ServedCertificate(replica=str(replica), reached=True, trusted=trusted)
    return ServedCertificate(
        replica=str(replica),
        reached=True,
        certificate=root_of(certificate),
        names=frozenset(names),
        trusted=trusted,
    )
