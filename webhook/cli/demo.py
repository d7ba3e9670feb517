"""`demo`: the whole job on captured pods, without a cluster."""

import json
import time
from collections.abc import Iterator
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from webhook.cli.demo_outcome import DemoOutcome, demo_outcome
from webhook.cli.demo_server import call, connection, running_server
from webhook.injection.names import MIRROR_SECRET
from webhook.samples import reviews


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
)
def demo(*, output: str) -> None:
    """Show the whole job on captured pods, without a cluster.

    Starts the real server on loopback with a certificate made for the occasion,
    sends it AdmissionReviews that kube-apiserver once sent for pods of KubeRay,
    spark-submit and spark-operator, over TLS and as kube-apiserver would, applies
    the answers and shows what each pod became. Takes seconds, leaves nothing behind.

    \b
    Examples:
      tracking-injector demo
      tracking-injector demo -o json | jq '.pods[] | select(.reason == "Injected")'

    \b
    Exit codes:
      0  every pod is as promised
      1  a pod is not, or the server did not start
      2  bad arguments
    """  # noqa: D301 - \b is the character that click looks for
    bodies = reviews()
    click.echo("Starting the webhook on loopback, with a new certificate ...", err=True)
    with running_server() as server, connection(server) as client:
        click.echo(f"Sending {len(bodies)} captured reviews over TLS ...", err=True)
        started = time.perf_counter()
        answers = {name: call(client, body) for name, body in bodies.items()}
        seconds = time.perf_counter() - started
    outcomes = [demo_outcome(name, bodies[name], *answers[name]) for name in bodies]
    broken = [each for each in outcomes if each.problem]
    if output == "json":
        click.echo(json.dumps(as_data(outcomes, seconds), indent=2))
    else:
        click.echo(as_table(outcomes, seconds, Console()), nl=False)
    if broken:
        raise SystemExit(1)


def as_data(outcomes: list[DemoOutcome], seconds: float) -> dict[str, Any]:
    """The outcomes as JSON values.

    Args:
        outcomes: Of all reviews.
        seconds: What the server took for all of them.

    Returns:
        `asPromised`, `seconds`, and `pods` with `name`, `reason`, `workload`,
        `containers`, `envFrom` before and after by container, and `problem`.
    """
    return {
        "asPromised": not any(each.problem for each in outcomes),
        "seconds": round(seconds, 3),
        "pods": [
            {
                "name": each.name,
                "reason": str(each.decision.reason),
                "workload": each.decision.workload and str(each.decision.workload),
                "containers": list(each.decision.containers),
                "envFrom": {
                    name: {"before": before, "after": after}
                    for name, before, after in _sources(each)
                },
                "problem": each.problem or None,
            }
            for each in outcomes
        ],
    }


def as_table(outcomes: list[DemoOutcome], seconds: float, console: Console) -> str:
    """The outcomes as a table, with `+` before what was added.

    Args:
        outcomes: Of all reviews.
        seconds: What the server took for all of them.
        console: Where the text will go.

    Returns:
        The table and a closing line.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("pod, and its containers", overflow="fold")
    table.add_column("decision, and envFrom", overflow="fold")
    for each in outcomes:
        if table.row_count:
            table.add_row()
        verdict = Text(str(each.decision.reason))
        if each.problem:
            verdict = Text(each.problem, style="red")
        table.add_row(Text(each.name, style="bold"), verdict)
        for name, before, after in _sources(each):
            table.add_row(Text(f"  {name}"), _difference(before, after))
    broken = sum(1 for each in outcomes if each.problem)
    injected = sum(1 for each in outcomes if each.after != each.before)
    with console.capture() as captured:
        console.print(table)
        console.print()
        console.print(
            f"{len(outcomes)} reviews answered in {seconds * 1000:.0f} ms: "
            f"{injected} pods injected, {len(outcomes) - injected} left alone; "
            + (f"{broken} NOT as promised." if broken else "all as promised.")
        )
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _sources(each: DemoOutcome) -> Iterator[tuple[str, list[str], list[str]]]:
    """Each container's name, and its `envFrom` before and after."""
    pairs = zip(
        each.before["spec"]["containers"],
        each.after["spec"]["containers"],
        strict=True,
    )
    for before, after in pairs:
        yield before["name"], _source_names(before), _source_names(after)


def _source_names(container: dict[str, Any]) -> list[str]:
    return [
        str((source.get("secretRef") or source.get("configMapRef") or {}).get("name"))
        for source in container.get("envFrom") or ()
    ]


def _difference(before: list[str], after: list[str]) -> Text:
    lines = [
        Text(f"+ {name}", style="green")
        if name == MIRROR_SECRET and name not in before
        else Text(f"  {name}")
        for name in after
    ]
    return Text("\n").join(lines) if lines else Text("  -", style="dim")
