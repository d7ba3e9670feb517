"""Names and policy follow from the companion's settings."""

from datetime import timedelta

import pytest

from certs.policy import PolicyError
from webhook.companion.certificates.objects import ObjectNames, certificate_policy
from webhook.settings import CompanionSettings


def test_names_follow_from_the_release() -> None:
    """The Service and the configuration share a name; the Secrets have theirs."""
    settings = CompanionSettings(webhook_name="other", tls_secret="pair")  # noqa: S106 - a name

    names = ObjectNames.from_settings(settings, "home")

    assert names == ObjectNames(
        namespace="home",
        service="other",
        configuration="other",
        state_secret="pair-state",  # noqa: S106 - a name
        pair_secret="pair",  # noqa: S106 - a name
    )


def test_the_policy_follows_from_the_settings() -> None:
    """Each duration is a setting of its own."""
    settings = CompanionSettings(
        webhook_name="other",
        certificate_days=9,
        certificate_renew_days=3,
        certificate_skew_seconds=1,
        certificate_bundle_seconds=2,
        certificate_serve_seconds=4,
    )

    policy = certificate_policy(settings, "home")

    assert policy.names == ("other.home.svc",)
    assert (policy.life, policy.renew_before) == (timedelta(days=9), timedelta(days=3))
    assert [1, 2, 4] == [
        one.total_seconds()
        for one in (policy.skew, policy.bundle_dwell, policy.serve_dwell)
    ]


def test_durations_that_contradict_each_other_are_refused() -> None:
    """Before anything is issued."""
    with pytest.raises(PolicyError, match="shorter than life"):
        certificate_policy(CompanionSettings(certificate_renew_days=91), "home")
