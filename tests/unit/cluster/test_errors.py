"""Answers of the API server become errors by meaning, without a body."""

from typing import Any

import pytest

from webhook.cluster.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    QuotaExceeded,
    Terminating,
    Throttled,
    Unauthorized,
    Unavailable,
    from_status,
)

QUOTA = 'secrets "s" is forbidden: exceeded quota: q, requested: secrets=1'
TERMINATING = {"causes": [{"reason": "NamespaceTerminating"}]}


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (401, {}, Unauthorized),
        (403, {}, Forbidden),
        (403, {"message": QUOTA}, QuotaExceeded),
        (403, {"details": TERMINATING}, Terminating),
        (404, {}, NotFound),
        (409, {"reason": "AlreadyExists"}, AlreadyExists),
        (409, {"reason": "Conflict"}, Conflict),
        (410, {}, Gone),
        (413, {}, Invalid),
        (422, {}, Invalid),
        (429, {}, Throttled),
        (500, {}, Unavailable),
        (503, {}, Unavailable),
        (302, {}, Unavailable),
    ],
)
def test_a_status_means(
    code: int, status: dict[str, Any], expected: type[ClusterError]
) -> None:
    """One class for each meaning."""
    assert type(from_status(code, status, what="patch")) is expected


def test_an_invalid_secret_is_not_quoted() -> None:
    """The server's sentence may hold the value; only the field is kept."""
    status = {
        "reason": "Invalid",
        "message": 'data[K]: Invalid value: "canary"',
        "details": {"causes": [{"field": "data[K]", "message": "canary"}]},
    }
    error = from_status(422, status, what="patch secrets a/b", secret=True)

    assert str(error) == "patch secrets a/b: Invalid at data[K]"


def test_a_proxys_page_is_cut() -> None:
    """No error is longer than a sentence."""
    error = from_status(502, {"message": "x" * 10_000}, what="get")

    assert len(str(error)) < 300


@pytest.mark.parametrize("code", [403, 409, 422, 429, 500])
@pytest.mark.parametrize(
    "details",
    [
        [],
        "text",
        {"causes": ["text"]},
        {"causes": "text"},
        {"causes": [None, {"field": None, "reason": 1}]},
        {"retryAfterSeconds": None},
        {"retryAfterSeconds": "soon"},
        {"retryAfterSeconds": 10**400},
        {"retryAfterSeconds": -1},
    ],
)
def test_whatever_a_proxy_answers_is_an_error_by_meaning(
    code: int, details: Any
) -> None:
    """No other may leave a client: it would end the thread that asked."""
    error = from_status(code, {"details": details, "message": [1]}, what="get")

    assert isinstance(error, ClusterError)
    if isinstance(error, Throttled):
        assert 0 <= error.retry_after <= 60


def test_nobody_stays_away_for_long() -> None:
    """A day, or for ever, is no wish of an API server's: its own are seconds."""
    for seconds in (86_400.0, float("inf"), 10.0**300):
        error = from_status(429, {}, what="get", retry_after=seconds)
        assert isinstance(error, Throttled)
        assert error.retry_after == 60


def test_the_servers_wish_to_be_left_alone_is_kept() -> None:
    """Seconds from the header, or from the Status itself."""
    error = from_status(429, {}, what="get", retry_after=7)
    other = from_status(429, {"details": {"retryAfterSeconds": 3}}, what="get")

    assert isinstance(error, Throttled)
    assert isinstance(other, Throttled)
    assert [error.retry_after, other.retry_after] == [7, 3]
