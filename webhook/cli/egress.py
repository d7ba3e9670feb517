"""`egress`: which policies a namespace should have, and what a pod can reach."""

import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from webhook.cli.document import BadInputError
from webhook.cli.egress_question import Question, with_question
from webhook.cli.egress_walk import walk
from webhook.cli.manifests import as_yaml
from webhook.egress.engines.detect import Engine
from webhook.egress.engines.render import render
from webhook.egress.mode import EgressMode, narrowed
from webhook.egress.reasons import EgressReason, Finding
from webhook.egress.shadow import PolicyPlan, additive
from webhook.injection.names import EGRESS_LABEL


@click.group()
def egress() -> None:
    """Say which policies let task pods reach the tracking server, and why."""


@egress.command()
@with_question
@click.option(
    "-o",
    "--output",
    type=click.Choice(["tree", "yaml"]),
    default="tree",
    show_default=True,
    help="yaml prints the policies as the companion would write them.",
)
@click.option(
    "--engine",
    type=click.Choice([engine.value for engine in Engine]),
    help="Print, as YAML, what the owner of another engine has to add instead.",
)
def plan(*, question: Question, output: str, engine: str | None) -> None:
    """Show what would be written for each namespace, and why.

    A policy of ours selects only pods that another policy isolates already, so it
    adds permissions and takes none away; where nothing isolates, nothing is written.
    Without a namespace it is about the labeled ones, or about all where none is.

    \b
    Examples:
      tracking-injector egress plan
      tracking-injector egress plan -n team-a -o yaml
      tracking-injector egress plan -n team-a --engine cilium
      tracking-injector egress plan -f policies.yaml --secret tracking.yaml \\
        --address mlflow.example.com=203.0.113.7 --nameserver 10.0.0.10

    \b
    Exit codes:
      0  planned, whatever the plan is
      2  bad arguments, or input that is no manifest
    """  # noqa: D301 - \b is the character that click looks for
    spaces = [question.namespace] if question.namespace else question.scene.compute()
    if engine is not None:
        advice = [
            body
            for name in spaces
            for body in render(Engine(engine), question.need(name))
        ]
        click.echo(as_yaml(advice) if advice else "", nl=False)
        return
    plans = [_plan(question, name) for name in spaces]
    if output == "yaml":
        bodies = [own.manifest() for made, _ in plans for own in made.policies]
        click.echo(as_yaml(bodies) if bodies else "", nl=False)
        for line in sorted({f.message for _, findings in plans for f in findings}):
            click.echo(line, err=True)
        return
    console = Console(highlight=False, soft_wrap=True)
    for made, findings in plans:
        console.print(_tree(made))
        for finding in findings:
            click.echo(f"  {finding.reason}: {finding.message}")
    for name, unseen in question.scene.others.engines.items():
        if unseen:
            listed = ", ".join(unseen)
            click.echo(f"{name} is here; its {listed} may not be listed.", err=True)


@egress.command()
@click.argument("pod")
@with_question
def check(*, question: Question, pod: str) -> None:
    """Walk from a pod to the tracking server through every policy, without a packet.

    Says for each address and port, DNS included: which policies isolate the pod, which
    rule permits the packet or that none does, and whether the other end lets it in.

    \b
    Examples:
      tracking-injector egress check ray-worker-0 -n team-a
      tracking-injector egress check p -n a -f all.yaml --secret tracking.yaml

    \b
    Exit codes:
      0  every way is open
      1  one is not, or there is nothing to reach
      2  bad arguments, no such pod, or input that is no manifest
    """  # noqa: D301 - \b is the character that click looks for
    space = question.namespace or "default"
    found = question.scene.pod(space, pod)
    if found is None:
        raise BadInputError(f"There is no pod {pod} in namespace {space}.")
    findings, reached = question.reach(space)
    legs = list(walk(question.scene, found, reached))
    table = Table("TO", "OPEN", "WHY", box=None, pad_edge=False)
    for leg in legs:
        table.add_row(leg.to, "yes" if leg.is_open else "no", leg.why)
    Console(highlight=False, soft_wrap=True).print(table)
    for finding in findings:
        click.echo(f"{finding.reason}: {finding.message}", err=True)
    sys.exit(0 if legs and all(leg.is_open for leg in legs) else 1)


def _plan(question: Question, namespace: str) -> tuple[PolicyPlan, tuple[Finding, ...]]:
    label = question.scene.labels.get(namespace, {}).get(EGRESS_LABEL)
    if narrowed(EgressMode.ADDITIVE, label) is EgressMode.OFF:
        return PolicyPlan(namespace, EgressReason.SWITCHED_OFF), ()
    findings, found = question.reach(namespace)
    policies = question.scene.policies_of(namespace)
    return additive(namespace, policies, found.rules), findings


def _tree(made: PolicyPlan) -> Tree:
    tree = Tree(f"{made.namespace}: {made.reason}")
    for own in made.policies:
        owners = ", ".join(name for name, _ in own.owners)
        branch = tree.add(f"{own.name}, on top of {owners}")
        for rule in own.manifest()["spec"]["egress"]:
            ports = ", ".join(f"{p['protocol']}/{p['port']}" for p in rule["ports"])
            for peer in rule["to"]:
                branch.add(f"{_words(peer)} {ports}")
    return tree


def _words(peer: Mapping[str, Any]) -> str:
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"])
    labels = {
        **peer.get("podSelector", {}).get("matchLabels", {}),
        **peer.get("namespaceSelector", {}).get("matchLabels", {}),
    }
    return "pods " + ", ".join(f"{k}={v}" for k, v in sorted(labels.items()))
