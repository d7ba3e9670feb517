"""One screen that a person reads in ten seconds: trouble first, then the parts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from rich.console import (
    Console,
    ConsoleOptions,
    Group,
    RenderableType,
    RenderResult,
)
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from webhook.companion.audit import AuditReason
from webhook.companion.observation.installation_troubles import has_no_webhook
from webhook.companion.observation.model import (
    Installation,
    LeaseState,
    Piece,
    PolicyState,
    ReplicaState,
    WorkloadState,
)
from webhook.companion.observation.published import (
    PublishedNamespace,
    PublishedReport,
)
from webhook.companion.observation.trouble import Severity, Trouble
from webhook.companion.observation.unknown import Unknown, UnknownReason

_MARKS: Final = {
    Severity.ERROR: Text("× ", style="bold red"),
    Severity.WARNING: Text("‼ ", style="yellow"),
}
_FEW: Final = 5
"""Places of one trouble that a terminal lists; the rest is counted."""
_CALM: Final = 20
"""Namespaces in order that a terminal lists; of more there is one line."""
_WIDEST: Final = 10_000
"""Columns that any table fits in."""
_SHORT: Final = 19
"""Characters of a digest, algorithm included, as `docker images` has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """What a person wants to see.

    Attributes:
        wide: names of pods, profiles and digests, too.
        every: all places of a trouble, and all namespaces.
        asked: only these compute namespaces; empty means all.
    """

    wide: bool = False
    every: bool = True
    asked: tuple[str, ...] = ()


def screen(
    seen: Installation, found: Sequence[Trouble], view: StatusView
) -> RenderableType:
    """Return the whole screen."""
    parts: list[RenderableType] = [_headline(found), *_troubles(found, view)]
    parts += [Text(), _parts(seen, view)]
    if isinstance(seen.report, PublishedReport):
        parts += [Text(), *_namespaces(seen.report, seen.at, view)]
    return Group(*parts)


def _headline(found: Sequence[Trouble]) -> Text:
    errors = sum(one.severity is Severity.ERROR for one in found)
    if not errors:
        return Text("√ Everything is in order.", style="bold green")
    things = "thing is" if errors == 1 else "things are"
    return Text(f"× {errors} {things} not in order.", style="bold red")


def _troubles(found: Sequence[Trouble], view: StatusView) -> Iterator[RenderableType]:
    """Yield each kind of trouble once, with the places that have it."""

    def kind(one: Trouble) -> tuple[Severity, str, str]:
        return one.severity, one.reason, one.sentence

    order = {k: number for number, k in enumerate(dict.fromkeys(map(kind, found)))}
    grouped = groupby(sorted(found, key=lambda one: order[kind(one)]), kind)
    for (severity, reason, sentence), members in grouped:
        places = list(members)
        grid = Table.grid()
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(_MARKS[severity], Text(f"{reason}: {sentence}"))
        shown = places if view.every or view.wide else places[:_FEW]
        for one in shown:
            grid.add_row("", Text(f"  {_place(one, view)}", style="bold"))
        if more := len(places) - len(shown):
            grid.add_row("", Text(f"  and {more} more; --all lists them"))
        yield grid


def _place(one: Trouble, view: StatusView) -> str:
    """Return what a trouble is about, with names of pods only where asked for."""
    detail = one.detail
    if one.objects and view.wide:
        detail += f": {', '.join(one.objects)}"
    return f"{one.about}: {detail}" if detail else one.about


def _parts(seen: Installation, view: StatusView) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("release", str(seen.release))
    webhook = _workload(seen.webhook, seen.webhook_replicas, view)
    grid.add_row("webhook", "not installed" if has_no_webhook(seen.report) else webhook)
    grid.add_row("policy", _policy(seen.policy))
    companion = _workload(seen.companion, seen.companion_replicas, view)
    grid.add_row("companion", companion)
    grid.add_row("leader", _lease(seen.lease, seen.at))
    report = seen.report
    if isinstance(report, Unknown):
        grid.add_row("report", _unread(report))
    elif report.certificates.line:
        grid.add_row("certificates", report.certificates.line)
    past = "let through without the webhook, by the API server that was asked"
    told = seen.fail_open
    count = _unread(told) if isinstance(told, Unknown) else f"{told} {past}"
    grid.add_row("fail-open", count)
    version = seen.kubernetes
    known = _unread(version) if isinstance(version, Unknown) else version
    grid.add_row("Kubernetes", known)
    return grid


def _unread(piece: Unknown) -> Text:
    return Text(f"not known: {piece.sentence}", style="yellow")


def _policy(policy: Piece[PolicyState]) -> Text:
    """Return how the API server's own policy stands."""
    if isinstance(policy, Unknown):
        absent = policy.reason is UnknownReason.ABSENT
        return Text("none") if absent else _unread(policy)
    return Text(f"in the API server, version {policy.version}", style="green")


def _workload(
    workload: Piece[WorkloadState],
    replicas: Piece[tuple[ReplicaState, ...]],
    view: StatusView,
) -> Text:
    if isinstance(workload, Unknown):
        return _unread(workload)
    sound = workload.ready >= workload.desired > 0
    said = Text(f"{workload.ready}/{workload.desired} ready")
    said.stylize("green" if sound else "bold red")
    if workload.version:
        said.append(f", version {workload.version}", style="default")
    if isinstance(replicas, Unknown):
        return said
    digests = sorted({one.digest for one in replicas if one.digest})
    size = None if view.wide else _SHORT
    for digest in digests:
        said.append(f", {digest[:size]}", style="default")
    return said


def _lease(lease: Piece[LeaseState], at: datetime) -> Text:
    if isinstance(lease, Unknown):
        return _unread(lease)
    age = lease.age(at)
    if not lease.holder or age is None:
        return Text("nobody", style="bold red")
    return Text(f"{lease.holder}, renewed {span(age)} ago")


def _namespaces(
    report: PublishedReport, at: datetime, view: StatusView
) -> Iterator[RenderableType]:
    chosen = {
        name: one
        for name, one in report.namespaces.items()
        if not view.asked or name in view.asked
    }
    if not report.total:
        yield Text("No namespace is labeled, and none has a mirror.")
        return
    troubled = {name: one for name, one in chosen.items() if not _calm(one)}
    calm = {name: one for name, one in chosen.items() if name not in troubled}
    hidden = 0 if view.every or len(chosen) <= _CALM else len(calm)
    rows = troubled if hidden else troubled | calm
    if rows:
        yield _rows(rows.items(), report, at, wide=view.wide)
    if hidden:
        yield Text(f"{hidden} namespaces more are in order; --all lists them.")
    if left := report.truncated.get("namespaces"):
        yield Text(f"{left} of {report.total} namespaces had no room in the report.")


def _calm(one: PublishedNamespace) -> bool:
    """Return whether there is nothing to see in a namespace's row."""
    findings = one.egress.findings if one.egress else ()
    return one.in_order and not (one.outdated or one.shadowed or findings)


@dataclass(frozen=True, slots=True)
class _Rows:
    """A table where it fits, and lines of words where it does not."""

    columns: tuple[str, ...]
    rows: list[list[Text]]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in self.columns:
            table.add_column(column, no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        whole = options.update(max_width=_WIDEST)
        if Measurement.get(console, whole, table).maximum <= options.max_width:
            yield table
            return
        named = [column.lower() for column in self.columns[1:]]
        for first, *rest in self.rows:
            yield first
            said = [
                Text(f"{name} ").append(cell)
                for name, cell in zip(named, rest, strict=True)
            ]
            yield Padding(Text(", ").join(said), (0, 0, 0, 2))


def _rows(
    rows: Iterable[tuple[str, PublishedNamespace]],
    report: PublishedReport,
    at: datetime,
    *,
    wide: bool,
) -> _Rows:
    more = ("PROFILE", "KEYS", "SOURCE", "CHANGED") if wide else ()
    cells = []
    for name, one in rows:
        row = [Text(name, style="bold"), _mirror(one), _egress(one), _pods(one)]
        if wide:
            profile = report.profiles.get(one.profile)
            source = profile.source_changed if profile else None
            ages = _age(source, at), _age(one.changed, at)
            row += map(Text, (one.profile, str(one.keys), *ages))
        cells.append(row)
    return _Rows(("NAMESPACE", "MIRROR", "EGRESS", "PODS", *more), cells)


def _mirror(one: PublishedNamespace) -> Text:
    return Text(one.reason, style="green" if one.reason == "Mirrored" else "red")


def _egress(one: PublishedNamespace) -> Text:
    """Return the reason, and the worst finding where that says more."""
    if one.egress is None:
        return Text("-")
    said = Text(one.egress.reason)
    others = [f.reason for f in one.egress.findings if f.reason != one.egress.reason]
    if others:
        said.append(f" {others[0]}", style="yellow")
    return said


def _pods(one: PublishedNamespace) -> Text:
    """Return how many pods have the keys, and how many have not; a dash: unknown."""
    if one.pods is None:
        return Text("-")
    said = Text(f"{one.pods.get(AuditReason.INJECTED, 0)} injected")
    outdated = one.outdated.pods if one.outdated else 0
    counts = (("missed", one.missed), ("waiting", one.waiting), ("outdated", outdated))
    for word, count in counts:
        if count:
            said.append(", ").append(f"{count} {word}", style="red")
    return said


def _age(time: datetime | None, at: datetime) -> str:
    return span((at - time).total_seconds()) if time else "-"


def span(seconds: float) -> str:
    """As kubectl has it: the two largest units at most."""
    left = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if left >= 2 * size:
            return f"{left // size}{unit}"
    return f"{left}s"
