"""Bodies that are no review, and why each is refused."""

import json

from webhook.samples import reviews
from webhook.server.limits import BODY_LIMIT

CANARY = "canary-5up3r-s3cr3t"
"""Stands in every body; it must come back in no answer and stand in no log."""

RAY_HEAD = reviews()["ray-head-michelangelo"]


def review(**request: object) -> bytes:
    """A review with a changed request."""
    content = json.loads(RAY_HEAD)
    content["request"] |= request
    return json.dumps(content).encode()


def with_top(**fields: object) -> bytes:
    """A review with changed top fields."""
    return json.dumps(json.loads(RAY_HEAD) | fields).encode()


def _without_uid() -> bytes:
    content = json.loads(RAY_HEAD)
    del content["request"]["uid"]
    return json.dumps(content).encode()


MALFORMED: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "EmptyBody"),
    "text": (CANARY.encode(), 400, "NotJson"),
    "truncated": (RAY_HEAD[:-20], 400, "NotJson"),
    "array": (b'["%s"]' % CANARY.encode(), 400, "NotAReview"),
    "null": (b"null", 400, "NotAReview"),
    "other-kind": (with_top(kind=CANARY), 400, "NotAReview"),
    "v1beta1": (
        with_top(apiVersion="admission.k8s.io/v1beta1"),
        400,
        "UnsupportedVersion",
    ),
    "no-request": (with_top(request=None), 400, "NoRequest"),
    "request-array": (with_top(request=[CANARY]), 400, "NoRequest"),
    "no-uid": (_without_uid(), 400, "NoUid"),
    "uid-number": (review(uid=7), 400, "NoUid"),
    "nan": (review(object={"x": float("nan")}), 400, "NotJson"),
    "bad-utf-8": (
        RAY_HEAD.replace(b'"uid":', b'"\xff\xfe":1,"uid":', 1),
        400,
        "NotJson",
    ),
    "utf-16": (RAY_HEAD.decode().encode("utf-16"), 400, "NotJson"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, 400, "NotJson"),
    "deep-object": (
        review(object=0).replace(
            b'"object": 0', b'"object": %s' % (b'{"a":' * 100_000)
        ),
        400,
        "NotJson",
    ),
    "8-mib": (b" " * (8 << 20), 413, "TooLarge"),
    "one-byte-too-many": (b" " * (BODY_LIMIT + 1), 413, "TooLarge"),
}

ADMITTED: dict[str, bytes] = {
    "5000-digit-integer": review(object=0).replace(
        b'"object": 0', b'"object": ' + b"9" * 5000
    ),
    "duplicate-uid": RAY_HEAD.replace(b'"uid":', b'"uid":"an-earlier-one","uid":', 1),
    "object-null": review(object=None),
    "object-array": review(object=[CANARY]),
    "delete": review(operation="DELETE"),
    "containers-null": review(
        object={"metadata": {"labels": {"ray.io/node-type": "head"}}, "spec": {}}
    ),
    "odd-metadata": review(object={"metadata": [CANARY], "spec": {"containers": 3}}),
}
"""Reviews with an odd pod: admitted as they are."""
