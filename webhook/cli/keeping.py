"""Wires the certificates' concern from the companion's settings."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from certs.policy import CertificatePolicy, service_name
from webhook.cli.release import Release
from webhook.cluster.informer import Informer
from webhook.companion.certificates.concern import Certificates
from webhook.companion.certificates.handshake import Handshakes
from webhook.companion.certificates.keeper import CertificateKeeper, followers
from webhook.companion.certificates.words import Clocks, Place
from webhook.companion.means import Means
from webhook.settings import CompanionSettings, Issuer


def place_of(settings: CompanionSettings, home: str) -> Place:
    """The objects concerned, in the release namespace."""
    return Place(
        namespace=home,
        service=settings.webhook_name,
        configuration=settings.webhook_name,
        state_secret=f"{settings.tls_secret}-state",
        pair_secret=settings.tls_secret,
    )


def policy_of(settings: CompanionSettings, home: str) -> CertificatePolicy:
    """Names and durations.

    Raises:
        PolicyError: the durations contradict each other.
    """
    return CertificatePolicy(
        names=(service_name(settings.webhook_name, home),),
        life=timedelta(days=settings.certificate_days),
        renew_before=timedelta(days=settings.certificate_renew_days),
        skew=timedelta(seconds=settings.certificate_skew_seconds),
        bundle_dwell=timedelta(seconds=settings.certificate_bundle_seconds),
        serve_dwell=timedelta(seconds=settings.certificate_serve_seconds),
    )


@dataclass(frozen=True, slots=True)
class Keeping:
    """The certificates' concern, wired: what wakes it, and itself."""

    followers: tuple[Informer[str], ...]
    keeper: CertificateKeeper


def keeping(
    means: Means,
    release: Release,
    wakes: Mapping[str, threading.Event],
    *,
    clock: Callable[[], datetime],
    alone: bool,
) -> Keeping | None:
    """The concern; `alone`, it has no own clock; none where others issue.

    Raises:
        PolicyError: the durations contradict each other.
    """
    settings = release.settings
    if settings.certificates is not Issuer.COMPANION:
        return None
    policy = policy_of(settings, release.home)
    place = place_of(settings, release.home)
    certificates = Certificates(
        means.resources,
        place,
        policy,
        Clocks(wall=clock, steady=None if alone else time.monotonic),
        Handshakes(policy.names[0]),
    )
    wake = wakes["certificates"].set
    return Keeping(
        followers(means.resources, place, wake, settings.watch_seconds),
        CertificateKeeper(certificates, policy, means.log),
    )
