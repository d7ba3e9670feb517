"""`tracking-injector companion`: keeps the cluster as it should be."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from certs.policy import PolicyError
from webhook import __version__
from webhook.cli.kubeconfig import cluster_options, connect, now, process_environ
from webhook.cluster.errors import ClusterError
from webhook.companion.build import Companion, Outside, build_companion
from webhook.companion.cleanup import (
    delete_certificates,
    delete_mirrors,
    delete_policies,
    is_helm_release,
)
from webhook.companion.health_server import HealthServer, pages
from webhook.companion.heap import share_heap
from webhook.companion.observation.release import ReleaseName
from webhook.companion.page.server import PATH, StatusPage
from webhook.companion.report import is_in_order
from webhook.egress.reasons import EgressReason
from webhook.jsonlog import JsonLog
from webhook.mirror.profile import ProfileError
from webhook.mirror.reasons import MirrorReason
from webhook.settings import CompanionSettings, LogFormat, SettingError, Switch

_PUT_OFF: Final = (MirrorReason.LEAVING, MirrorReason.PENDING)
_ONCE_SECONDS: Final = 30.0
"""How long `--once` keeps on: a switched-off namespace's grace of 10 s is within."""
_FLUSH_SECONDS: Final = 0.1
"""How long a line may wait: a companion is idle, and each look costs."""


@click.command()
@cluster_options
@click.option(
    "--release-namespace", help="Of the release; the pod's or context's otherwise."
)
@click.option("--once", is_flag=True, help="Bring everything in order, then exit.")
@click.option(
    "--remove-all",
    is_flag=True,
    help="Take the webhook, every mirror and every policy away, then exit: uninstall.",
)
@click.option(
    "--helm-release",
    metavar="NAME",
    help="With --remove-all: remove nothing unless Helm itself installed this release.",
)
def companion(
    kubeconfig: Path | None,
    context: str | None,
    release_namespace: str | None,
    *,
    once: bool,
    remove_all: bool,
    helm_release: str | None,
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
        if release_namespace:
            settings = replace(settings, release_namespace=release_namespace)
        log = JsonLog(
            lambda lines: os.write(1, lines),
            now,
            level=settings.log_level,
            text=settings.log_format is LogFormat.TEXT,
            flush_seconds=_FLUSH_SECONDS,
        )
        connection = connect(environ, kubeconfig=kubeconfig, context=context)
        built = build_companion(
            connection,
            settings,
            Outside(log=log, clock=now),
            alone=once or remove_all,
        )
    except (SettingError, ProfileError, PolicyError) as error:
        raise click.UsageError(str(error)) from error
    if once or remove_all:
        sys.exit(_remove(built, helm_release) if remove_all else _once(built))
    share_heap()
    log.start()
    _run(built, settings, log)
    log.close()
    # A write that hangs at an API server must not keep the pod from ending.
    os._exit(0)


def _run(built: Companion, settings: CompanionSettings, log: JsonLog) -> None:
    manager = built.manager()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: manager.stop.set())
    answers = pages(
        built.registry, is_alive=manager.is_alive, is_ready=manager.is_ready
    )
    if settings.status_page is Switch.ON:
        shown = StatusPage(
            built.context.client,
            ReleaseName(built.status.config_map.namespace, settings.webhook_name),
            log,
            clock=now,
        )
        shown.start()
        answers[PATH] = shown.answer
    server = HealthServer(settings.health_bind, answers, log)
    started = {"version": __version__, "port": server.port}
    log.line("info", "companion-started", started)
    server.start()
    manager.start()
    manager.stop.wait()
    manager.end()
    log.line("info", "companion-stopped", {})


def _once(built: Companion, sleep: Callable[[float], None] = time.sleep) -> int:
    """Reconcile until nothing more is to be done soon; alone, so without the Lease."""
    until = time.monotonic() + _ONCE_SECONDS
    built.settle()
    while (pause := _pause(built)) is not None and time.monotonic() + pause < until:
        sleep(pause)
        built.settle()
    return _report(built)


def _pause(built: Companion) -> float | None:
    """Return the seconds until what was only put off is due; None without any."""
    results = built.results
    mirrors = results.mirrors.items().values()
    egress = results.egress.items().values()
    pauses = [
        *(one.requeue_after for one in mirrors if one.reason in _PUT_OFF),
        *(one.requeue_after for one in egress if one.reason is EgressReason.PENDING),
    ]
    return min((pause for pause in pauses if pause is not None), default=None)


def _report(built: Companion) -> int:
    """Say what is not in order; return the exit code."""
    results = built.results
    for name, mirror in sorted(results.mirrors.items().items()):
        if not mirror.reason.is_in_order:
            detail = f" ({mirror.detail})" if mirror.detail else ""
            click.echo(f"{name}: {mirror.reason.sentence}{detail}", err=True)
    for name, egress in sorted(results.egress.items().items()):
        if not egress.reason.is_in_order:
            click.echo(f"{name}, egress: {egress.reason.sentence}", err=True)
    waiting = [c for c in results.certificates.items().values() if not c.in_order]
    for one in waiting:
        said = one.detail or f"{one.reason.sentence} Phase: {one.phase}."
        click.echo(f"certificates: {said}", err=True)
    report = json.loads(built.status.text()) | {"companion": {"leader": "once"}}
    return 0 if is_in_order(report) and not waiting else 1


def _remove(built: Companion, helm_release: str | None) -> int:
    report = built.status.config_map
    try:
        if helm_release and not is_helm_release(built.context, report, helm_release):
            click.echo(
                f"Helm did not install ConfigMap {report}: its hooks were applied as "
                "ordinary objects, and nothing is removed.",
                err=True,
            )
            return 0
        click.echo(
            "Removing webhook and admission policy, then mirrors and egress policies; "
            "a running companion is stopped before that.",
            err=True,
        )
        left = delete_mirrors(
            built.context,
            built.caches.mirrors,
            built.elector,
            configuration=built.settings.webhook_name,
            wait=time.sleep,
        )
        if built.settings.tracking_ca_source != "{}":
            delete_certificates(built.context)
        delete_policies(built.context)
    except ClusterError as error:
        click.echo(str(error), err=True)
        return 1
    for name, why in sorted(left.items()):
        click.echo(f"{name}: {why}", err=True)
    return 1 if left else 0
