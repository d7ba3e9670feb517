"""`tracking-injector certs`: look at the webhook's certificates, and rotate them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.table import Table

from certs import bundle
from certs.codec import NewerFormatError
from certs.material import Root
from certs.state import Served
from webhook.cli.connect import cluster_options, connect, now, process_environ
from webhook.cli.keeping import place_of, policy_of
from webhook.cluster import objects
from webhook.cluster.errors import ClusterError, Forbidden, NotFound
from webhook.cluster.kinds import SECRET
from webhook.cluster.ports import Resources
from webhook.companion.certificates.handshake import Address, Handshakes
from webhook.companion.certificates.look import Look, Looker
from webhook.companion.certificates.words import ROTATE_ANNOTATION, Clocks, Place
from webhook.injection.names import FIELD_MANAGER
from webhook.settings import CompanionSettings

_MANAGER: Final = f"{FIELD_MANAGER}-certs"
"""Not the companion's: an apply in its name would drop the content it owns."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Site:
    """Where the certificates are, and how they are read.

    Attributes:
        resources: the port to the cluster.
        place: names of the objects.
        name: what API servers ask the webhook's certificate for.
    """

    resources: Resources
    place: Place
    name: str

    def looker(self) -> Looker:
        """Reads without a memory of earlier looks."""
        return Looker(self.resources, self.place, Clocks(wall=now, steady=None))


def _site_options(command: F) -> F:
    release = click.option(
        "--release",
        default="tracking-injector",
        show_default=True,
        help="Name of the webhook's Service and configuration.",
    )
    namespace = click.option(
        "-n", "--namespace", help="Release namespace; the context's otherwise."
    )
    return cluster_options(release(namespace(command)))


def _site(
    kubeconfig: Path | None, context: str | None, release: str, namespace: str | None
) -> Site:
    access = connect(
        process_environ(), kubeconfig=kubeconfig, context=context, manager=_MANAGER
    )
    home = namespace or access.namespace
    settings = CompanionSettings(webhook=release, tls_secret=f"{release}-tls")
    policy = policy_of(settings, home)
    return Site(access.resources, place_of(settings, home), policy.names[0])


@click.group()
def certs() -> None:
    """Look at the webhook's certificates, and rotate them.

    \b
    Examples:
      tracking-injector certs show -n tracking          what is served and trusted
      tracking-injector certs rotate --now -n tracking  start a rotation
      tracking-injector certs verify -n tracking        shake hands as API servers do

    \b
    Exit codes:
      0  in order, or done
      1  something is not as it should be
      2  bad arguments, no access, or a missing right
    """  # noqa: D301 - \b is the character that click looks for


@certs.command()
@_site_options
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
def show(
    kubeconfig: Path | None,
    context: str | None,
    release: str,
    namespace: str | None,
    output: str,
) -> None:
    """Show the phase, every date, and what each replica serves.

    Needs the right to read both Secrets, the webhook configuration and the
    EndpointSlices, and a way to the replicas' addresses: from outside of the cluster
    they do not answer, and are shown as such.
    """
    site = _site(kubeconfig, context, release, namespace)
    look, served = _observe(site)
    report = _report(look, served, now())
    if output == "json":
        click.echo(json.dumps(report, indent=2))
    else:
        Console().print(*_tables(report), sep="\n")
    raise SystemExit(0 if report["problems"] == [] else 1)


@certs.command()
@_site_options
@click.option("--now", "at_once", is_flag=True, help="Confirms that it shall start.")
def rotate(
    kubeconfig: Path | None,
    context: str | None,
    release: str,
    namespace: str | None,
    *,
    at_once: bool,
) -> None:
    """Ask the companion for a rotation; it takes the same careful steps as ever.

    A rotation under way is finished first. Needs the right to patch the state Secret.
    """
    if not at_once:
        raise click.UsageError("Say --now: a rotation starts within seconds.")
    site = _site(kubeconfig, context, release, namespace)
    request = now().isoformat(timespec="seconds")
    name, home = site.place.state_secret, site.place.namespace
    found = _asking(lambda: site.resources.get(SECRET, name, home))
    meta = {
        "name": name,
        "namespace": home,
        # As a precondition: an apply creates what it does not find.
        "uid": objects.uid(found),
        "annotations": {ROTATE_ANNOTATION: request},
    }
    _asking(lambda: site.resources.apply(SECRET, {"metadata": meta}))
    click.echo(f"Asked for a rotation at {request}; `certs show` tells how it goes.")


@certs.command()
@_site_options
@click.option(
    "--connect",
    "address",
    metavar="HOST:PORT",
    help="Ask this address alone, such as a forwarded port.",
)
def verify(
    kubeconfig: Path | None,
    context: str | None,
    release: str,
    namespace: str | None,
    address: str | None,
) -> None:
    """Shake hands exactly as kube-apiserver does, with every replica.

    HTTP/1.1, the Service's name as server name, and the stored caBundle as the only
    trust.
    """
    site = _site(kubeconfig, context, release, namespace)
    one = _address(address) if address else None
    _, served = _observe(site, one)
    for replica in served:
        word = "trusted" if replica.trusted else "NOT trusted"
        if not replica.leaf:
            word = "no handshake"
        click.echo(f"{replica.replica}  {word}  {replica.leaf[:16]}")
    if not served:
        click.echo("No replica is ready.", err=True)
    raise SystemExit(0 if served and all(one.trusted for one in served) else 1)


def _observe(site: Site, one: Address | None = None) -> tuple[Look, tuple[Served, ...]]:
    look = _asking(site.looker().look)
    replicas = (one,) if one else site.looker().replicas()
    if replicas is None:
        raise click.UsageError(
            f"The EndpointSlices in namespace {site.place.namespace} cannot be listed."
        )
    trust = look.seen.trust
    pem = trust.bundles[0] if trust and trust.bundles else b""
    return look, Handshakes(site.name)(replicas, pem)


Answer = TypeVar("Answer")


def _asking(call: Callable[[], Answer]) -> Answer:
    """The answer, or one sentence that says what is missing."""
    try:
        return call()
    except NotFound as error:
        raise click.UsageError(f"Not found: {error}") from error
    except Forbidden as error:
        raise click.UsageError(f"A right is missing: {error}") from error
    except (ClusterError, NewerFormatError) as error:
        raise click.UsageError(str(error)) from error


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint="--connect")
    return Address(host.strip("[]"), int(port))


def _report(look: Look, served: tuple[Served, ...], at: datetime) -> dict[str, Any]:
    state, trust = look.state, look.seen.trust
    current = state.current
    bundles = trust.bundles if trust else ()
    roots = bundle.union(*map(bundle.parse, bundles))
    problems = [one.detail for one in look.complaints]
    if current is None:
        problems.append("no certificate has been issued yet")
    problems += [
        f"{one.replica} "
        + ("does not serve a trusted certificate" if one.leaf else "does not answer")
        for one in served
        if not one.trusted
    ]
    left = (current.not_after - at).days if current else 0
    return {
        "phase": state.phase.value,
        "generation": current.fingerprint if current else None,
        "notAfter": current.not_after.isoformat() if current else None,
        "daysUntilForcedOutage": left,
        "next": state.next.fingerprint if state.next else None,
        "bundle": [_root(root) for root in roots],
        "replicas": [
            {"address": one.replica, "serves": one.leaf, "trusted": one.trusted}
            for one in served
        ],
        "problems": problems,
    }


def _root(root: Root) -> dict[str, str]:
    return {"root": root.fingerprint, "notAfter": root.not_after.isoformat()}


def _tables(report: dict[str, Any]) -> list[Any]:
    facts = Table(box=None, show_header=False, pad_edge=False)
    rows = ("phase", "generation", "notAfter", "daysUntilForcedOutage", "next")
    for name in rows:
        facts.add_row(name, str(report[name] or "-")[:32])
    trusted = Table("TRUSTED ROOT", "UNTIL", box=None, pad_edge=False)
    for root in report["bundle"]:
        trusted.add_row(root["root"][:16], root["notAfter"])
    replicas = Table("REPLICA", "SERVES", "TRUSTED", box=None, pad_edge=False)
    for one in report["replicas"]:
        replicas.add_row(
            one["address"], one["serves"][:16] or "-", "yes" if one["trusted"] else "no"
        )
    return [facts, trusted, replicas, *report["problems"]]
