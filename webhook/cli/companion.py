"""`tracking-injector companion`: keeps the cluster as it should be."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from prometheus_client import CollectorRegistry

from certs.policy import PolicyError
from webhook import __version__
from webhook.cli.kubeconfig import cluster_options, connect, now, process_environ
from webhook.cli.wiring import Companion, wire
from webhook.cluster.errors import ClusterError
from webhook.companion.egress.farewell import Farewell
from webhook.companion.listener import application, listen
from webhook.companion.loop import Runner, Surroundings
from webhook.companion.metrics import Reports
from webhook.companion.process import Process, Wake
from webhook.companion.uninstall import remove_all
from webhook.mirror.profile import ProfileError
from webhook.settings import CompanionSettings, SettingError
from webhook.telemetry import Journal

_LOOK_UP: Final = 0.1
"""Seconds between two steps of `--once` that wait for names to be looked up."""
_ONCE_SECONDS: Final = 30.0
"""How long `--once` keeps on: a switched-off namespace's grace of 10 s is within."""


@click.command()
@cluster_options
@click.option("-n", "--namespace", help="Release namespace; the context's otherwise.")
@click.option("--once", is_flag=True, help="Bring everything in order, then exit.")
@click.option(
    "--remove-all",
    is_flag=True,
    help="Take the webhook, every mirror and every policy away, then exit: uninstall.",
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
        sys.exit(_remove(wired) if remove_all else _once(wired))
    journal.start()
    code = _run(wired, settings, journal)
    journal.close()
    # A write that hangs at an API server must not keep the pod from ending.
    os._exit(code)


def _run(wired: Companion, settings: CompanionSettings, journal: Journal) -> int:
    surroundings = Surroundings(
        leads=lambda: wired.leadership.is_leader,
        clock=now,
        log=journal,
        failed=lambda name: wired.failures.update((name,)),
    )
    recorder = wired.means.announcer
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
        background=(recorder.run,) * recorder.workers,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop.set())
    server = listen(
        settings.health_bind,
        application(
            registry_of(wired), is_alive=process.is_alive, is_ready=process.is_ready
        ),
    )
    started = {"version": __version__, "port": server.server_port}
    journal.line("info", "companion-started", started)
    process.start()
    process.stop.wait()
    process.end()
    journal.line("info", "companion-stopped", {})
    return 0


def registry_of(wired: Companion) -> CollectorRegistry:
    """Everything that the companion measures."""
    registry = CollectorRegistry()
    registry.register(
        Reports(
            mirrors=wired.mirrors,
            auditor=wired.auditor,
            observed=wired.observed,
            announcer=wired.means.announcer,
            leads=lambda: wired.leadership.is_leader,
            failures=wired.failures,
            certificates=wired.keeping.keeper if wired.keeping else None,
        )
    )
    for measures in wired.reaching.measures:
        registry.register(measures)
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
        if pause is None and wired.reaching.keeps.is_waiting:
            pause = _LOOK_UP
        if pause is None or time.monotonic() + pause > until:
            break
        sleep(pause)
    wired.means.announcer.flush()
    for name, one in sorted(wired.mirrors.report.items()):
        if not one.reason.is_in_order:
            detail = f" ({one.detail})" if one.detail else ""
            click.echo(f"{name}: {one.reason.sentence}{detail}", err=True)
    if wired.keeping is not None:
        for problem in wired.keeping.keeper.problems():
            click.echo(f"certificates: {problem}", err=True)
    return 0 if wired.is_in_order() else 1


def _remove(wired: Companion) -> int:
    click.echo(
        "Removing the webhook's configuration, then mirrors and policies; a running "
        "companion is stopped before that.",
        err=True,
    )
    try:
        left = remove_all(
            wired.means,
            wired.observed.mirrors,
            wired.leadership,
            configuration=wired.release.settings.webhook_name,
            wait=time.sleep,
        )
        Farewell(wired.means).remove_all()
    except ClusterError as error:
        click.echo(str(error), err=True)
        return 1
    for name, why in sorted(left.items()):
        click.echo(f"{name}: {why}", err=True)
    return 1 if left else 0
