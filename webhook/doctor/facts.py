"""What checks look at: an observation, and what doctor sees beyond it. Frozen values.

No value of a key is in it: names of keys, and where each variable comes from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from certs.model import Root
from webhook.companion.observation.model import Installation, Piece
from webhook.companion.observation.published import PublishedNamespace, PublishedReport
from webhook.companion.observation.unknown import Unknown
from webhook.egress.selector import Selector
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledEntry:
    """One entry of a webhook configuration: for which pods the API server calls.

    Attributes:
        name: its name.
        namespaces: selects namespaces by their labels.
        objects: selects pods by theirs.
        creates_pods: it is called when a pod is created.
        failure_policy: `Ignore` as installed.
        reinvocation: `IfNeeded` as installed.
        side_effects: `None` as installed; with others, a dry run is refused.
        path: what is asked for, `/mutate` as installed.
        port: of the Service.
    """

    name: str
    namespaces: Selector
    objects: Selector
    creates_pods: bool = True
    failure_policy: str = "Ignore"
    reinvocation: str = "IfNeeded"
    side_effects: str = "None"
    path: str = "/mutate"
    port: int = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadTrouble:
    """What keeps the pods of one of our Deployments away.

    Attributes:
        refused: why pods are not even created, as the API server said; empty otherwise.
        unschedulable: pods without a node, with the scheduler's sentence.
        unpulled: pods whose image cannot be pulled.
        crashing: pods whose container ends again and again.
        starting: pods that are not ready for another reason, and how long.
    """

    refused: str = ""
    unschedulable: tuple[str, ...] = ()
    unpulled: tuple[str, ...] = ()
    crashing: tuple[str, ...] = ()
    starting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCertificate:
    """What one replica serves, asked as kube-apiserver asks.

    Attributes:
        replica: pod or address.
        reached: it answered a handshake.
        certificate: what it serves; None where that cannot be read.
        names: for which names it is good.
        trusted: the stored bundle and the Service's name accept it.
    """

    replica: str
    reached: bool
    certificate: Root | None = None
    names: frozenset[str] = frozenset()
    trusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What was observed of one installation.

    Attributes:
        seen: the observation that `status` shows too.
        client: this command's version.
        time: the API server's clock, by its answers; None where it does not tell.
        server_name: the name that API servers ask the webhook's certificate for.
        others: webhook configurations of other releases.
        leftovers: objects of the chart's hooks that somebody applied as ordinary ones.
        entries: of the webhook configuration.
        troubles: by component, `companion` and `webhook`.
        denied: rights that the companion needs and lacks.
        certificates: Secrets that should be there for the certificates and are not.
        service: `selector` of the webhook's Service selects the webhook's pods.
        endpoints: ready addresses behind that Service.
        blocked: policies that let nobody reach the webhook's port.
        served: what each replica serves.
        spark_webhook: spark-operator mutates its pods by a webhook of its own.
        alone: the release has no webhook by choice (`webhook.replicas: 0`): the API
            server's own policy injects.
    """

    seen: Installation
    client: str
    time: datetime | None
    server_name: str
    others: Piece[tuple[str, ...]]
    leftovers: Piece[tuple[str, ...]]
    entries: Piece[tuple[CalledEntry, ...]]
    troubles: Mapping[str, Piece[WorkloadTrouble]]
    denied: Piece[tuple[str, ...]]
    certificates: Piece[tuple[str, ...]]
    service: Piece[bool]
    endpoints: Piece[tuple[str, ...]]
    blocked: Piece[tuple[str, ...]]
    served: Piece[tuple[ServedCertificate, ...]]
    spark_webhook: Piece[bool]
    alone: bool = False

    @property
    def words(self) -> Mapping[str, str]:
        """Return what placeholders of remedies stand for."""
        release = self.seen.release
        return {
            "home": release.namespace,
            "release": release.name,
            "companion": release.companion.name,
        }

    @property
    def report(self) -> Piece[PublishedReport]:
        """Return what the companion published."""
        return self.seen.report


class AttemptResult(StrEnum):
    """How the API server answered a pod that it was asked to create in a dry run."""

    INJECTED = "injected"
    PLAIN = "plain"
    """Admitted without the reference to the mirror."""
    POD_SECURITY = "pod-security"
    QUOTA = "quota"
    REFUSED = "refused"
    TERMINATING = "terminating"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One task pod, created in a dry run through the real admission chain.

    Attributes:
        kind: `Ray head` and the like.
        result: what came of it.
        said: the API server's sentence where it refused.
        hidden: tracking keys that come from elsewhere, and from where.
    """

    kind: str
    result: AttemptResult
    said: str = ""
    hidden: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceFacts:
    """What was observed of one compute namespace.

    Attributes:
        name: its name.
        asked: somebody asked for it by name; otherwise it was found by its label.
        labels: all of them; None where there is no such namespace.
        terminating: it is being deleted.
        cluster: the installation.
        attempts: dry runs of every kind of task pod.
        closed: ways to the tracking server that policies close, and which.
        ignored: objects that no operator acts on, such as `raycluster/a`.
        lost: what a SparkApplication says that never reaches its pods, such as
            `sparkapplication/a: driver.env`.
    """

    name: str
    asked: bool
    labels: Piece[Mapping[str, str]]
    terminating: bool
    cluster: ClusterFacts
    attempts: Piece[tuple[Attempt, ...]]
    closed: Piece[tuple[str, ...]]
    ignored: Piece[tuple[str, ...]]
    lost: Piece[tuple[str, ...]]

    @property
    def words(self) -> Mapping[str, str]:
        """Return what placeholders of remedies stand for."""
        return {**self.cluster.words, "namespace": self.name}

    @property
    def is_enabled(self) -> bool:
        """Return whether the label switches injection on; else, whether it is reported.

        Who may work in one namespace mostly may not read the namespace itself.
        """
        if isinstance(self.labels, Unknown):
            return self.told is not None
        return self.labels.get(INJECT_LABEL) == INJECT_ENABLED

    @property
    def told(self) -> PublishedNamespace | None:
        """Return what the companion reported; None where it has nothing, or is not."""
        report = self.cluster.report
        return None if isinstance(report, Unknown) else report.namespaces.get(self.name)
