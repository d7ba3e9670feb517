"""Wires the certificates' concern from the companion's settings."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from certs.policy import Policy, service_name
from webhook.cluster.ports import Resources
from webhook.companion.certificates.concern import Certificates
from webhook.companion.certificates.handshake import Handshakes
from webhook.companion.certificates.keeper import CertificateKeeper
from webhook.companion.certificates.words import Clocks, Place
from webhook.companion.means import Log
from webhook.settings import CompanionSettings


def place_of(settings: CompanionSettings, home: str) -> Place:
    """The objects concerned, in the release namespace."""
    return Place(
        namespace=home,
        service=settings.webhook,
        configuration=settings.webhook,
        state_secret=f"{settings.tls_secret}-state",
        pair_secret=settings.tls_secret,
    )


def policy_of(settings: CompanionSettings, home: str) -> Policy:
    """Names and durations.

    Raises:
        PolicyError: the durations contradict each other.
    """
    return Policy(
        names=(service_name(settings.webhook, home),),
        life=timedelta(days=settings.certificate_days),
        renew_before=timedelta(days=settings.certificate_renew_days),
        skew=timedelta(seconds=settings.certificate_skew_seconds),
        bundle_dwell=timedelta(seconds=settings.certificate_bundle_seconds),
        serve_dwell=timedelta(seconds=settings.certificate_serve_seconds),
    )


def keeper(
    resources: Resources,
    settings: CompanionSettings,
    home: str,
    log: Log,
    *,
    clock: Callable[[], datetime],
    alone: bool,
) -> CertificateKeeper:
    """The concern; `alone`, in a process that does one pass, it has no own clock.

    Raises:
        PolicyError: the durations contradict each other.
    """
    policy = policy_of(settings, home)
    certificates = Certificates(
        resources,
        place_of(settings, home),
        policy,
        Clocks(wall=clock, steady=None if alone else time.monotonic),
        Handshakes(policy.names[0]),
    )
    return CertificateKeeper(certificates, policy, log)
