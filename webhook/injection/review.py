"""AdmissionReview v1: bytes to a `Review`, a `Review`'s answer to bytes.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import orjson

from webhook.injection.reasons import Rejection

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"

WARNING_RUNES = 256
"""kube-apiserver cuts every warning there once an answer's warnings grow long."""


class MalformedReviewError(ValueError):
    """The body is not a review. Its message is fixed and never repeats the body."""

    def __init__(self, rejection: Rejection) -> None:
        """Keep the reason; the message is its sentence."""
        super().__init__(rejection.sentence)
        self.rejection = rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What the API server asks.

    Attributes:
        uid: Goes back unchanged in the answer.
        operation: `CREATE` for the only operation we act on.
        namespace: The request's: the object's own is often absent.
        kind: The object's kind; `Pod` for the only one we act on.
        subresource: Empty unless the request is for, say, `pods/status`.
        dry_run: Nothing will be stored.
        pod: The object as sent, whatever its shape; `None` when there is none.
    """

    uid: str
    operation: str = "CREATE"
    namespace: str = ""
    kind: str = "Pod"
    subresource: str = ""
    dry_run: bool = False
    pod: Any = None


def parse(body: bytes) -> Review:
    """Read a review.

    Strict where JSON is (UTF-8, no NaN, bounded nesting); of duplicate keys the last
    wins, as in kube-apiserver. Numbers beyond a double's range are refused.

    Args:
        body: An AdmissionReview as JSON.

    Returns:
        The review; everything below `request.object` is kept as it came.

    Raises:
        MalformedReviewError: The body is something else; `rejection` says what.
    """
    if not body:
        raise MalformedReviewError(Rejection.EMPTY_BODY)
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError:
        # `from None`: the decoder's error carries the body, which nobody may log.
        raise MalformedReviewError(Rejection.NOT_JSON) from None
    if not isinstance(review, dict) or review.get("kind") != KIND:
        raise MalformedReviewError(Rejection.NOT_A_REVIEW)
    if review.get("apiVersion") != API_VERSION:
        raise MalformedReviewError(Rejection.UNSUPPORTED_VERSION)
    return _review(review)


def skim(body: bytes) -> Review:
    """Read a review, but of its pod only what a decision and a log line look at.

    The rest of a pod is most of it: leaving it unread costs half of reading it. It is
    checked as JSON all the same, but for one thing: a number beyond a double's range,
    which `parse` refuses, passes. That is harmless, for no field that we look at is a
    number, kube-apiserver sends none, and a patch names no place that was not read.
    Everything else unusual, be it a character beyond ASCII or a shape that is no
    pod's, is left to `parse`.

    Args:
        body: An AdmissionReview as JSON.

    Returns:
        The review; `decide` says the same of it as of the one from `parse`.

    Raises:
        MalformedReviewError: As `parse`.
    """
    if body.isascii():
        try:
            review = _SKIMMER.decode(body)
        except (msgspec.MsgspecError, RecursionError):
            return parse(body)
        if review.get("kind") == KIND and review.get("apiVersion") == API_VERSION:
            return _review(review)
    return parse(body)


class _Metadata(TypedDict, total=False):
    name: Any
    generateName: Any
    labels: Any
    annotations: Any
    ownerReferences: Any


class _Container(TypedDict, total=False):
    name: Any
    env: Any
    envFrom: Any


class _Spec(TypedDict, total=False):
    containers: list[_Container]


class _Pod(TypedDict, total=False):
    metadata: _Metadata
    spec: _Spec


class _Request(TypedDict, total=False):
    uid: Any
    operation: Any
    namespace: Any
    kind: Any
    subResource: Any
    dryRun: Any
    object: _Pod


class _AdmissionReview(TypedDict, total=False):
    kind: Any
    apiVersion: Any
    request: _Request


_SKIMMER = msgspec.json.Decoder(_AdmissionReview)


def _review(review: Any) -> Review:
    request = review.get("request")
    if not isinstance(request, dict):
        raise MalformedReviewError(Rejection.NO_REQUEST)
    uid = _text(request, "uid")
    if not uid:
        raise MalformedReviewError(Rejection.NO_UID)
    kind = request.get("kind")
    return Review(
        uid=uid,
        operation=_text(request, "operation"),
        namespace=_text(request, "namespace"),
        kind=_text(kind, "kind") if isinstance(kind, dict) else "",
        subresource=_text(request, "subResource"),
        dry_run=request.get("dryRun") is True,
        pod=request.get("object"),
    )


def answer(
    uid: str,
    patch: Sequence[dict[str, Any]] = (),
    warnings: Sequence[str] = (),
) -> bytes:
    """Write the answer: always `allowed`, with a JSON Patch if there is one.

    Args:
        uid: The review's.
        patch: RFC 6902 operations; none means that the pod stays as it is.
        warnings: Shown to whoever creates the pod; each is cut at 256 characters.

    Returns:
        An AdmissionReview as JSON.
    """
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(orjson.dumps(patch)).decode()
    if warnings:
        response["warnings"] = [text[:WARNING_RUNES] for text in warnings]
    return orjson.dumps({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def _text(mapping: dict[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""
