"""A policy that contradicts itself is refused, with the numbers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from certs.policy import CertificatePolicy, PolicyError, service_name

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"names": ()}, ["at least one DNS name"]),
        ({"life": timedelta(0)}, ["life", "longer than nothing"]),
        ({"renew_before": -DAY}, ["renew_before", "longer than nothing"]),
        ({"skew": -DAY}, ["skew", "negative"]),
        ({"backdate": -DAY}, ["backdate", "negative"]),
        (
            {"life": 7 * DAY, "renew_before": 30 * DAY},
            ["renew_before (30 days, 0:00:00)", "life (7 days, 0:00:00)"],
        ),
        (
            {"renew_before": timedelta(minutes=20)},
            ["takes 0:29:00", "renew_before (0:20:00)"],
        ),
    ],
)
def test_a_contradiction_is_named(fields: dict[str, Any], words: list[str]) -> None:
    """The message holds the two numbers that do not go together."""
    with pytest.raises(PolicyError) as caught:
        CertificatePolicy(**({"names": ("a.b.svc",)} | fields))

    assert [word for word in words if word not in str(caught.value)] == []


def test_the_defaults_are_those_of_the_documentation() -> None:
    """90 days, renewed at a third, backdated an hour."""
    policy = CertificatePolicy(names=("a.b.svc",))

    assert (policy.life, policy.renew_before) == (90 * DAY, 30 * DAY)
    assert policy.backdate == timedelta(hours=1)
    assert policy.skew == timedelta(minutes=5)
    assert policy.bundle_dwell == timedelta(minutes=4)
    assert policy.serve_dwell == timedelta(minutes=5)


def test_the_name_is_the_one_that_api_servers_ask_for() -> None:
    """Service, namespace, svc."""
    assert service_name("injector", "system") == "injector.system.svc"
