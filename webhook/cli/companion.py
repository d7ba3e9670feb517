"""`tracking-injector companion`: keeps the cluster as it should be."""

import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from prometheus_client import CollectorRegistry

from certs.policy import PolicyError
from webhook import __version__
from webhook.cli.connect import cluster_options, connect, process_environ
from webhook.cli.keeping import keeper, place_of
from webhook.cli.reaching import Reaching, reaching
from webhook.cluster.access import Access
from webhook.cluster.announce import Announcer
from webhook.cluster.errors import ClusterError
from webhook.cluster.lease import Leadership
from webhook.cluster.ports import Key
from webhook.companion.audit import Auditor
from webhook.companion.certificates.keeper import CertificateKeeper, followers
from webhook.companion.listener import application, listen
from webhook.companion.loop import Concern, Runner, Surroundings
from webhook.companion.means import Log, Means, always
from webhook.companion.metrics import Reports
from webhook.companion.mirrors import Mirrors
from webhook.companion.observed import Interests, Observed, Wakes, observe
from webhook.companion.process import Process, Wake
from webhook.companion.status import Status
from webhook.companion.supply import Supplies
from webhook.companion.uninstall import remove_all
from webhook.mirror.plan import Scope
from webhook.mirror.profile import ProfileError, parse_profiles, refs
from webhook.settings import CompanionSettings, Issuer, SettingError, Switch
from webhook.telemetry import Journal

_LOOK_UP: Final = 0.1
"""Seconds between two steps of `--once` that wait for names to be looked up."""
_ONCE_SECONDS: Final = 30.0
"""How long `--once` keeps on: a switched-off namespace's grace of 10 s is within."""


def now() -> datetime:
    """The clock; only the command line reads it."""
    return datetime.now(UTC)  # noqa: TID251 - this is the place


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """Everything wired together, nothing started yet."""

    means: Means
    observed: Observed
    leadership: Leadership
    mirrors: Mirrors
    auditor: Auditor
    status: Status
    certificates: CertificateKeeper | None
    reaching: Reaching | None
    wakes: dict[str, threading.Event]
    failures: Counter[str]

    def concerns(self) -> tuple[Concern, ...]:
        """What it keeps in order, in the order in which `--once` takes it."""
        kept = (self.certificates,) if self.certificates else ()
        reaches = (self.reaching.names, self.reaching.egress) if self.reaching else ()
        return self.mirrors, self.auditor, *kept, *reaches, self.status

    def is_in_order(self) -> bool:
        """Whether there is nothing that somebody should look into."""
        namespaces = self.mirrors.report.values()
        if self.certificates is not None and not self.certificates.is_in_order():
            return False
        return all(one.reason.is_in_order for one in namespaces) and not any(
            supply.problem for supply in self.mirrors.supplies.values()
        )


def wire(
    access: Access, settings: CompanionSettings, log: Log, *, alone: bool = False
) -> Companion:
    """Builds the companion for a cluster; `alone`, it acts without the Lease.

    Raises:
        ProfileError: the profiles in the settings cannot be used.
        PolicyError: the certificates' durations contradict each other.
    """
    profiles = parse_profiles(settings.profiles)
    home = settings.release_namespace or access.namespace
    names = ("mirrors", "audit", "certificates", "names", "egress", "status")
    wakes = {name: threading.Event() for name in names}
    leadership, means = _means(access, settings, log, home, Wake(*wakes.values()))
    if alone:
        means = replace(means, may_act=always)
    interests = Interests(
        release_namespace=home,
        sources=refs(profiles),
        pods=settings.audit is Switch.ON,
        config_maps=settings.shadowing_config_maps,
        watch_seconds=settings.watch_seconds,
    )
    observed = observe(
        access.resources,
        interests,
        Wakes(
            mirrors=Wake(wakes["mirrors"], wakes["audit"], wakes["egress"]),
            pods=Wake(wakes["audit"]),
        ),
    )
    certificates = None
    if settings.certificates is Issuer.COMPANION:
        certificates = keeper(
            access.resources, settings, home, log, clock=now, alone=alone
        )
        place = place_of(settings, home)
        wake = Wake(wakes["certificates"])
        watches = followers(access.resources, place, wake, settings.watch_seconds)
        observed = replace(observed, certificates=watches)
    excluded = (home, *settings.excluded_namespaces)
    scope = Scope(allowed=settings.allowed_namespaces, excluded=excluded)
    supplies = Supplies(profiles, listed=settings.allowed_keys)
    mirrors = Mirrors(means, observed, supplies, scope=scope)
    auditor = Auditor(means, observed, scope=scope, precedence=settings.precedence)
    status = Status(means, Key(home, settings.status), supplies, mirrors, auditor)
    if certificates is not None:
        status.sections["certificates"] = certificates.section
    reaches = reaching(means, settings, home, scope, lambda: mirrors.supplies, wakes)
    if reaches is not None:
        observed = replace(observed, egress=tuple(reaches.watched.all()))
        status.sections["egress"] = reaches.egress.section
    return Companion(
        means=means,
        observed=observed,
        leadership=leadership,
        mirrors=mirrors,
        auditor=auditor,
        status=status,
        certificates=certificates,
        reaching=reaches,
        wakes=wakes,
        failures=Counter(),
    )


def _means(
    access: Access,
    settings: CompanionSettings,
    log: Log,
    home: str,
    wake: Callable[[], None],
) -> tuple[Leadership, Means]:
    identity = settings.identity or socket.gethostname()
    leadership = Leadership(
        access.resources, Key(home, settings.lease), identity, clock=now, wake=wake
    )
    announcer = Announcer(
        access.resources, component="tracking-injector-companion", instance=identity
    )
    means = Means(
        resources=access.resources,
        announcer=announcer,
        log=log,
        may_act=lambda: leadership.held,
    )
    return leadership, means


@click.command()
@cluster_options
@click.option("-n", "--namespace", help="Release namespace; the context's otherwise.")
@click.option("--once", is_flag=True, help="Bring everything in order, then exit.")
@click.option(
    "--remove-all", is_flag=True, help="Take every mirror away, then exit: uninstall."
)
def companion(
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    *,
    once: bool,
    remove_all: bool,
) -> None:
    """Keep mirrors, and report on task pods, in every labeled namespace.

    Runs until it is told to stop; of several replicas one acts. Settings come from
    MTI_* variables, listed in the reference.

    Exit codes: 0 done or stopped; 1 not everything is in order; 2 bad settings or no
    access.
    """
    environ = process_environ()
    try:
        settings = CompanionSettings.from_environ(environ)
        if namespace:
            settings = replace(settings, release_namespace=namespace)
        access = connect(environ, kubeconfig=kubeconfig, context=context)
        journal = Journal(lambda lines: os.write(1, lines), now)
        wired = wire(access, settings, journal, alone=once or remove_all)
    except (SettingError, ProfileError, PolicyError) as error:
        raise click.UsageError(str(error)) from error
    if once or remove_all:
        sys.exit(_remove(wired, settings.webhook) if remove_all else _once(wired))
    journal.start()
    code = _run(wired, settings, journal)
    journal.close()
    # A write that hangs at an API server must not keep the pod from ending.
    os._exit(code)


def _run(wired: Companion, settings: CompanionSettings, journal: Journal) -> int:
    surroundings = Surroundings(
        leads=lambda: wired.leadership.held,
        clock=now,
        log=journal,
        failed=lambda name: wired.failures.update((name,)),
    )
    process = Process(
        observed=wired.observed,
        leadership=wired.leadership,
        runners={
            one.name: Runner(one, wired.wakes[one.name], surroundings)
            for one in wired.concerns()
        },
        log=journal,
        wake=Wake(*wired.wakes.values()),
        close=wired.mirrors.close,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop.set())
    server = listen(
        settings.health_bind,
        application(
            _registry(wired), is_alive=process.is_alive, is_ready=process.is_ready
        ),
    )
    started = {"version": __version__, "port": server.server_port}
    journal.line("info", "companion-started", started)
    process.start()
    process.stop.wait()
    process.end()
    journal.line("info", "companion-stopped", {})
    return 0


def _registry(wired: Companion) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(
        Reports(
            mirrors=wired.mirrors,
            auditor=wired.auditor,
            observed=wired.observed,
            announcer=wired.means.announcer,
            leads=lambda: wired.leadership.held,
            failures=wired.failures,
            certificates=wired.certificates,
        )
    )
    return registry


def _once(wired: Companion, sleep: Callable[[float], None] = time.sleep) -> int:
    """Steps until nothing more is to be done soon; alone, so without the Lease."""
    until = time.monotonic() + _ONCE_SECONDS
    while True:
        for follower in wired.observed.all():
            follower.refresh()
        try:
            pauses = [concern.step(now()) for concern in wired.concerns()]
        except ClusterError as error:
            click.echo(str(error), err=True)
            return 1
        pause = pauses[0]
        if pause is None and wired.reaching and wired.reaching.egress.is_waiting:
            pause = _LOOK_UP
        if pause is None or time.monotonic() + pause > until:
            break
        sleep(pause)
    for name, one in sorted(wired.mirrors.report.items()):
        if not one.reason.is_in_order:
            detail = f" ({one.detail})" if one.detail else ""
            click.echo(f"{name}: {one.reason.sentence}{detail}", err=True)
    if wired.certificates is not None:
        for problem in wired.certificates.problems():
            click.echo(f"certificates: {problem}", err=True)
    return 0 if wired.is_in_order() else 1


def _remove(wired: Companion, configuration: str) -> int:
    click.echo(
        "Removing the webhook's configuration, then the mirrors; a running companion "
        "is stopped before that.",
        err=True,
    )
    try:
        left = remove_all(
            wired.means,
            wired.observed.mirrors,
            wired.leadership,
            configuration=configuration,
            wait=time.sleep,
        )
        if wired.reaching is not None:
            for follower in wired.reaching.watched.all():
                follower.refresh()
            wired.reaching.egress.remove_all()
    except ClusterError as error:
        click.echo(str(error), err=True)
        return 1
    for name, why in sorted(left.items()):
        click.echo(f"{name}: {why}", err=True)
    return 1 if left else 0
