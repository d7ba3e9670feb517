"""Writes the page of figures, with its plots, from what `make bench` measured.

    python -m tests.bench.report RESULT.json PROFILE.json

A run in which the machine was too busy for a ratio changes nothing.
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
TEXT: Final = 'font-family="sans-serif" font-size="13"'


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
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="18" {TEXT} font-weight="bold">{title}</text>',
    ]
    for number, row in enumerate(rows, 1):
        top, long = number * ROW + 4, log10(row.value / low) * scale
        color = "#2563eb" if row.is_ours else "#94a3b8"
        parts += [
            f'<text x="{LEFT - 8}" y="{top + 15}" {TEXT} text-anchor="end">'
            f"{row.name}</text>",
            f'<rect x="{LEFT}" y="{top}" width="{long:.0f}" height="{ROW - 6}"'
            f' fill="{color}"/>',
            f'<text x="{LEFT + long + 6:.0f}" y="{top + 15}" {TEXT}>{row.text}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def plots(result: dict[str, Any], profile: dict[str, Any]) -> dict[str, str]:
    """Each plot by its file's name."""
    at_25 = {row[0]: row for row in result["rows"] if row[1] == 25}
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
        for row in profile["growth"]["rows"]
    ]
    return {
        "throughput.svg": bars(
            "Admissions per CPU-second, as times the Go stub's", [*throughput, *peers]
        ),
        "latency.svg": bars("Latency at 25 connections, one core each", latency),
        "growth.svg": bars("Processor time of one answer by the review's size", growth),
    }


PAGE_TEXT: Final = """# What it costs

Written by `make bench` on {date}: {machine}, the server on one, its client on the
other. All servers are alive at once and measured in turn; a ratio is taken inside a
round, and rounds that others disturbed do not count. Reviews of 9 KB, as kube-apiserver
sends them; ours decides, counts and logs.

![Admissions per CPU-second](performance/throughput.svg)

The last five were measured once, on 2026-11-23, beside the same stub and with their
least configuration.

| server | connections | admissions per CPU-second | p50 ms | p99 ms | errors |
|---|---|---|---|---|---|
{rows}

{summary}

![Latency](performance/latency.svg)

## Where the time of one request goes

| part | microseconds |
|---|---|
{parts}

## With the review's size

The cost grows with the size to the power of {power}.

![Growth](performance/growth.svg)
"""


def page(result: dict[str, Any], profile: dict[str, Any]) -> str:
    """The whole page."""
    rows = (
        f"| {NAMES[name]} | {conns} | {cost:.0f} | {p50:.2f} | {p99:.2f} | {errors} |"
        for name, conns, cost, _, p50, p99, errors in result["rows"]
    )
    summary = result["summary"].items()
    parts = profile["ray-head-michelangelo"].items()
    return PAGE_TEXT.format(
        date=result["date"],
        machine=result["machine"],
        rows="\n".join(rows),
        summary="\n".join(f"- {key}: {value}" for key, value in summary),
        parts="\n".join(f"| {part} | {value} |" for part, value in parts),
        power=profile["growth"]["power"],
    )


def main() -> None:
    """Write the page and its plots, or say why not."""
    result, profile = (json.loads(Path(one).read_text()) for one in sys.argv[1:3])
    if "ratios" in result["summary"]:
        sys.stdout.write(f"no page: ratios {result['summary']['ratios']}\n")
        return
    FOLDER.mkdir(exist_ok=True)
    for name, text in plots(result, profile).items():
        (FOLDER / name).write_text(text)
    PAGE.write_text(page(result, profile))


if __name__ == "__main__":
    main()
