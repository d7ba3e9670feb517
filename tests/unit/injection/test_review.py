"""AdmissionReview v1 in and out."""

import base64

import orjson
import pytest

from webhook.injection.reasons import InjectionReason, Rejection
from webhook.injection.review import (
    MAPS,
    SMALL_BODY,
    MalformedReviewError,
    Review,
    answer,
    decode,
    parse,
)
from webhook.samples import reviews


@pytest.mark.parametrize(
    ("body", "rejection"),
    [
        pytest.param(b"", Rejection.EMPTY_BODY, id="empty"),
        pytest.param(b"{", Rejection.NOT_JSON, id="truncated"),
        pytest.param(b'{"a":NaN}', Rejection.NOT_JSON, id="NaN"),
        pytest.param(b'{"a":"\xff"}', Rejection.NOT_JSON, id="bad UTF-8"),
        pytest.param("{}".encode("utf-16"), Rejection.NOT_JSON, id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf{}", Rejection.NOT_JSON, id="byte order mark"),
        pytest.param(b"[" * 100_000, Rejection.NOT_JSON, id="deep nesting"),
        pytest.param(b"1" * 5_000, Rejection.NOT_JSON, id="a 5000-digit number"),
        pytest.param(b"[]", Rejection.NOT_A_REVIEW, id="an array"),
        pytest.param(b"null", Rejection.NOT_A_REVIEW, id="null"),
        pytest.param(b'{"kind":"Pod"}', Rejection.NOT_A_REVIEW, id="a pod"),
        pytest.param(
            b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}',
            Rejection.UNSUPPORTED_VERSION,
            id="v1beta1",
        ),
        pytest.param(
            b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}',
            Rejection.NO_REQUEST,
            id="no request",
        ),
        pytest.param(
            b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{}}',
            Rejection.NO_UID,
            id="no uid",
        ),
        pytest.param(
            b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",'
            b'"request":{"uid":7}}',
            Rejection.NO_UID,
            id="a uid that is no text",
        ),
    ],
)
def test_what_is_no_review_is_refused_by_name(
    body: bytes, rejection: Rejection
) -> None:
    """The message is the reason's sentence and nothing of the body."""
    for read in (parse, decode):
        with pytest.raises(MalformedReviewError) as refused:
            read(body)

        assert (rejection, rejection.sentence) == (
            refused.value.rejection,
            str(refused.value),
        )


def test_a_real_review_is_read() -> None:
    """Namespace, operation and kind come from the request."""
    review = parse(reviews()["ray-head-michelangelo"])

    assert ("CREATE", "Pod", "", "default", False) == (
        review.operation,
        review.kind,
        review.subresource,
        review.namespace,
        review.dry_run,
    )
    assert "head" == review.pod["spec"]["containers"][0]["name"]


def test_odd_fields_of_a_request_are_read_as_absent() -> None:
    """Whoever reaches the port may send anything."""
    body = orjson.dumps(
        {
            "kind": "AdmissionReview",
            "apiVersion": "admission.k8s.io/v1",
            "request": {"uid": "u", "namespace": 1, "kind": "Pod", "dryRun": "yes"},
        }
    )

    assert Review(uid="u", operation="", namespace="", kind="", pod=None) == parse(body)


def test_what_is_in_order_beside_an_odd_field_is_read() -> None:
    """One odd field costs itself only."""
    body = orjson.dumps(
        {
            "kind": "AdmissionReview",
            "apiVersion": "admission.k8s.io/v1",
            "request": {"uid": "u", "namespace": 1, "kind": {"kind": "Pod"}},
        }
    )

    assert ("Pod", "") == (parse(body).kind, parse(body).namespace)


def test_of_duplicate_keys_the_last_wins() -> None:
    """As in kube-apiserver."""
    body = (
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",'
        b'"request":{"uid":"a","uid":"b"}}'
    )

    assert "b" == parse(body).uid


@pytest.mark.parametrize(
    ("start", "rejection"),
    [
        pytest.param(b'{"x":', Rejection.NOT_A_REVIEW, id="no kind"),
        pytest.param(b'{"kind":[],"x":', Rejection.NOT_A_REVIEW, id="another type"),
        pytest.param(
            b'{"kind":"AdmissionReview","x":',
            Rejection.UNSUPPORTED_VERSION,
            id="version",
        ),
        pytest.param(
            b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","x":',
            Rejection.NO_REQUEST,
            id="no request",
        ),
        pytest.param(b'{"x":nan,"y":', Rejection.NOT_JSON, id="no JSON"),
    ],
)
def test_a_large_body_is_judged_without_being_decoded(
    start: bytes, rejection: Rejection
) -> None:
    """By the types of its first fields; the rest is checked as JSON."""
    body = start + b'"%s"}' % (b"x" * SMALL_BODY)

    with pytest.raises(MalformedReviewError) as refused:
        decode(body)

    assert refused.value.rejection is rejection


def test_a_large_review_of_an_odd_pod_has_none() -> None:
    """It is admitted as it is, and what it nests costs nothing."""
    body = (
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":'
        b'{"uid":"u","object":{"metadata":[%s]}}}' % (b"[]," * SMALL_BODY + b"0")
    )

    assert decode(body) == Review(uid="u", operation="", kind="", pod=None)


def test_a_large_body_of_too_many_maps_is_too_large() -> None:
    """Two bytes of a map take two hundred of memory."""
    with pytest.raises(MalformedReviewError) as refused:
        decode(b"[%s]" % (b"{}," * (MAPS + 1)))

    assert refused.value.rejection is Rejection.TOO_LARGE


def test_what_is_left_unread_is_utf_8_all_the_same() -> None:
    """As JSON has it."""
    with pytest.raises(MalformedReviewError) as refused:
        decode(b'{"x":"\xff"}')

    assert refused.value.rejection is Rejection.NOT_JSON


def test_an_answer_without_a_patch_has_no_patch_type() -> None:
    """kube-apiserver refuses one without the other."""
    assert {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u", "allowed": True},
    } == orjson.loads(answer("u"))


def test_an_answer_carries_the_patch_in_base64() -> None:
    """The operations survive the way there and back."""
    operations = [{"op": "add", "path": "/x", "value": "é"}]

    response = orjson.loads(answer("u", operations))["response"]

    assert "JSONPatch" == response["patchType"]
    assert operations == orjson.loads(base64.b64decode(response["patch"]))


def test_a_warning_is_cut_at_256_characters() -> None:
    """kube-apiserver would cut it there anyway."""
    response = orjson.loads(answer("u", warnings=["é" * 300]))["response"]

    assert ["é" * 256] == response["warnings"]


@pytest.mark.parametrize("member", [*InjectionReason, *Rejection])
def test_every_reason_has_a_sentence(member: InjectionReason | Rejection) -> None:
    """The vocabulary is closed on both sides."""
    assert member.sentence.endswith(".")
