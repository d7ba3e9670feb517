"""`demo`: the whole job on captured pods, without a cluster.

That a pod is as promised is checked by undoing: take our reference and our stamp away,
and it must be the one that was sent. The code that decides is not asked.
"""

import base64
import copy
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
import jsonpatch
import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from webhook.cli.demo_server import call, running_server
from webhook.cli.output import rendered, with_output
from webhook.injection.decision import Decision, decide
from webhook.injection.names import (
    INJECTED_LABEL,
    INJECTED_TRUE,
    INJECTION_ANNOTATION,
    MIRROR_SECRET,
)
from webhook.injection.patch import reference
from webhook.injection.policy import InjectionPolicy
from webhook.injection.review import Review, parse
from webhook.samples import NOT_A_TASK, PROMISED, reviews

_POLICY = InjectionPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOutcome:
    """What became of one captured pod.

    Attributes:
        name: The review's.
        decision: What this process decides about it.
        before: The pod as sent.
        after: The pod as the server's patch leaves it.
        problem: What is not as promised; empty when all is.
    """

    name: str
    decision: Decision
    before: dict[str, Any]
    after: dict[str, Any]
    problem: str


@click.command()
@with_output("table", "json", show_default=True)
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
    with running_server() as client:
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
    summary = (
        f"{len(outcomes)} reviews answered in {seconds * 1000:.0f} ms: "
        f"{injected} pods injected, {len(outcomes) - injected} left alone; "
        + (f"{broken} NOT as promised." if broken else "all as promised.")
    )
    return rendered(console, table, "", summary)


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


def demo_outcome(name: str, body: bytes, status: int, answer: bytes) -> DemoOutcome:
    """Apply an answer and compare the pod with what is promised.

    Args:
        name: The captured review's.
        body: What was sent.
        status: HTTP status of the answer.
        answer: Its body.

    Returns:
        The outcome; an answer that cannot be read is a problem of the pod's.
    """
    review = parse(body)
    before: dict[str, Any] = review.pod
    decision = decide(review, _POLICY)
    after = before
    try:
        after = _answered(review, status, answer)
        problem = _broken_promise(name, before, after)
    except (ValueError, KeyError, TypeError, jsonpatch.JsonPatchException):
        problem = f"HTTP {status}, and no answer to this review"
    return DemoOutcome(
        name=name, decision=decision, before=before, after=after, problem=problem
    )


def _answered(review: Review, status: int, answer: bytes) -> dict[str, Any]:
    response = orjson.loads(answer)["response"]
    if (status, response["uid"], response["allowed"]) != (200, review.uid, True):
        raise ValueError("not an answer that admits this review's pod")
    operations = orjson.loads(base64.b64decode(response.get("patch", "W10=")))
    pod: dict[str, Any] = jsonpatch.apply_patch(review.pod, operations)
    return pod


def _broken_promise(name: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    if name.startswith(NOT_A_TASK):
        return "" if after == before else "changed, and is no task pod"
    undone = copy.deepcopy(after)
    given = []
    for container in undone["spec"]["containers"]:
        if (container.get("envFrom") or [None])[0] == reference(_POLICY):
            given.append(container["name"])
            container["envFrom"].pop(0)
    if tuple(given) != PROMISED[name]:
        return f"the keys come first in {given}, not in {list(PROMISED[name])}"
    if undone["metadata"].get("labels", {}).pop(INJECTED_LABEL, "") != INJECTED_TRUE:
        return "not labeled as injected"
    if not undone["metadata"].get("annotations", {}).pop(INJECTION_ANNOTATION, ""):
        return "not annotated"
    if _without_empty(undone) != _without_empty(before):
        return "something else of the pod changed"
    return ""


def _without_empty(pod: dict[str, Any]) -> dict[str, Any]:
    """A copy in which an empty `envFrom` or `annotations` is an absent one."""
    pod = copy.deepcopy(pod)
    for holder in (pod["metadata"], *pod["spec"]["containers"]):
        for field in ("annotations", "envFrom"):
            if not holder.get(field):
                holder.pop(field, None)
    return pod
