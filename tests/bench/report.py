"""Writes the page of figures, with its plots, from what `make bench` measured.

    python -m tests.bench.report FOLDER

The folder has what `run`, `profile`, `latency` and `companion` printed. A run in which
the machine was too busy for a ratio changes nothing.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "performance.md"
FOLDER: Final = PAGE.with_suffix("")

NAMES: Final = {
    "floor": "C: epoll, OpenSSL, constant answer",
    "stub": "Go: net/http, constant patch",
    "stock": "gunicorn's asgi worker, our answer",
    "ours": "tracking-injector",
}
PEERS: Final = {
    "EKS pod identity webhook": 0.45,
    "azure-workload-identity": 0.19,
    "kubeflow PodDefaults": 0.04,
    "Gatekeeper mutation": 0.03,
    "Kyverno": 0.03,
}
"""Admissions per CPU-second, as a share of the Go stub's in the same batch."""

WIDTH, ROW, LEFT, RIGHT = 720, 26, 260, 90
STYLE: Final = (
    "<style>text{font:13px sans-serif;fill:#1f2328}rect{fill:#94a3b8}"
    ".ours{fill:#2563eb}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>"
)
"""The background is the page's own, light or dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row of a plot."""

    name: str
    value: float
    text: str
    is_ours: bool = False


def bars(title: str, rows: Sequence[Bar]) -> str:
    """A bar for each row, on a logarithmic scale, its figure beside it."""
    low = min(row.value for row in rows) / 2
    scale = (WIDTH - LEFT - RIGHT) / log10(max(row.value for row in rows) / low)
    height = ROW * (len(rows) + 1) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' role="img" aria-label="{title}">',
        STYLE,
        f'<text x="8" y="18" font-weight="bold">{title}</text>',
    ]
    for number, row in enumerate(rows, 1):
        top, long = number * ROW + 4, log10(row.value / low) * scale
        ours = ' class="ours"' if row.is_ours else ""
        parts += [
            f'<text x="{LEFT - 8}" y="{top + 15}" text-anchor="end">{row.name}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{long:.0f}" height="{ROW - 6}"{ours}/>',
            f'<text x="{LEFT + long + 6:.0f}" y="{top + 15}">{row.text}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def plots(measured: dict[str, Any]) -> dict[str, str]:
    """Each plot by its file's name."""
    at_25 = {row[0]: row for row in measured["run"]["rows"] if row[1] == 25}
    stub = at_25["stub"][2]
    throughput = [
        Bar(
            name=NAMES[name],
            value=at_25[name][2] / stub,
            text=f"{at_25[name][2] / stub:.2f}",
            is_ours=name == "ours",
        )
        for name in NAMES
    ]
    peers = [Bar(name=n, value=v, text=f"{v:.2f}") for n, v in PEERS.items()]
    latency = [
        Bar(
            name=f"{NAMES[name].partition(':')[0]}, {which}",
            value=at_25[name][column],
            text=f"{at_25[name][column]:.2f} ms",
            is_ours=name == "ours",
        )
        for which, column in (("p50", 4), ("p99", 5))
        for name in NAMES
    ]
    growth = [
        Bar(
            name=f"{row['bytes'] / 1024:.0f} KiB",
            value=row["us"],
            text=f"{row['us']:.0f} us",
            is_ours=True,
        )
        for row in measured["profile"]["growth"]["rows"]
    ]
    namespaces = [
        Bar(
            name=f"{row['namespaces']} namespaces, {which}",
            value=row[f"{key}_cpu_seconds"],
            text=f"{row[f'{key}_cpu_seconds']:.2f} s",
            is_ours=True,
        )
        for which, key in (("from nothing", "cold"), ("a changed key", "change"))
        for row in scale(measured)
    ]
    return {
        "throughput.svg": bars(
            "Admissions per CPU-second, as times the Go stub's", [*throughput, *peers]
        ),
        "latency.svg": bars("Latency at 25 connections, one core each", latency),
        "growth.svg": bars("Processor time of one answer by the review's size", growth),
        "namespaces.svg": bars("Processor time of the companion", namespaces),
    }


def scale(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """What the companion took for each number of namespaces."""
    return [row for row in measured["companion"]["scale"] if "namespaces" in row]


PAGE_TEXT: Final = """# What it costs

Written by `make bench` on {date}: {machine}. All servers are alive at once, on one
processor, with their client on the other, and measured in turn; a ratio is taken inside
a round, and rounds that others disturbed do not count. Reviews of 9 KB, as
kube-apiserver sends them; ours decides, counts and logs.

![Admissions per CPU-second](performance/throughput.svg)

The last five were measured once, on 2026-11-23, beside the same stub and with their
least configuration.

| server | connections | admissions per CPU-second | p50 ms | p99 ms | errors |
|---|---|---|---|---|---|
{rows}

Beside each of the others, the median of the rounds and their range:

| beside | connections | admissions per CPU-second | p50 | p99 |
|---|---|---|---|---|
{ratios}

{summary}

![Latency](performance/latency.svg)

## A pod's CREATE through the API server

{creates} dry runs each, in turn; with the API server's CPU for one of them:

| admission by | p50 ms | p99 ms | CPU ms |
|---|---|---|---|
{ways}

## Where the time of one request goes

| part | microseconds |
|---|---|
{parts}

## With the review's size

The cost grows with the size to the power of {power}.

![Growth](performance/growth.svg)

## The companion

Requests are those per mirror, in the API server's own record, watches and the Lease
apart.

| namespaces | from nothing | requests | a changed key | requests | memory at its most |
|---|---|---|---|---|---|
{namespaces}

![The companion](performance/namespaces.svg)
"""


def page(measured: dict[str, Any]) -> str:
    """The whole page."""
    result, profile = measured["run"], measured["profile"]
    latency = measured["latency"]
    rows = (
        f"| {NAMES[name]} | {conns} | {cost:.0f} | {p50:.2f} | {p99:.2f} | {errors} |"
        for name, conns, cost, _, p50, p99, errors in result["rows"]
    )
    ratios = (
        f"| {NAMES[peer]} | {' | '.join(map(str, figures))} |"
        for peer, *figures in result["ratios"]
    )
    ways = (
        f"| {way} | {one['p50_ms']} | {one['p99_ms']} | {one['cpu_ms']} |"
        for way, one in latency.items()
        if way != "creates"
    )
    companion = (
        "| {namespaces} | {cold_seconds} s, {cold_cpu_seconds} s of CPU "
        "| {cold_requests_per_mirror} | {change_seconds} s, {change_cpu_seconds} s of "
        "CPU | {change_requests_per_mirror} | {memory_peak_mib} MiB |".format(**row)
        for row in scale(measured)
    )
    parts = profile["ray-head-michelangelo"].items()
    return PAGE_TEXT.format(
        date=result["date"],
        machine=result["machine"],
        rows="\n".join(rows),
        ratios="\n".join(ratios),
        summary="\n".join(f"- {key}: {one}" for key, one in result["summary"].items()),
        creates=latency["creates"],
        ways="\n".join(ways),
        parts="\n".join(f"| {part} | {value} |" for part, value in parts),
        power=profile["growth"]["power"],
        namespaces="\n".join(companion),
    )


def main() -> None:
    """Write the page and its plots, or say why not."""
    folder = Path(sys.argv[1])
    measured = {
        part: json.loads((folder / f"{part}.json").read_text())
        for part in ("run", "profile", "latency", "companion")
    }
    if not measured["run"]["ratios"]:
        sys.stdout.write("no page: the machine was too busy to trust a ratio\n")
        return
    FOLDER.mkdir(exist_ok=True)
    for name, text in plots(measured).items():
        (FOLDER / name).write_text(text)
    PAGE.write_text(page(measured))


if __name__ == "__main__":
    main()
