"""`egress`: which policies a namespace should have, and what a pod can reach."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from ipaddress import ip_network
from pathlib import Path
from typing import IO, Any

import click

from webhook.cli.document import BadInputError
from webhook.cli.egress_check import trace
from webhook.cli.egress_input import (
    EgressInput,
    Flags,
    from_cluster,
    from_manifests,
)
from webhook.cli.errors import told
from webhook.cli.kubeconfig import cluster_options, connect, process_environ
from webhook.cli.manifests import as_yaml
from webhook.cli.options import with_files
from webhook.cli.output import emit, say, with_output
from webhook.cli.source_files import given_sources
from webhook.egress.addresses import Address, read_address
from webhook.egress.baseline import parse_baseline
from webhook.egress.destinations import parse_extra
from webhook.egress.engines.detect import Engine
from webhook.egress.engines.render import render
from webhook.egress.mode import EgressMode
from webhook.egress.own_policy import OwnPolicy
from webhook.egress.plan import NamespacePlan, plan_namespace
from webhook.egress.reasons import WITHOUT_RULE
from webhook.injection.names import MIRROR_SECRET

_OPTIONS = (
    with_files(
        *("-f", "--filename", "files"),
        text="Manifests of policies, Services, EndpointSlices, pods, nodes and"
        " namespaces, instead of a cluster. May be given again.",
    ),
    click.option(
        "-n",
        "--namespace",
        default="",
        help="The namespace; otherwise the labeled ones for a plan, and for a check the"
        " context's, or default.",
    ),
    click.option(
        "--release",
        metavar="NAMESPACE[/NAME]",
        default="",
        help="The release whose settings hold; searched otherwise.",
    ),
    with_files(
        "--secret",
        text="A Secret or ConfigMap with tracking keys, instead of the mirror. Later"
        " ones win.",
    ),
    click.option(
        "--address",
        "pairs",
        multiple=True,
        metavar="NAME=IP",
        help="What a name resolves to, instead of what the companion remembers. May be"
        " given again.",
    ),
    click.option(
        "--host",
        "hosts",
        multiple=True,
        metavar="HOST[:PORT]",
        help="One more host or CIDR to permit. May be given again.",
    ),
    click.option(
        "--nameserver",
        "nameservers",
        multiple=True,
        metavar="IP",
        help="As in a task pod's resolv.conf; as published, or the cluster's DNS"
        " Service, otherwise.",
    ),
    click.option(
        "--mode",
        type=click.Choice([mode.value for mode in EgressMode]),
        help="Of the release; as published, or additive, otherwise.",
    ),
    click.option(
        "--baseline",
        metavar="JSON",
        help="What stays reachable under isolate; as published otherwise.",
    ),
    click.option("--domain", help="The cluster's DNS domain; as published otherwise."),
    cluster_options,
)


def with_input(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its `given`: a cluster, or manifests."""

    @wraps(command)
    def reading(  # noqa: PLR0913 - one for each flag
        *,
        files: tuple[IO[bytes], ...],
        namespace: str,
        release: str,
        secret: tuple[IO[bytes], ...],
        pairs: tuple[str, ...],
        hosts: tuple[str, ...],
        nameservers: tuple[str, ...],
        mode: str | None,
        baseline: str | None,
        domain: str | None,
        kubeconfig: Path | None,
        context: str | None,
        **others: Any,
    ) -> None:
        try:
            settings = {
                "mode": EgressMode(mode) if mode else None,
                "baseline": parse_baseline(baseline, "--baseline")
                if baseline
                else None,
                "domain": domain,
                "nameservers": tuple(map(_address, nameservers)),
            }
            flags = Flags(
                settings={name: value for name, value in settings.items() if value},
                hosts=tuple(parse_extra(host, "--host") for host in hosts),
                known=_known(pairs),
                keys=_keys(secret) if secret else None,
                release=release,
            )
        except ValueError as error:
            raise BadInputError(f"{error}.") from error
        if files:
            given = from_manifests(files, namespace or "default", flags)
            command(given=given, namespace=namespace, **others)
            return
        environ = process_environ()
        access = connect(environ, kubeconfig=kubeconfig, context=context)
        with told(access):
            given = from_cluster(access.resources, flags)
            given = replace(given, home=access.namespace)
            command(given=given, namespace=namespace, **others)

    for option in reversed(_OPTIONS):
        reading = option(reading)
    return reading


@click.group()
def egress() -> None:
    """Say which policies let task pods reach the tracking server, and why."""


@egress.command()
@with_input
@with_output(
    *("tree", "yaml"),
    show_default=True,
    help="yaml prints the policies as the companion would write them.",
)
@click.option(
    "--engine",
    type=click.Choice([engine.value for engine in Engine]),
    help="Print, as YAML, what the owner of another engine has to add instead.",
)
def plan(
    *, given: EgressInput, namespace: str, output: str, engine: str | None
) -> None:
    """Show what would be written for each namespace, and why.

    A policy of ours selects only pods that another policy isolates already, so it
    adds permissions and takes none away; where nothing isolates, nothing is written.
    Without a namespace it is about the labeled ones, or about all where none is. The
    companion's own settings hold, as its status has them; flags take their place.

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
      2  bad arguments, input that is no manifest, or no access
    """  # noqa: D301 - \b is the character that click looks for
    names = [namespace] if namespace else given.compute()
    if engine is not None:
        _echo_yaml(
            [b for name in names for b in render(Engine(engine), given.need(name))]
        )
        return
    plans = {
        name: plan_namespace(given.world, given.of(name), given.options)
        for name in names
    }
    if output == "yaml":
        _echo_yaml([own.manifest() for made in plans.values() for own in made.desired])
        lines = {line for made in plans.values() for line in _notes(made)}
        for line in sorted(lines):
            say(line, err=True)
        return
    for name, made in plans.items():
        for line in _tree(given, name, made):
            say(line)
        for line in _notes(made):
            say(f"  {line}")
    for group in given.world.engines.unread:
        say(f"{group} is served; its objects are not read here.", err=True)
    for other, unseen in given.world.engines.engines.items():
        if unseen:
            listed = ", ".join(unseen)
            say(f"{other} is here; its {listed} may not be listed.", err=True)


@egress.command()
@click.argument("pod")
@with_input
def check(*, given: EgressInput, namespace: str, pod: str) -> None:
    """Trace a pod's way to the tracking server through every policy, without a packet.

    Says for each address and port, DNS included: which policies isolate the pod, which
    rule permits the packet or that none does, and whether the other end lets it in.

    \b
    Examples:
      tracking-injector egress check ray-worker-0 -n team-a
      tracking-injector egress check p -n a -f all.yaml --secret tracking.yaml

    \b
    Exit codes:
      0  every way is open
      1  one is not or is not known, or there is nothing to reach
      2  bad arguments, no such pod, input that is no manifest, or no access
    """  # noqa: D301 - \b is the character that click looks for
    name, pods = namespace or given.home, given.list_pods()
    found = next((p for p in pods if (p.namespace, p.name) == (name, pod)), None)
    if found is None:
        raise BadInputError(f"There is no pod {pod} in namespace {name}.")
    about = given.of(name)
    rules = given.rules(about)
    planned = plan_namespace(given.world, about, given.options)
    policies = [one for there in given.world.policies.values() for one in there]
    hops = list(trace(policies, pods, found, rules.rules))
    rows = [("TO", "OPEN", "WHY")]
    rows += [(hop.to, "yes" if hop.is_open else "no", hop.why) for hop in hops]
    widest = max(len(to) for to, _, _ in rows)
    for to, is_open, why in rows:
        say(f"{to:<{widest}}  {is_open:<4}  {why}")
    findings = sorted({*about.findings, *rules.findings, *planned.findings})
    for finding in findings:
        say(f"{finding.reason}: {finding.message}", err=True)
    unknown = any(finding.reason in WITHOUT_RULE for finding in findings)
    closed = not hops or unknown or not all(hop.is_open for hop in hops)
    sys.exit(1 if closed else 0)


def _echo_yaml(bodies: list[dict[str, Any]]) -> None:
    if bodies:
        emit(as_yaml(bodies))


def _notes(made: NamespacePlan) -> Iterator[str]:
    """Yield what a person has to know besides the policies."""
    for finding in made.findings:
        yield f"{finding.reason}: {finding.message}"
    if made.policies and not made.desired:
        yield f"Mode {made.mode} writes none of them; --mode additive would."


def _tree(given: EgressInput, namespace: str, made: NamespacePlan) -> Iterator[str]:
    """Yield a plan line by line, none of them cut; whoever reads it may."""
    yield f"{namespace}: {made.reason}"
    for own in made.policies:
        last = own is made.policies[-1]
        yield f"{'└' if last else '├'}── {own.name}, {_basis(own)}"
        rows = [
            f"{_words(given, peer)} {', '.join(map(_port, rule['ports']))}"
            for rule in own.manifest()["spec"]["egress"]
            for peer in rule["to"]
        ]
        stem = "    " if last else "│   "
        for row in rows[:-1]:
            yield f"{stem}├── {row}"
        yield from (f"{stem}└── {row}" for row in rows[-1:])


def _port(port: Mapping[str, Any]) -> str:
    return f"{port['protocol']}/{port.get('port', '*')}"


def _basis(own: OwnPolicy) -> str:
    if not own.owners:
        return "of tracking-injector, which closes injected pods to all else"
    return "of tracking-injector, on top of " + ", ".join(
        name for name, _ in own.owners
    )


def _words(given: EgressInput, peer: Mapping[str, Any]) -> str:
    if "ipBlock" in peer:
        network = ip_network(peer["ipBlock"]["cidr"])
        hosts = ", ".join(given.hosts(network))
        return f"{network} ({hosts})" if hosts else str(network)
    labels = {
        **peer.get("podSelector", {}).get("matchLabels", {}),
        **peer.get("namespaceSelector", {}).get("matchLabels", {}),
    }
    return "pods " + (", ".join(f"{k}={v}" for k, v in sorted(labels.items())) or "*")


def _keys(files: tuple[IO[bytes], ...]) -> Mapping[str, str]:
    sources, findings = given_sources((), (), files)
    for finding in findings:
        say(str(finding), err=True)
    return sources.secrets.get(MIRROR_SECRET) or {}


def _known(pairs: tuple[str, ...]) -> Mapping[str, tuple[Address, ...]]:
    known: dict[str, tuple[Address, ...]] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        known[name] = (*known.get(name, ()), _address(text))
    return known


def _address(text: str) -> Address:
    address = read_address(text)
    if address is None:
        raise BadInputError(f"{text!r} is not an IP address.")
    return address
