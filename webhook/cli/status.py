"""`kubectl tracking status`: what is wrong, and how all of it stands, on one screen."""

import time
from collections.abc import Callable
from typing import Final

import click
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from webhook import __version__
from webhook.cli.doctor_troubles import deeper
from webhook.cli.errors import CommandError, place, told
from webhook.cli.fleet import fleet
from webhook.cli.known_reason import KnownReason
from webhook.cli.kubeconfig import now
from webhook.cli.options import refuse
from webhook.cli.output import (
    Inert,
    emit,
    encoded,
    rendered,
    whole_console,
    with_output,
)
from webhook.cli.release import ClusterChoice, with_cluster
from webhook.cli.status_document import status_document
from webhook.cli.status_view import StatusView, screen
from webhook.cluster.config import ClusterConnection
from webhook.companion.observation.model import Installation
from webhook.companion.observation.observe import observe
from webhook.companion.observation.release import ReleaseName
from webhook.companion.observation.troubles import accepting, in_order, troubles
from webhook.companion.observation.unknown import Unknown, UnknownReason

_EVERY: Final = 2.0
"""Seconds between two looks of `--watch`; the report is not written more often."""


@click.command()
@with_cluster
@click.option(
    "-n", "--namespace", "asked", multiple=True, help="Only this compute namespace."
)
@click.option(
    "-A",
    "--all-contexts",
    is_flag=True,
    help="One line for each context of the kubeconfig; differences are marked.",
)
@with_output(
    *("table", "wide", "json", "yaml"),
    help="`wide` adds names of pods, profiles and digests.",
)
@click.option(
    "--accept",
    "accepted",
    type=KnownReason(),
    multiple=True,
    help="A reason that is meant to be, such as OptedOut: still told, as a warning. "
    "May be given again.",
)
@click.option(
    "--probe",
    "probes",
    is_flag=True,
    help="Go the way to the tracking server from inside of task pods too, as doctor "
    "does.",
)
@click.option("-w", "--watch", is_flag=True, help="Stay, and show what changes.")
@click.option(
    "--all", "every", is_flag=True, help="List namespaces that are in order, too."
)
def status(  # noqa: PLR0913 - one for each option
    *,
    choice: ClusterChoice,
    asked: tuple[str, ...],
    all_contexts: bool,
    output: str,
    accepted: tuple[str, ...],
    probes: bool,
    watch: bool,
    every: bool,
) -> None:
    """Say what is wrong, then how all of it stands.

    Reads, by get: the Deployments, the Lease and the report's ConfigMap of the release,
    the webhook configuration and the API server's policy. Where rights allow also what
    doctor examines: the pods of the release, the labels of namespaces, the API server's
    metrics, task pods created in dry runs. What cannot be read is said. A credential
    that the server refuses, and whatever else is in the way to it, is seen from inside
    of a pod alone: --probe.

    \b
    Examples:
      kubectl tracking status                  trouble first, one screen
      kubectl tracking status -n ray -o wide   one namespace, with names of pods
      kubectl tracking status --watch          stay, until interrupted
      kubectl tracking status -A               every cluster of the kubeconfig
      kubectl tracking status --accept OptedOut   for CI, where some pods opt out

    \b
    Exit codes:
      0    everything is in order
      1    something is not, or cannot be vouched for
      2    no access, no release, or bad arguments
      130  interrupted
    """  # noqa: D301 - \b is the character that click looks for
    if all_contexts:
        refuse("-A", {"--namespace": asked, "--probe": probes, "--watch": watch})
        raise SystemExit(fleet(choice, output, whole_console(), accepted))
    if watch:
        with_document = output in ("json", "yaml")
        refuse("--watch", {f"-o {output}": with_document, "--probe": probes})
    access = choice.connect()
    with told(access):
        release = choice.release(access)
    # A terminal shows the troubled; whoever reads a pipe wants all.
    every = every or not whole_console().is_terminal
    view = StatusView(wide=output == "wide", every=every, asked=asked)
    if watch:
        _watch(lambda: _shown(access, release, view, accepted))
    seen = _observed(access, release)
    found = troubles(seen, client=__version__, asked=asked)
    more = deeper(access, release, asked, found, probes=probes)
    found = accepting((*found, *more), accepted)
    if output in ("json", "yaml"):
        emit(encoded(status_document(seen, found, __version__), output))
    else:
        click.echo(rendered(whole_console(), screen(seen, found, view)), nl=False)
    raise SystemExit(0 if in_order(found) else 1)


def _observed(access: ClusterConnection, release: ReleaseName) -> Installation:
    """Return what is seen.

    Raises:
        CommandError: nothing of the release can be seen.
    """
    seen = observe(access.resources, release, now())
    pieces = (seen.report, seen.lease, seen.webhook)
    unread = [one for one in pieces if isinstance(one, Unknown)]
    if len(unread) < len(pieces):
        return seen
    where = place(access)
    if all(one.reason is UnknownReason.ABSENT for one in unread):
        raise CommandError(f"There is no release {release} ({where}).")
    first = next(one for one in unread if one.reason is not UnknownReason.ABSENT)
    raise CommandError(f"Nothing of {release} can be read ({where}): {first.sentence}")


def _shown(
    access: ClusterConnection,
    release: ReleaseName,
    view: StatusView,
    accepted: tuple[str, ...],
) -> RenderableType:
    try:
        seen = _observed(access, release)
    except CommandError as error:
        return Text(error.message, style="red")
    found = troubles(seen, client=__version__, asked=view.asked)
    return screen(seen, accepting(found, accepted), view)


def _watch(look: Callable[[], RenderableType]) -> None:
    """Shows it again and again, also while it cannot be read, until interrupted."""
    console = whole_console()
    if not console.is_terminal:
        while True:
            click.echo(f"{rendered(console, look())}---")
            time.sleep(_EVERY)
    # What does not fit is below: trouble comes first.
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(Inert(look()), refresh=True)
            time.sleep(_EVERY)
