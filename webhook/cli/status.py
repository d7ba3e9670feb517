"""`kubectl tracking status`: how every labelled namespace stands, on one screen.

Reads the companion's report and its Lease, and so needs no right but to read these.
"""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import yaml
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from webhook.cli.connect import cluster_options, connect, now, process_environ
from webhook.cluster import objects
from webhook.cluster.errors import ClusterError, Forbidden, NotFound
from webhook.cluster.kinds import CONFIG_MAP, LEASE
from webhook.cluster.lease import record
from webhook.cluster.ports import Json, Key, Resources, Selection
from webhook.companion.status import FIELD, SCHEMA
from webhook.companion.verdicts import AuditReason
from webhook.mirror.reasons import FindingReason, MirrorReason
from webhook.settings import CompanionSettings

_EVERY: Final = 2.0
"""Seconds between two looks of `--watch`; the report is not written more often."""
_ASLEEP: Final = 30
"""Seconds since the Lease was renewed after which nobody seems to be at work."""


@click.command()
@cluster_options
@click.option("-n", "--namespace", help="Only this compute namespace.")
@click.option(
    "--release-namespace", help="Where the chart is installed; searched otherwise."
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
    release_namespace: str | None,
    output: str,
    *,
    watch: bool,
) -> None:
    """Show how every labelled namespace stands, and its task pods.

    Needs no right but to read the ConfigMap and the Lease in the release namespace.

    Exit codes: 0 everything is in order; 1 something is not; 2 no access.
    """
    access = connect(process_environ(), kubeconfig=kubeconfig, context=context)
    try:
        home = release_namespace or _search(access.resources)
        if watch:
            _watch(access.resources, home, namespace, wide=output == "wide")
            return
        report = _read(access.resources, home, namespace)
    except ClusterError as error:
        raise click.UsageError(_sentence(error)) from error
    if output in ("json", "yaml"):
        click.echo(_document(report, output))
    else:
        Console().print(_screen(report, wide=output == "wide", at=now()))
    raise SystemExit(0 if _is_in_order(report) else 1)


def _search(resources: Resources) -> str:
    """The namespace of the one status ConfigMap in the cluster."""
    name = CompanionSettings().status
    try:
        listing = resources.listing(Selection(CONFIG_MAP, name=name), objects.uid)
    except Forbidden as error:
        message = "Where is the chart installed? Say it with --release-namespace."
        raise click.UsageError(message) from error
    homes = sorted(key.namespace for key in listing.items)
    if len(homes) != 1:
        found = ", ".join(homes) or "none"
        message = (
            f"Releases found: {found}. Say which one with --release-namespace."
            if homes
            else f"No ConfigMap {name} in the cluster: is the chart installed?"
        )
        raise click.UsageError(message)
    return homes[0]


def _read(resources: Resources, home: str, namespace: str | None) -> Json:
    defaults = CompanionSettings()
    body = resources.get(CONFIG_MAP, defaults.status, home)
    text = (body.get("data") or {}).get(FIELD)
    if text is None:
        raise click.UsageError(
            f"{Key(home, defaults.status)} is still empty: no companion has led yet."
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
    return report | {"companion": _companion(resources, home)}


def _companion(resources: Resources, home: str) -> Json:
    try:
        lease = record(resources.get(LEASE, CompanionSettings().lease, home))
    except (NotFound, Forbidden) as error:
        return {"leader": "", "problem": _sentence(error)}
    return {"leader": lease.holder, "renewed": lease.renewed}


def _watch(
    resources: Resources, home: str, namespace: str | None, *, wide: bool
) -> None:
    with Live(auto_refresh=False, screen=False) as live:
        while True:
            shown: RenderableType
            try:
                report = _read(resources, home, namespace)
                shown = _screen(report, wide=wide, at=now())
            except ClusterError as error:
                shown = Text(_sentence(error), style="red")
            live.update(shown, refresh=True)
            time.sleep(_EVERY)


def _document(report: Json, output: str) -> str:
    if output == "json":
        return json.dumps(report, indent=2)
    return yaml.safe_dump(report, sort_keys=False).rstrip()


def _is_in_order(report: Json) -> bool:
    bad = any("problem" in profile for profile in report["profiles"].values())
    return not bad and all(
        MirrorReason(one["reason"]).is_in_order and not one.get("missed")
        for one in report["namespaces"].values()
    )


def _screen(report: Json, *, wide: bool, at: datetime) -> RenderableType:
    parts: list[RenderableType] = [_table(report, at)]
    if not report["namespaces"]:
        parts.append(Text("No labelled namespace."))
    parts += _notes(report, wide=wide, at=at)
    parts.append(_footer(report, at))
    return Group(*parts)


def _table(report: Json, at: datetime) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("NAMESPACE", "PROFILE", "MIRROR"):
        table.add_column(column)
    for column in ("KEYS", "CHANGED", "INJECTED", "MISSED", "OUTDATED"):
        table.add_column(column, justify="right")
    for name, one in report["namespaces"].items():
        reason = MirrorReason(one["reason"])
        pods = one.get("pods", {})
        missed = one.get("missed", 0)
        outdated = one.get("outdated", {}).get("pods", 0)
        table.add_row(
            name,
            one["profile"],
            Text(reason.value, style="green" if reason.is_in_order else "red"),
            str(one["keys"]),
            _age(one["changed"], at),
            str(pods.get(AuditReason.INJECTED.value, 0)),
            Text(str(missed), style="red" if missed else ""),
            Text(str(outdated), style="yellow" if outdated else ""),
        )
    return table


def _notes(report: Json, *, wide: bool, at: datetime) -> Iterator[Text]:
    for name, profile in report["profiles"].items():
        problem = profile.get("problem")
        if problem:
            since = _age(problem["since"], at)
            sentence = MirrorReason(problem["reason"]).sentence
            yield Text(
                f"profile {name}, for {since}: {sentence} ({problem['detail']})",
                style="red",
            )
        if wide:
            keys = ", ".join(profile["keys"]) or "none"
            changed = _age(profile["sourceChanged"], at)
            yield Text(f"profile {name}: keys {keys}; sources changed {changed} ago")
            for finding in profile["findings"]:
                sentence = FindingReason(finding["reason"]).sentence
                where = f"{finding['source']}, key {finding['key']}"
                yield Text(f"profile {name}, {where}: {sentence}", style="yellow")
    for name, one in report["namespaces"].items():
        yield from _namespace_notes(name, one, wide=wide, at=at)


def _namespace_notes(
    name: str, one: Mapping[str, Any], *, wide: bool, at: datetime
) -> Iterator[Text]:
    reason = MirrorReason(one["reason"])
    if not reason.is_in_order:
        detail = f" ({one['detail']})" if one.get("detail") else ""
        yield Text(f"{name}: {reason.sentence}{detail}", style="red")
    for said, count in one.get("pods", {}).items():
        verdict = AuditReason(said)
        if verdict.is_missed or wide:
            style = "red" if verdict.is_missed else ""
            yield Text(f"{name}: {count} {said}: {verdict.sentence}", style=style)
    outdated = one.get("outdated")
    if outdated:
        since = _age(outdated["oldest"], at)
        yield Text(
            f"{name}: {outdated['pods']} pods still run with older keys, the oldest "
            f"for {since}.",
            style="yellow",
        )
    for key, source in one.get("shadowed", {}).items():
        yield Text(f"{name}: {key} is shadowed by {source}.", style="yellow")


def _footer(report: Json, at: datetime) -> Text:
    companion = report["companion"]
    if companion.get("problem"):
        line = f"companion: {companion['problem']}"
    elif not companion["leader"]:
        line = "companion: nobody leads."
    else:
        age = at - datetime.fromisoformat(companion["renewed"])
        asleep = age.total_seconds() > _ASLEEP
        seen = f"; last seen {_span(age.total_seconds())} ago" if asleep else ""
        line = f"companion: {companion['leader']} leads{seen}."
    audit = report["audit"]
    if audit != "complete":
        line += f" Pods are not audited: {audit}."
    if report.get("truncated"):
        line += f" Cut: {report['total']} namespaces in all."
    certificates = report.get("certificates", {}).get("line")
    return Text(f"{line}\ncertificates: {certificates}" if certificates else line)


def _age(stamp: str | None, at: datetime) -> str:
    if stamp is None:
        return "-"
    time_ = datetime.fromisoformat(stamp).astimezone(UTC)
    return _span((at - time_).total_seconds())


def _span(seconds: float) -> str:
    """As kubectl has it: the two largest units at most."""
    left = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if left >= 2 * size:
            return f"{left // size}{unit}"
    return f"{left}s"


def _sentence(error: ClusterError) -> str:
    if isinstance(error, NotFound):
        return f"{error}: is the chart installed there?"
    return str(error)
