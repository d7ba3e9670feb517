"""`egress`: which policies a namespace should have, and what a pod can reach."""

import base64
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from webhook.cli.connect import cluster_options, connect, process_environ
from webhook.cli.egress_scene import Scene, from_cluster, from_manifests
from webhook.cli.egress_walk import walk
from webhook.cli.fields import BadInputError
from webhook.cli.given import given_sources
from webhook.cli.manifests import as_yaml
from webhook.cluster.errors import ClusterError, NotFound
from webhook.cluster.kinds import SECRET
from webhook.egress.destination import Derived, derive, parse_extra
from webhook.egress.model import Address
from webhook.egress.policy import Plan, additive
from webhook.egress.reach import Reach, reach
from webhook.egress.reasons import Finding
from webhook.injection.names import MIRROR_SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What both commands are asked about.

    Attributes:
        namespace: The one asked about; empty means all.
        keys: The tracking keys of a namespace.
        known: Addresses by host name.
        nameservers: As task pods have them.
    """

    scene: Scene
    namespace: str
    keys: Callable[[str], Mapping[str, str]]
    known: Mapping[str, tuple[Address, ...]]
    nameservers: tuple[Address, ...]
    hosts: tuple[str, ...]

    def reach(self, namespace: str) -> tuple[Derived, Reach]:
        """What pods of a namespace should reach."""
        try:
            extra = [parse_extra(host, "--host") for host in self.hosts]
        except ValueError as error:
            raise BadInputError(f"{error}.") from error
        need = derive(self.keys(namespace), extra)
        found = reach(
            need.destinations,
            namespace,
            self.scene.catalog,
            self.known,
            self.nameservers,
        )
        return need, found


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to look.

    Attributes:
        mirror: The keys that a namespace's pods have.
    """

    scene: Scene
    namespace: str
    mirror: Callable[[str], Mapping[str, str]]


def _with_place(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its `place`: manifests, or a cluster."""

    @click.option(
        "-f",
        "--filename",
        "files",
        type=click.File("rb"),
        multiple=True,
        metavar="FILE",
        help="Manifests of policies, Services, EndpointSlices, pods and namespaces,"
        " instead of a cluster. May be given again.",
    )
    @click.option(
        "-n", "--namespace", default="", help="The namespace; all that there are."
    )
    @cluster_options
    @wraps(command)
    def placed(
        *,
        files: tuple[IO[bytes], ...],
        namespace: str,
        kubeconfig: Path | None,
        context: str | None,
        **others: Any,
    ) -> None:
        try:
            if files:
                scene = from_manifests(files, namespace or "default")
                place = Place(scene=scene, namespace=namespace, mirror=_no_keys)
            else:
                access = connect(
                    process_environ(), kubeconfig=kubeconfig, context=context
                )
                place = Place(
                    scene=from_cluster(access.resources),
                    namespace=namespace,
                    mirror=_mirrors(access.resources),
                )
            command(place=place, **others)
        except ClusterError as error:
            raise click.ClickException(str(error)) from error

    return placed


def _with_question(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its `question`."""

    @_with_place
    @click.option(
        "--secret",
        type=click.File("rb"),
        multiple=True,
        metavar="FILE",
        help="A Secret or ConfigMap with tracking keys, instead of the mirror. Later"
        " ones win.",
    )
    @click.option(
        "--address",
        "pairs",
        multiple=True,
        metavar="NAME=IP",
        help="What a name resolves to. May be given again.",
    )
    @click.option(
        "--nameserver",
        multiple=True,
        metavar="IP",
        help="As in a task pod's resolv.conf; the Service kube-dns otherwise.",
    )
    @click.option(
        "--host",
        "hosts",
        multiple=True,
        metavar="HOST[:PORT]",
        help="One more host or CIDR to permit. May be given again.",
    )
    @wraps(command)
    def asked(
        *,
        place: Place,
        secret: tuple[IO[bytes], ...],
        pairs: tuple[str, ...],
        nameserver: tuple[str, ...],
        hosts: tuple[str, ...],
        **others: Any,
    ) -> None:
        given = tuple(map(_address, nameserver))
        question = Question(
            scene=place.scene,
            namespace=place.namespace,
            keys=_only(_given(secret)) if secret else place.mirror,
            known=_known(pairs),
            nameservers=given or place.scene.nameservers(),
            hosts=hosts,
        )
        command(question=question, **others)

    return asked


@click.group()
def egress() -> None:
    """Say which policies let task pods reach the tracking server, and why."""


@egress.command()
@_with_question
@click.option(
    "-o",
    "--output",
    type=click.Choice(["tree", "yaml"]),
    default="tree",
    show_default=True,
    help="yaml prints the policies as the companion would write them.",
)
def plan(*, question: Question, output: str) -> None:
    """Show what would be written for each namespace, and why.

    A policy of ours selects only pods that another policy isolates already, so it
    adds permissions and takes none away; where nothing isolates, nothing is written.

    \b
    Examples:
      tracking-injector egress plan
      tracking-injector egress plan -n team-a -o yaml
      tracking-injector egress plan -f policies.yaml --secret tracking.yaml \\
        --address mlflow.example.com=203.0.113.7 --nameserver 10.0.0.10

    \b
    Exit codes:
      0  planned, whatever the plan is
      2  bad arguments, or input that is no manifest
    """  # noqa: D301 - \b is the character that click looks for
    spaces = [question.namespace] if question.namespace else question.scene.namespaces()
    plans: list[tuple[Plan, tuple[Finding, ...]]] = []
    for name in spaces:
        need, found = question.reach(name)
        policies = question.scene.policies_of(name)
        plans.append(
            (additive(name, policies, found.rules), need.findings + found.findings)
        )
    if output == "yaml":
        bodies = [own.manifest() for made, _ in plans for own in made.policies]
        click.echo(as_yaml(bodies) if bodies else "", nl=False)
        for line in sorted({f.message for _, findings in plans for f in findings}):
            click.echo(line, err=True)
        return
    console = Console(highlight=False, soft_wrap=True)
    for made, findings in plans:
        console.print(_tree(made, findings))


@egress.command()
@click.argument("pod")
@_with_question
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
    need, reached = question.reach(space)
    legs = list(walk(question.scene, found, reached))
    table = Table("TO", "OPEN", "WHY", box=None, pad_edge=False)
    for leg in legs:
        table.add_row(leg.to, "yes" if leg.is_open else "no", leg.why)
    Console(highlight=False, soft_wrap=True).print(table)
    for finding in need.findings + reached.findings:
        click.echo(f"{finding.reason}: {finding.message}", err=True)
    sys.exit(0 if legs and all(leg.is_open for leg in legs) else 1)


def _tree(made: Plan, findings: tuple[Finding, ...]) -> Tree:
    tree = Tree(f"{made.namespace}: {made.reason}")
    for own in made.policies:
        owners = ", ".join(name for name, _ in own.owners)
        branch = tree.add(f"{own.name}, on top of {owners}")
        for rule in own.manifest()["spec"]["egress"]:
            ports = ", ".join(f"{p['protocol']}/{p['port']}" for p in rule["ports"])
            for peer in rule["to"]:
                branch.add(f"{_words(peer)} {ports}")
    for finding in findings:
        tree.add(f"{finding.reason}: {finding.message}")
    return tree


def _words(peer: Mapping[str, Any]) -> str:
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"])
    labels = {
        **peer.get("podSelector", {}).get("matchLabels", {}),
        **peer.get("namespaceSelector", {}).get("matchLabels", {}),
    }
    return "pods " + ", ".join(f"{k}={v}" for k, v in sorted(labels.items()))


def _given(files: tuple[IO[bytes], ...]) -> Mapping[str, str]:
    sources, findings = given_sources((), (), files)
    for finding in findings:
        click.echo(str(finding), err=True)
    return sources.secrets.get(MIRROR_SECRET) or {}


def _only(keys: Mapping[str, str]) -> Callable[[str], Mapping[str, str]]:
    return lambda _: keys


def _no_keys(namespace: str) -> Mapping[str, str]:
    raise BadInputError(f"Give --secret: no manifest says what {namespace} has.")


def _mirrors(resources: Any) -> Callable[[str], Mapping[str, str]]:
    def mirror(namespace: str) -> Mapping[str, str]:
        try:
            body = resources.get(SECRET, MIRROR_SECRET, namespace)
        except NotFound:
            return {}
        data = body.get("data") or {}
        return {
            key: base64.b64decode(text).decode("utf-8", "replace")
            for key, text in data.items()
        }

    return mirror


def _known(pairs: tuple[str, ...]) -> Mapping[str, tuple[Address, ...]]:
    known: dict[str, tuple[Address, ...]] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        known[name] = (*known.get(name, ()), _address(text))
    return known


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise BadInputError(f"{text!r} is not an IP address.") from None
