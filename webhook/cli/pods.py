"""Finds the pods that a manifest holds, or leads to.

A Pod, the items of a List, the object of an AdmissionReview and the pod template of a
Job stand in the manifest and can be changed there. The pods of KubeRay's and
spark-operator's resources do not exist yet: what is said of them is what would be.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
from msgspec import structs

from webhook.cli.document import BadInputError, Field
from webhook.cli.expected_pods import Pods
from webhook.cli.manifests import Document, objects
from webhook.cli.operators import OPERATORS, TEMPLATES
from webhook.cluster import metadata
from webhook.injection.decision import is_pod_creation
from webhook.injection.review import MalformedReviewError, Review, parse
from webhook.injection.validate import first_error
from webhook.injection.workload import WORKLOADS


@dataclass(frozen=True, slots=True, kw_only=True)
class PodInManifest:
    """A pod, and what is asked about it.

    Attributes:
        origin: The document that it comes from, as `pods.yaml, document 2`.
        title: For people, as `Pod a` or `RayCluster a, head`.
        pointer: JSON pointer of the pod in the document; `None` for a pod that an
            operator would create.
        review: What the API server would ask.
    """

    origin: str
    title: str
    pointer: str | None
    review: Review

    @property
    def exists(self) -> bool:
        """Whether it was read from a cluster: it has a UID and a status."""
        if not isinstance(self.review.pod, dict):
            return False
        return bool(metadata.uid(self.pod)) and bool(self.pod.get("status"))

    @property
    def pod(self) -> dict[str, Any]:
        """The pod, which has a pod's shape."""
        pod: dict[str, Any] = self.review.pod
        return pod


def subjects(document: Document, namespace: str) -> Iterator[PodInManifest]:
    """Find the pods of a document.

    Args:
        document: Of any kind; most kinds have none.
        namespace: For what names none.

    Yields:
        The pods in the document's order.

    Raises:
        BadInputError: A pod or a resource that leads to one is malformed.
    """
    for one in objects(document):
        node, known = one.field, (one.group or "", one.kind)
        if one.is_a("", "Pod"):
            review = Review(uid="", namespace=namespace)
            yield _standing(node, one.pointer, review)
        elif one.kind == "AdmissionReview":
            yield _reviewed(node, one.pointer)
        elif known in TEMPLATES:
            review = Review(uid="", namespace=namespace)
            yield from _templated(node, one.pointer, TEMPLATES[known], review)
        elif known in OPERATORS:
            pods = OPERATORS[known](node.at("spec"), _name(node))
            yield from _expected(node, pods, namespace)


def _standing(node: Field, pointer: str, review: Review) -> PodInManifest:
    _check(node)
    name = _name(node)
    namespace = node.at("metadata").at("namespace").text() or review.namespace
    return PodInManifest(
        origin=node.origin,
        title=f"Pod {name}" if name else "Pod without a name",
        pointer=pointer,
        review=structs.replace(review, namespace=namespace, pod=node.value),
    )


def _templated(
    node: Field, pointer: str, path: tuple[str, ...], review: Review
) -> Iterator[PodInManifest]:
    """Yield the template's pod, if a label says that it is one of ours to look at."""
    template = node
    for key in path:
        template = template.at(key).or_empty()
    labels = template.at("metadata").or_empty().at("labels").texts()
    if not labels.keys() & {label for label, _ in WORKLOADS}:
        return
    title = f"{node.at('kind').text()} {_name(node)}"
    namespace = node.at("metadata").at("namespace").text() or review.namespace
    pod = _standing(
        template,
        "/".join((pointer, *path)),
        structs.replace(review, namespace=namespace),
    )
    yield replace(pod, title=title)


def _reviewed(node: Field, pointer: str) -> PodInManifest:
    try:
        review = parse(orjson.dumps(node.value))
    except MalformedReviewError as error:
        raise BadInputError(f"{node.origin}: {error}") from None
    except TypeError:
        raise node.error("holds a number beyond 64 bits") from None
    if not is_pod_creation(review):
        return PodInManifest(
            origin=node.origin,
            title=f"{review.operation} of {review.kind}",
            pointer=pointer,
            review=review,
        )
    pod = node.at("request").at("object")
    return _standing(pod, f"{pointer}/request/object", review)


def _expected(node: Field, pods: Pods, namespace: str) -> Iterator[PodInManifest]:
    title = f"{node.at('kind').text()} {_name(node)}"
    namespace = node.at("metadata").at("namespace").text() or namespace
    for what, pod in pods:
        _check(Field(pod, node.origin, f"({what})"))
        yield PodInManifest(
            origin=node.origin,
            title=f"{title}, {what}",
            pointer=None,
            review=Review(uid="", namespace=namespace, pod=pod),
        )


def _name(node: Field) -> str:
    metadata = node.at("metadata")
    return metadata.at("name").text() or metadata.at("generateName").text()


def _check(pod: Field) -> None:
    """Raise for what a decision reads, and what the kubelet's model reads beyond."""
    if problem := first_error(pod.map()):
        way = f"{pod.path}." if pod.path else ""
        raise BadInputError(f"{pod.origin}: {way}{problem}.")
    for container in pod.at("spec").at("containers").items():
        for entry in container.at("env").items():
            entry.at("value").text()
            value_from = entry.at("valueFrom").or_empty()
            for name in ("secretKeyRef", "configMapKeyRef", "fileKeyRef"):
                reference = value_from.at(name).or_empty()
                for part in ("name", "key", "volumeName", "path"):
                    reference.at(part).text()
        for source in container.at("envFrom").items():
            source.at("prefix").text()
            for name in ("secretRef", "configMapRef"):
                source.at(name).or_empty().at("name").text()
