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
    "empty": (b"", 400, "empty-body"),
    "text": (CANARY.encode(), 400, "not-json"),
    "truncated": (RAY_HEAD[:-20], 400, "not-json"),
    "array": (b'["%s"]' % CANARY.encode(), 400, "not-a-review"),
    "null": (b"null", 400, "not-a-review"),
    "other-kind": (with_top(kind=CANARY), 400, "not-a-review"),
    "v1beta1": (
        with_top(apiVersion="admission.k8s.io/v1beta1"),
        400,
        "unsupported-version",
    ),
    "no-request": (with_top(request=None), 400, "no-request"),
    "request-array": (with_top(request=[CANARY]), 400, "no-request"),
    "no-uid": (_without_uid(), 400, "no-uid"),
    "uid-number": (review(uid=7), 400, "no-uid"),
    "nan": (review(object={"x": float("nan")}), 400, "not-json"),
    "bad-utf-8": (
        RAY_HEAD.replace(b'"uid":', b'"\xff\xfe":1,"uid":', 1),
        400,
        "not-json",
    ),
    "utf-16": (RAY_HEAD.decode().encode("utf-16"), 400, "not-json"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, 400, "not-json"),
    "deep-object": (
        review(object=0).replace(
            b'"object": 0', b'"object": %s' % (b'{"a":' * 100_000)
        ),
        400,
        "not-json",
    ),
    "8-mib": (b" " * (8 << 20), 413, "too-large"),
    "one-byte-too-many": (b" " * (BODY_LIMIT + 1), 413, "too-large"),
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
