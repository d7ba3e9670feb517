"""`kubectl tracking status`: how every labeled namespace stands, on one screen.

Reads the companion's report and its Lease, and so needs no right but to read these.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import yaml
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from webhook.cli.kubeconfig import cluster_options, connect, now, process_environ
from webhook.cli.status_view import screen
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Forbidden, NotFound
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.leader_election import parse_lease
from webhook.cluster.resources import CONFIG_MAP, LEASE
from webhook.companion.report import FIELD, SCHEMA, is_in_order

_EVERY: Final = 2.0
"""Seconds between two looks of `--watch`; the report is not written more often."""
_LABELS: Final = (
    "app.kubernetes.io/name=tracking-injector,app.kubernetes.io/component=companion"
)
"""What the chart puts on the report, whatever the release is called."""
_STATUS: Final = "-status"
_NARROWEST: Final = 120
"""Columns where nobody looks: a file or a pipe is not folded."""


@dataclass(frozen=True, slots=True)
class ReleaseLocation:
    """Where a release keeps its report.

    Attributes:
        resources: the cluster.
        home: the release's namespace.
        release: what its objects are called: `tracking-injector`, unless overridden.
    """

    resources: KubeClient
    home: str
    release: str

    @property
    def report(self) -> ObjectKey:
        """Address of the ConfigMap."""
        return ObjectKey(self.home, self.release + _STATUS)

    @property
    def lease(self) -> ObjectKey:
        """Address of the companion's Lease."""
        return ObjectKey(self.home, f"{self.release}-companion")


@click.command()
@cluster_options
@click.option("-n", "--namespace", help="Only this compute namespace.")
@click.option(
    "--release",
    metavar="NAMESPACE[/NAME]",
    default="",
    help="Where the chart is installed, and what its objects are called; searched "
    "otherwise.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "json", "yaml"]),
    default="table",
    help="`wide` adds details and findings; `json` and `yaml` are the report itself.",
)
@click.option("-w", "--watch", is_flag=True, help="Stay, and show what changes.")
def status(
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    release: str,
    output: str,
    *,
    watch: bool,
) -> None:
    """Show how every labeled namespace stands, and its task pods.

    Needs no right but to read the ConfigMap and the Lease in the release namespace.

    \b
    Examples:
      kubectl tracking status                  every namespace, one screen
      kubectl tracking status -n ray -o wide   one of them, with keys and findings
      kubectl tracking status --watch          stay, until interrupted

    \b
    Exit codes:
      0  everything is in order
      1  something is not, or no companion is at work
      2  no access, or no report
    """  # noqa: D301 - \b is the character that click looks for
    access = connect(process_environ(), kubeconfig=kubeconfig, context=context)
    wide = output == "wide"
    try:
        place = find_release(access.resources, *release.split("/", 1))
        if place is None:
            where = f"in {release}" if release else "in the cluster"
            raise click.UsageError(f"No release {where}: is the chart installed?")
        if watch:
            _watch(place, namespace, wide=wide)
            return
        report = _read(place, namespace)
    except ClusterError as error:
        raise click.UsageError(_sentence(error)) from error
    if output in ("json", "yaml"):
        click.echo(_document(report, output))
    else:
        _console().print(screen(report, wide=wide, at=now()))
    raise SystemExit(0 if is_in_order(report) else 1)


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _NARROWEST)
    return console


def find_release(
    resources: KubeClient, namespace: str, name: str = ""
) -> ReleaseLocation | None:
    """Return the one release in a namespace or anywhere; a name is taken as it is."""
    if name:
        return ReleaseLocation(resources, namespace, name)
    selection = ListOptions(CONFIG_MAP, namespace=namespace, labels=_LABELS)
    try:
        found = resources.list(selection, metadata.uid).items
    except Forbidden as error:
        message = "ConfigMaps cannot be listed: say --release NAMESPACE/NAME."
        raise click.UsageError(message) from error
    places = [
        ReleaseLocation(resources, key.namespace, key.name.removesuffix(_STATUS))
        for key in sorted(found)
        if key.name.endswith(_STATUS)
    ]
    if len(places) > 1:
        names = ", ".join(f"{one.home}/{one.release}" for one in places)
        raise click.UsageError(f"Releases found: {names}. Say which with --release.")
    return places[0] if places else None


def _read(place: ReleaseLocation, namespace: str | None) -> Json:
    body = place.resources.get(CONFIG_MAP, place.report.name, place.home)
    text = (body.get("data") or {}).get(FIELD)
    if text is None:
        raise click.UsageError(
            f"{place.report} is still empty: no companion has led yet."
        )
    report: Json = json.loads(text)
    if report.get("schema") != SCHEMA:
        raise click.UsageError(
            f"The report has schema {report.get('schema')}, this command knows "
            f"{SCHEMA}: use the command of the installed version."
        )
    if namespace is not None:
        found = report["namespaces"].get(namespace)
        report["namespaces"] = {namespace: found} if found else {}
        report["asked"] = namespace
    return report | {"companion": _companion(place)}


def _companion(place: ReleaseLocation) -> Json:
    try:
        lease = parse_lease(place.resources.get(LEASE, place.lease.name, place.home))
    except (NotFound, Forbidden) as error:
        return {"leader": "", "problem": _sentence(error)}
    return {"leader": lease.holder, "renewed": lease.renewed}


def _watch(place: ReleaseLocation, namespace: str | None, *, wide: bool) -> None:
    """Shows it again and again, also while it cannot be read, until interrupted."""
    with Live(console=_console(), auto_refresh=False) as live:
        while True:
            shown: RenderableType
            try:
                shown = screen(_read(place, namespace), wide=wide, at=now())
            except ClusterError as error:
                shown = Text(_sentence(error), style="red")
            except click.UsageError as error:
                shown = Text(error.message, style="red")
            live.update(shown, refresh=True)
            try:
                time.sleep(_EVERY)
            except KeyboardInterrupt:
                return


def _document(report: Json, output: str) -> str:
    if output == "json":
        return json.dumps(report, indent=2)
    return yaml.safe_dump(report, sort_keys=False).rstrip()


def _sentence(error: ClusterError) -> str:
    if isinstance(error, NotFound):
        return f"{error}: is the chart installed there?"
    return str(error)
