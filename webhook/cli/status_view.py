"""One screen that a person reads in ten seconds, made of the companion's report."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from webhook.cluster.interface import Json
from webhook.companion.audit import AuditReason
from webhook.companion.watches import WatchReason
from webhook.egress.reasons import EgressReason
from webhook.mirror.reasons import KeyReason, MirrorReason

_ASLEEP: Final = 30
"""Seconds since the Lease was renewed after which nobody seems to be at work."""


def screen(report: Json, *, wide: bool, at: datetime) -> RenderableType:
    """The whole report as one screen."""
    parts: list[RenderableType] = [_table(report, at, wide=wide)]
    if not report["namespaces"]:
        parts.append(Text(_nothing(report)))
    parts += _notes(report, wide=wide, at=at)
    parts.append(_footer(report, at))
    return Group(*parts)


def _nothing(report: Json) -> str:
    asked = report.get("asked")
    if report["total"] and "truncated" in report:
        return f"{asked or 'Nothing'} is in what is left of the report, which was cut."
    said = f"{asked} is not labeled" if asked else "No namespace is labeled"
    return f"{said}, and has no mirror."


def _table(report: Json, at: datetime, *, wide: bool) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("NAMESPACE", "INJECT", "PROFILE", "MIRROR"):
        table.add_column(column, no_wrap=True)
    changed = ("CHANGED",) if wide else ()
    for column in ("KEYS", "SOURCE", *changed, "INJECTED", "MISSED", "OUTDATED"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, one in report["namespaces"].items():
        reason = MirrorReason(one["reason"])
        source = report["profiles"].get(one["profile"], {}).get("sourceChanged")
        table.add_row(
            name,
            one["inject"],
            one["profile"],
            Text(reason.value, style="green" if reason.is_in_order else "red"),
            str(one["keys"]),
            _age(source, at),
            *((_age(one["changed"], at),) if wide else ()),
            *_pods(one),
        )
    return table


def _pods(one: Mapping[str, Any]) -> tuple[str | Text, ...]:
    """Injected, missed and outdated; nothing where nobody looked."""
    if "pods" not in one:
        return "-", "-", "-"
    missed, outdated = one["missed"], one.get("outdated", {}).get("pods", 0)
    return (
        str(one["pods"].get(AuditReason.INJECTED.value, 0)),
        Text(str(missed), style="red" if missed else ""),
        Text(str(outdated), style="yellow" if outdated else ""),
    )


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
                sentence = KeyReason(finding["reason"]).sentence
                source = finding["source"]
                where = f"{source}, key" if source else "key"
                where += f" {finding['key']}"
                yield Text(f"profile {name}, {where}: {sentence}", style="yellow")
    yield from _watch_notes(report["watches"])
    for name, one in report["namespaces"].items():
        yield from _namespace_notes(name, one, wide=wide, at=at)


def _watch_notes(watches: Json) -> Iterator[Text]:
    for one in watches["failing"]:
        sentence = WatchReason(one["reason"]).sentence
        yield Text(f"{one['watch']}: {sentence} ({one['detail']})", style="red")
    for one in watches["objects"]:
        sentence = WatchReason.PROJECTION_FAILED.sentence
        yield Text(f"{one['watch']}, {one['object']}: {sentence}", style="red")
    if more := watches["unreadable"] - len(watches["objects"]):
        yield Text(f"And {more} more objects that cannot be read.", style="red")


def _namespace_notes(
    name: str, one: Mapping[str, Any], *, wide: bool, at: datetime
) -> Iterator[Text]:
    reason = MirrorReason(one["reason"])
    if not reason.is_in_order:
        detail = f" ({one['detail']})" if one.get("detail") else ""
        yield Text(f"{name}: {reason.sentence}{detail}", style="red")
    egress = one.get("egress")
    if egress and not EgressReason(egress["reason"]).is_in_order:
        sentence = EgressReason(egress["reason"]).sentence
        yield Text(f"{name}, egress: {sentence}", style="red")
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
        seen = f"; last seen {span(age.total_seconds())} ago" if asleep else ""
        line = f"companion: {companion['leader']} leads{seen}."
    audit = report["audit"]
    if audit != "complete":
        line += f" Pods are not audited: {audit}."
    if "truncated" in report:
        line += f" Cut: {report['total']} namespaces in all."
    certificates = report.get("certificates", {}).get("line")
    return Text(f"{line}\ncertificates: {certificates}" if certificates else line)


def _age(stamp: str | None, at: datetime) -> str:
    if stamp is None:
        return "-"
    time_ = datetime.fromisoformat(stamp).astimezone(UTC)
    return span((at - time_).total_seconds())


def span(seconds: float) -> str:
    """As kubectl has it: the two largest units at most."""
    left = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if left >= 2 * size:
            return f"{left // size}{unit}"
    return f"{left}s"
