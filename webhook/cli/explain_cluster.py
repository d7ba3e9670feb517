"""Reads what a cluster has, for `explain`: pods, and what decides about them.

The mirror and ConfigMaps are read where rights allow; no other Secret is.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from webhook.cli.document import BadInputError
from webhook.cli.explanation import ExplainReason, Explanation, standing
from webhook.cli.manifests import Document
from webhook.cli.pods import subjects
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Forbidden, NotFound
from webhook.cluster.interface import Json, KubeClient, ListOptions
from webhook.cluster.resources import (
    APACHE_APPLICATION,
    APACHE_CLUSTER,
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    POD,
    RAY_CLUSTER,
    RAY_CRON_JOB,
    RAY_JOB,
    RAY_SERVICE,
    SECRET,
    SPARK_APPLICATION,
    SPARK_CONNECT,
    STATEFUL_SET,
    ResourceType,
)
from webhook.companion.audit import AuditContext
from webhook.companion.projections import compute_namespace, mirror_state
from webhook.injection.environment import KnownSources, decoded
from webhook.injection.names import (
    INJECT_ENABLED,
    INJECT_LABEL,
    MANAGED_BY,
    MIRROR_SECRET,
    RELEASE_LABEL,
)

_RAY_LABEL: Final = "ray.io/cluster"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind that leads to pods: its type, and the labels of its pods by its object.

    Attributes:
        type: In the cluster.
        labels: Selectors of its pods.
        makes: A word for the kind that it makes instead, and the label of these
            objects that has its name.
    """

    type: ResourceType
    labels: Callable[[Json], Iterable[str]] = lambda _: ()
    makes: tuple[str, str] | None = None


def _of_cluster(body: Json) -> Iterator[str]:
    yield f"{_RAY_LABEL}={metadata.key(body).name}"


def _of_job(body: Json) -> Iterator[str]:
    if name := (body.get("status") or {}).get("rayClusterName"):
        yield f"{_RAY_LABEL}={name}"


def _of_service(body: Json) -> Iterator[str]:
    status = body.get("status") or {}
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        if name := (status.get(part) or {}).get("rayClusterName"):
            yield f"{_RAY_LABEL}={name}"


def _named_by(label: str) -> Callable[[Json], Iterable[str]]:
    """Return how pods are selected that bear the object's name in a label."""
    return lambda body: (f"{label}={metadata.key(body).name}",)


def _selected(body: Json) -> Iterator[str]:
    """Yield the labels by which Kubernetes itself knows the pods."""
    selector = (body.get("spec") or {}).get("selector") or {}
    if labels := selector.get("matchLabels"):
        yield ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


KINDS: Final[Mapping[str, _Kind]] = {
    "pod": _Kind(POD),
    "job": _Kind(JOB, _selected),
    "deployment": _Kind(DEPLOYMENT, _selected),
    "statefulset": _Kind(STATEFUL_SET, _selected),
    "raycluster": _Kind(RAY_CLUSTER, _of_cluster),
    "rayjob": _Kind(RAY_JOB, _of_job),
    "raycronjob": _Kind(RAY_CRON_JOB, makes=("rayjob", "ray.io/cronjob-name")),
    "rayservice": _Kind(RAY_SERVICE, _of_service),
    "sparkapplication": _Kind(
        SPARK_APPLICATION, _named_by("sparkoperator.k8s.io/app-name")
    ),
    "sparkconnect": _Kind(
        SPARK_CONNECT, _named_by("sparkoperator.k8s.io/connect-name")
    ),
    "sparkapplication.spark.apache.org": _Kind(
        APACHE_APPLICATION, _named_by("spark.operator/spark-app-name")
    ),
    "sparkcluster": _Kind(
        APACHE_CLUSTER, _named_by("spark.operator/spark-cluster-name")
    ),
}
"""By their names on the command line, in the singular; with the group of a namesake."""


def kind_of(word: str) -> _Kind:
    """Return the kind that a word names, in the singular, plural or with its group.

    Raises:
        BadInputError: there is none.
    """
    name, dot, group = word.lower().partition(".")
    one = name.removesuffix("s")
    found = KINDS.get(one + dot + group) or KINDS.get(one)
    if name == "po":
        found = KINDS["pod"]
    if found is None:
        known = ", ".join(KINDS)
        raise BadInputError(f"{word!r} leads to no pods that are known; {known} do.")
    return found


@dataclass(slots=True)
class PodExplainer:
    """Explains what a cluster has; each object is read once.

    Attributes:
        client: reads the cluster.
        release: whose mirrors are ours; empty where that is not known.
    """

    client: KubeClient
    release: str
    _contexts: dict[str, tuple[AuditContext | ExplainReason | None, str]] = field(
        default_factory=dict
    )
    _contents: dict[tuple[str, str, str], Mapping[str, str] | str | None] = field(
        default_factory=dict
    )

    def explain(self, target: str, namespace: str) -> list[Explanation]:
        """Return an explanation of each pod that a `KIND/NAME` has in the cluster.

        Raises:
            BadInputError: the target is none.
            ClusterError: it does not exist, or cannot be read.
        """
        word, _, name = target.partition("/")
        if not name:
            raise BadInputError(f"{target!r} is not KIND/NAME, such as pod/my-pod.")
        kind = kind_of(word)
        body = self.client.get(kind.type, name, namespace)
        if kind.type is POD:
            return [self._pod(body)]
        return [
            self._pod(pod)
            for labels in self._selectors(kind, body)
            for pod in self._items(ListOptions(POD, namespace=namespace, labels=labels))
        ]

    def manifest(self, target: str, namespace: str) -> Document:
        """Return an object as a document, to say what its pods would be."""
        word, _, name = target.partition("/")
        kind = kind_of(word).type
        body = self.client.get(kind, name, namespace)
        typed = {"apiVersion": kind.api_version, "kind": kind.name}
        return Document(target, typed | body)

    def _selectors(self, kind: _Kind, body: Json) -> Iterator[str]:
        """Yield the selectors of an object's pods, or of what it made."""
        yield from kind.labels(body)
        if kind.makes is None:
            return
        word, label = kind.makes
        made, key = KINDS[word], metadata.key(body)
        labels = f"{label}={key.name}"
        options = ListOptions(made.type, namespace=key.namespace, labels=labels)
        for one in self._items(options):
            yield from self._selectors(made, one)

    def _items(self, options: ListOptions) -> list[Json]:
        """List objects in the order of their names."""
        items = self.client.list(options, dict).items
        return [body for _, (_, body) in sorted(items.items(), key=lambda one: one[0])]

    def _pod(self, body: Json) -> Explanation:
        typed = {"apiVersion": "v1", "kind": "Pod"} | body
        (subject,) = subjects(Document("in the cluster", typed), "")
        namespace = metadata.key(body).namespace
        sources, unread = self._sources(body, namespace)
        context, problem = self._context(namespace)
        told = tuple(filter(None, dict.fromkeys((*unread, problem))))
        return standing(subject, sources, context, unread=told)

    def _context(
        self, namespace: str
    ) -> tuple[AuditContext | ExplainReason | None, str]:
        """Return the namespace as the auditor knows it, or why nobody knows."""
        if namespace not in self._contexts:
            self._contexts[namespace] = self._audited(namespace)
        return self._contexts[namespace]

    def _audited(
        self, namespace: str
    ) -> tuple[AuditContext | ExplainReason | None, str]:
        try:
            body = self.client.get(NAMESPACE, namespace)
        except ClusterError as error:
            return None, _said(error)
        if metadata.labels(body).get(INJECT_LABEL) != INJECT_ENABLED:
            return ExplainReason.NAMESPACE_NOT_LABELED, ""
        mirror, unread = None, ""
        try:
            secret = self.client.get(SECRET, MIRROR_SECRET, namespace)
            named = metadata.labels(secret).get(RELEASE_LABEL, MANAGED_BY)
            mirror = mirror_state(secret, self.release or named)
        except NotFound:
            pass
        except ClusterError as error:
            unread = _said(error)
        return AuditContext.of(compute_namespace(body), mirror), unread

    def _sources(self, pod: Json, namespace: str) -> tuple[KnownSources, list[str]]:
        """Return the content of what the pod refers to, and what cannot be read."""
        secrets: dict[str, Mapping[str, str] | None] = {}
        config_maps: dict[str, Mapping[str, str] | None] = {}
        unread = []
        for kind, name in _references(pod):
            content = self._content(kind, name, namespace)
            if isinstance(content, str):
                unread.append(content)
            elif kind is SECRET:
                secrets[name] = content
            else:
                config_maps[name] = content
        known = KnownSources(secrets=secrets, config_maps=config_maps)
        return known, unread

    def _content(
        self, kind: ResourceType, name: str, namespace: str
    ) -> Mapping[str, str] | str | None:
        """Return keys and values; None where it does not exist, or why it is unread."""
        address = kind.name, namespace, name
        if address not in self._contents:
            try:
                body = self.client.get(kind, name, namespace)
            except NotFound:
                self._contents[address] = None
            except ClusterError as error:
                self._contents[address] = _said(error)
            else:
                self._contents[address] = _texts(kind, body)
        return self._contents[address]


def _references(pod: Json) -> list[tuple[ResourceType, str]]:
    """Return the mirror and the ConfigMaps that containers refer to, each once."""
    found: dict[tuple[ResourceType, str], None] = {}
    for container in (pod.get("spec") or {}).get("containers") or ():
        from_one = [one.get("valueFrom") or {} for one in container.get("env") or ()]
        for entry in (*(container.get("envFrom") or ()), *from_one):
            for name in ("configMapRef", "configMapKeyRef"):
                if target := (entry.get(name) or {}).get("name"):
                    found[CONFIG_MAP, target] = None
            for name in ("secretRef", "secretKeyRef"):
                if (entry.get(name) or {}).get("name") == MIRROR_SECRET:
                    found[SECRET, MIRROR_SECRET] = None
    return list(found)


def _texts(kind: ResourceType, body: Json) -> dict[str, str]:
    data: dict[str, Any] = body.get("data") or {}
    if kind is CONFIG_MAP:
        return dict(data)
    return {key: decoded(base64.b64decode(text)) for key, text in data.items()}


def _said(error: ClusterError) -> str:
    if isinstance(error, Forbidden):
        return f"a right is missing: {error}"
    return str(error)
