"""Wires the certificates' concern from the companion's settings."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from webhook.cli.release import Release
from webhook.cluster.informer import Informer
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.certificates.controller import (
    CertificateController,
    certificate_informers,
)
from webhook.companion.certificates.keeper import CertificateKeeper
from webhook.companion.certificates.objects import ObjectNames, certificate_policy
from webhook.companion.certificates.probe import TlsProber
from webhook.companion.controller import Context
from webhook.companion.means import Means
from webhook.settings import Issuer


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
    policy = certificate_policy(settings, release.home)
    names = ObjectNames.from_settings(settings, release.home)
    context = Context(
        client=means.resources,
        log=means.log,
        recorder=means.announcer,
        is_leader=means.may_act,
        clock=clock,
    )
    controller = CertificateController(
        context,
        names,
        policy,
        TlsProber(policy.names[0]),
        monotonic=None if alone else time.monotonic,
    )
    followers = certificate_informers(
        means.resources,
        names,
        WorkQueue("certificates"),
        watch_seconds=settings.watch_seconds,
    )
    for one in followers:
        one.subscribe(lambda _: wakes["certificates"].set())
    return Keeping(tuple(followers), CertificateKeeper(controller, context))
