"""AdmissionReview v1 in and out."""

import base64

import orjson
import pytest

from webhook.injection.reasons import InjectionReason, Rejection
from webhook.injection.review import MalformedReviewError, Review, answer, decode, parse
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


def test_of_duplicate_keys_the_last_wins() -> None:
    """As in kube-apiserver."""
    body = (
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",'
        b'"request":{"uid":"a","uid":"b"}}'
    )

    assert "b" == parse(body).uid


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
