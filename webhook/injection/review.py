"""AdmissionReview v1: bytes to a `Review`, a `Review`'s answer to bytes.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

import base64
from collections.abc import Sequence
from typing import Any, Final, Literal, Required, TypedDict

import msgspec
import orjson

from webhook.injection.reasons import Rejection

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"

SMALL_BODY: Final = 64 << 10
"""Bytes up to which a body may be decoded whole. A real pod has about 10 KB."""

MAPS: Final = 150_000
"""Maps that a large body may have: each costs some 200 bytes, though it has two."""

WARNING_RUNES = 256
"""kube-apiserver cuts every warning there once an answer's warnings grow long."""


class MalformedReviewError(ValueError):
    """The body is not a review. Its message is fixed and never repeats the body."""

    def __init__(self, rejection: Rejection) -> None:
        """Keep the reason; the message is its sentence."""
        super().__init__(rejection.sentence)
        self.rejection = rejection


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """What the API server asks.

    Attributes:
        uid: Goes back unchanged in the answer.
        operation: `CREATE` for the only operation we act on.
        namespace: The request's: the object's own is often absent.
        kind: The object's kind; `Pod` for the only one we act on.
        subresource: Empty unless the request is for, say, `pods/status`.
        dry_run: Nothing will be stored.
        pod: The object as sent, whatever its shape; `None` when there is none.
        is_typed: The parser has proved that `pod` has a pod's shape.
    """

    uid: str
    operation: str = "CREATE"
    namespace: str = ""
    kind: str = "Pod"
    subresource: str = ""
    dry_run: bool = False
    pod: Any = None
    is_typed: bool = False


def decode(body: bytes | bytearray) -> Review:
    """Read what a decision and a log line look at, and nothing else.

    Every field is decoded by its type, so that memory and time are bounded by the
    body's size, whatever it nests; the rest is checked as JSON and left unread, which
    halves the cost. A number beyond a double's range passes there: no field that is
    read is a number. Of duplicate keys the last wins, as in kube-apiserver.

    Args:
        body: An AdmissionReview as JSON.

    Returns:
        The review, its pod proved. A pod of another shape is `None` when the body is
        large, and kept as it came otherwise.

    Raises:
        MalformedReviewError: The body is something else; `rejection` says what.
    """
    if len(body) > SMALL_BODY and body.count(b"{") > MAPS:
        raise MalformedReviewError(Rejection.TOO_LARGE)
    if not body.isascii():
        _check_utf_8(body)
    try:
        request: Any = _TYPED.decode(body)["request"]
    except (msgspec.MsgspecError, RecursionError):
        return _parse_odd(body)
    return _review(request, is_typed=True)


def parse(body: bytes) -> Review:
    """Read a review as `decode` does, and keep all of its pod.

    Numbers beyond a double's range are refused.

    Args:
        body: An AdmissionReview as JSON.

    Returns:
        The review; everything below `request.object` as it came.

    Raises:
        MalformedReviewError: As `decode`.
    """
    review = decode(body)
    return msgspec.structs.replace(
        review, pod=_loads(body)["request"].get("object"), is_typed=False
    )


def _parse_odd(body: bytes | bytearray) -> Review:
    """Say what a body is that is no review of a pod, at a cost that is bounded."""
    if not body:
        raise MalformedReviewError(Rejection.EMPTY_BODY)
    if len(body) <= SMALL_BODY:
        return _review(_request(_loads(body)))
    try:
        _JSON.decode(body)
        return _review(_request(_ENVELOPE.decode(body)))
    except msgspec.ValidationError:
        raise MalformedReviewError(Rejection.NOT_A_REVIEW) from None
    except (msgspec.MsgspecError, RecursionError):
        raise MalformedReviewError(Rejection.NOT_JSON) from None


def _loads(body: bytes | bytearray) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # `from None`: the decoder's error carries the body, which nobody may log.
        raise MalformedReviewError(Rejection.NOT_JSON) from None


def _check_utf_8(body: bytes | bytearray) -> None:
    """What is left unread is not decoded, and has to be UTF-8 all the same."""
    try:
        body.decode()
    except UnicodeDecodeError:
        raise MalformedReviewError(Rejection.NOT_JSON) from None


class _Owner(TypedDict, total=False):
    kind: str
    name: str


class _Metadata(TypedDict, total=False):
    name: str
    generateName: str
    labels: dict[str, str] | None
    annotations: dict[str, str] | None
    ownerReferences: list[_Owner] | None


class _KeySelector(TypedDict, total=False):
    key: str
    name: str
    optional: bool | None


class _ValueFrom(TypedDict, total=False):
    secretKeyRef: _KeySelector | None


class _EnvVar(TypedDict, total=False):
    name: Required[str]
    valueFrom: _ValueFrom | None


class _SecretRef(TypedDict, total=False):
    name: str
    optional: bool | None


class _EnvFrom(TypedDict, total=False):
    prefix: str | None
    secretRef: _SecretRef | None


class _Mount(TypedDict, total=False):
    mountPath: Required[str]


class _Container(TypedDict, total=False):
    name: Required[str]
    env: list[_EnvVar] | None
    envFrom: list[_EnvFrom] | None
    volumeMounts: list[_Mount] | None


class _ConfigMap(TypedDict, total=False):
    name: str


class _Volume(TypedDict, total=False):
    name: Required[str]
    configMap: _ConfigMap | None


class _Spec(TypedDict, total=False):
    containers: Required[list[_Container]]
    volumes: list[_Volume] | None


class _Pod(TypedDict):
    metadata: _Metadata
    spec: _Spec


class _Kind(TypedDict, total=False):
    kind: str


class _Request(TypedDict, total=False):
    uid: Required[str]
    operation: str
    namespace: str
    kind: _Kind
    subResource: str
    dryRun: bool | None


class _PodRequest(_Request):
    object: _Pod


class _AdmissionReview(TypedDict):
    kind: Literal["AdmissionReview"]
    apiVersion: Literal["admission.k8s.io/v1"]
    request: _PodRequest


class _Envelope(TypedDict, total=False):
    kind: str
    apiVersion: str
    request: _Request | None


_TYPED = msgspec.json.Decoder(_AdmissionReview)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_JSON = msgspec.json.Decoder(msgspec.Raw)


def _request(review: Any) -> dict[str, Any]:
    if not isinstance(review, dict) or review.get("kind") != KIND:
        raise MalformedReviewError(Rejection.NOT_A_REVIEW)
    if review.get("apiVersion") != API_VERSION:
        raise MalformedReviewError(Rejection.UNSUPPORTED_VERSION)
    request = review.get("request")
    if not isinstance(request, dict):
        raise MalformedReviewError(Rejection.NO_REQUEST)
    texts = ("uid", "operation", "namespace", "subResource")
    kept = {key: request[key] for key in texts if isinstance(request.get(key), str)}
    kind = request.get("kind")
    if isinstance(kind, dict) and isinstance(kind.get("kind"), str):
        kept["kind"] = kind
    return kept | {"dryRun": request.get("dryRun"), "object": request.get("object")}


def _review(request: dict[str, Any], *, is_typed: bool = False) -> Review:
    get = request.get
    uid = get("uid")
    if not uid:
        raise MalformedReviewError(Rejection.NO_UID)
    return Review(
        uid=uid,
        operation=get("operation", ""),
        namespace=get("namespace", ""),
        kind=get("kind", _NO_KIND).get("kind", ""),
        subresource=get("subResource", ""),
        dry_run=get("dryRun") is True,
        pod=get("object"),
        is_typed=is_typed,
    )


_NO_KIND: Final[dict[str, str]] = {}


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
