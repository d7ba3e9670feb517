"""Reading a part of a review changes no decision and refuses the same bodies."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from webhook.injection.decision import decide
from webhook.injection.policy import InjectionPolicy, Precedence
from webhook.injection.reasons import Rejection
from webhook.injection.review import MalformedReviewError, Review, decode, parse
from webhook.samples import reviews

POLICIES = [
    InjectionPolicy(),
    InjectionPolicy(
        precedence=Precedence.OVERRIDE, enforced_keys=("TRACKING_URI", "A")
    ),
]
NAMES = ["metadata", "labels", "annotations", "spec", "containers", "name", "env"]
MORE = ["envFrom", "secretRef", "uid", "kind", "object", "request", "ray.io/node-type"]
VALUES = ["", "head", "ray-head", "é", "CREATE", "Pod", "michelangelo-tracking"]
# Beyond 64 bits orjson reads a double and msgspec an integer; no field has either.
INT64 = st.integers(-(2**63), 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats() | st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES + MORE), inner, max_size=5)
    ),
    max_leaves=15,
)


def outcome(body: bytes, read: object) -> object:
    """What decisions and log lines make of a body."""
    try:
        review: Review = read(body)  # type: ignore[operator] # parse or decode
    except MalformedReviewError as malformed:
        return malformed.rejection
    pod = review.pod if isinstance(review.pod, dict) else {}
    metadata = pod.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    texts = [named.get(key) for key in ("name", "generateName")]
    seen = [text if isinstance(text, str) else None for text in texts]
    decisions = [decide(review, policy) for policy in POLICIES]
    return decisions, seen, structs.replace(review, pod=None, is_typed=False)


@pytest.mark.parametrize("name", reviews())
def test_captured_reviews(name: str) -> None:
    """As the API server sends them."""
    assert outcome(reviews()[name], parse) == outcome(reviews()[name], decode)


@given(pod=JSON, request=st.dictionaries(st.sampled_from(NAMES + MORE), JSON))
def test_any_object(pod: object, request: dict[str, object]) -> None:
    """Whatever stands where a pod should be."""
    content = json.loads(reviews()["ray-head-michelangelo"])
    content["request"] |= {"object": pod} | request
    body = json.dumps(content, ensure_ascii=False).encode()

    assert outcome(body, parse) == outcome(body, decode)


@given(
    container=st.dictionaries(st.sampled_from(NAMES + MORE), JSON, max_size=4),
    metadata=st.dictionaries(st.sampled_from(NAMES + MORE), JSON, max_size=4),
)
def test_odd_fields_in_a_real_pod(
    container: dict[str, object], metadata: dict[str, object]
) -> None:
    """One container and the metadata changed at will."""
    content = json.loads(reviews()["ray-head-michelangelo"])
    pod = content["request"]["object"]
    pod["spec"]["containers"][0] |= container
    pod["metadata"] |= metadata
    body = json.dumps(content).encode()

    assert outcome(body, parse) == outcome(body, decode)


BODIES = sorted(reviews().values())
ODD = [
    *b'"\\{}[],:0-. /\x00\x1f\x7f\xff',
    b"\\ud800", b"\\u00e9", b"\\x", b"null", b"tru", b"NaN", b"-0", b"01", b"[[",
    b'"spec":{},', b'"containers":[],', b'"env":null,', b'{"name":"x"},',
]  # fmt: skip


@given(
    body=st.sampled_from(BODIES),
    edits=st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True), st.integers(0, 3), st.sampled_from(ODD)
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_broken_body(
    body: bytes, edits: list[tuple[float, int, bytes | int]]
) -> None:
    """Bytes put in, taken out and replaced anywhere, read or left unread."""
    for place, cut, odd in edits:
        start = int(place * len(body))
        text = odd if isinstance(odd, bytes) else bytes([odd])
        body = body[:start] + text + body[start + cut :]

    assert outcome(body, parse) == outcome(body, decode)


@pytest.mark.parametrize("number", ["1e999", "9" * 400])
def test_a_number_that_nothing_reads_may_be_beyond_a_double(number: str) -> None:
    """The one body that is refused only when all of it is read."""
    content = json.loads(reviews()["ray-head-michelangelo"])
    plain = json.dumps(content).encode()
    content["request"]["object"]["spec"]["priority"] = "HERE"
    body = json.dumps(content).replace('"HERE"', number).encode()

    assert Rejection.NOT_JSON == outcome(body, parse)
    assert outcome(plain, parse) == outcome(body, decode)
