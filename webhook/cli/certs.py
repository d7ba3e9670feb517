"""`tracking-injector certs`: look at the webhook's certificates, and rotate them."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import click

from certs import bundle
from certs.codec import NewerFormatError, decode_pair
from certs.model import Root
from certs.state import ReplicaCertificate
from webhook.cli.certs_view import CertificateView, tables
from webhook.cli.errors import CommandError, told
from webhook.cli.kubeconfig import now
from webhook.cli.output import rendered, whole_console, with_output
from webhook.cli.release import ClusterChoice, with_cluster
from webhook.cluster import metadata
from webhook.cluster.errors import NotFound
from webhook.cluster.interface import Json, KubeClient
from webhook.cluster.resources import SECRET, WEBHOOK_CONFIGURATION, ResourceType
from webhook.companion.certificates.objects import ObjectNames, certificate_policy
from webhook.companion.certificates.observe import Observation, Observer
from webhook.companion.certificates.probe import ReplicaAddress, TlsProber
from webhook.companion.observation.release import ReleaseName
from webhook.injection.names import (
    CERTIFICATES_ANNOTATION,
    FIELD_MANAGER,
    ROTATE_ANNOTATION,
    TLS_SECRET_ANNOTATION,
)
from webhook.settings import CompanionSettings, Issuer
from webhook.uri import MalformedUriError, canonical_host

_MANAGER: Final = f"{FIELD_MANAGER}-certs"
"""Not the companion's: an apply in its name would drop the content it owns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseCertificates:
    """A release's certificates, and how they are read.

    Attributes:
        client: reads and writes objects.
        names: names of the objects.
        server_name: what API servers ask the webhook's certificate for.
        issuer: who issues it.
    """

    client: KubeClient
    names: ObjectNames
    server_name: str
    issuer: Issuer


def with_release(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its `site`, the release whose certificates it is about."""

    @with_cluster
    @functools.wraps(command)
    def at_site(*, choice: ClusterChoice, **others: Any) -> None:
        access = choice.connect(_MANAGER)
        with told(access):
            release = choice.release(access)
            try:
                command(site=_site(access.resources, release), **others)
            except NewerFormatError as error:
                raise CommandError(str(error)) from error

    return at_site


def _site(client: KubeClient, place: ReleaseName) -> ReleaseCertificates:
    release, home = place.name, place.namespace
    said = metadata.annotations(_found(client, WEBHOOK_CONFIGURATION, release))
    issuer = said.get(CERTIFICATES_ANNOTATION, Issuer.COMPANION)
    if issuer not in set(Issuer):
        raise click.UsageError(
            f"The annotation {CERTIFICATES_ANNOTATION} of MutatingWebhookConfiguration "
            f"{release} says {issuer!r}; known are {', '.join(Issuer)}."
        )
    secret = said.get(TLS_SECRET_ANNOTATION, f"{release}-tls")
    settings = CompanionSettings(webhook_name=release, tls_secret=secret)
    return ReleaseCertificates(
        client=client,
        names=ObjectNames.from_settings(settings, home),
        server_name=certificate_policy(settings, home).names[0],
        issuer=Issuer(issuer),
    )


def _found(
    client: KubeClient, kind: ResourceType, name: str, namespace: str = ""
) -> Json:
    """Return an object; empty when it does not exist."""
    try:
        return client.get(kind, name, namespace)
    except NotFound:
        return {}


@click.group()
def certs() -> None:
    """Look at the webhook's certificates, and rotate them.

    \b
    Examples:
      kubectl tracking certs show          what is served and trusted
      kubectl tracking certs rotate --now  start a rotation
      kubectl tracking certs verify        shake hands as API servers do

    \b
    Exit codes:
      0  in order, or done
      1  something is not as it should be
      2  bad arguments, no access, or a missing right
    """  # noqa: D301 - \b is the character that click looks for


@certs.command()
@with_release
@with_output("table", "json")
def show(*, site: ReleaseCertificates, output: str) -> None:
    """Show the phase, every date, and what each replica serves.

    Also where cert-manager or you issue them: the first line says who does.

    Needs the right to read both Secrets, the webhook configuration and the
    EndpointSlices, and a way to the replicas' addresses: from outside of the cluster
    they do not answer, and are shown as such.
    """
    observation, served = _observe(site)
    view = CertificateView(
        issuer=site.issuer,
        secret=f"{site.names.namespace}/{site.names.pair_secret}",
        observation=observation,
        leaf=_leaf(site),
        served=served,
        now=now(),
    )
    report = view.report()
    if output == "json":
        click.echo(json.dumps(report, indent=2))
    else:
        click.echo(rendered(whole_console(), *tables(report)), nl=False)
    raise SystemExit(0 if report["problems"] == [] else 1)


def _confirm(_context: click.Context, _option: click.Parameter, given: bool) -> None:
    if not given:
        raise click.UsageError("Say --now: a rotation starts within seconds.")


@certs.command()
@with_release
@click.option(
    "--now",
    is_flag=True,
    expose_value=False,
    callback=_confirm,
    help="Confirms that it shall start.",
)
def rotate(*, site: ReleaseCertificates) -> None:
    """Ask the companion for a rotation; it takes the same careful steps as ever.

    A rotation under way is finished first. Needs the right to patch the state Secret.
    """
    if site.issuer is not Issuer.COMPANION:
        raise click.UsageError(_ELSEWHERE[site.issuer].format(site.names.pair_secret))
    request = now().isoformat(timespec="seconds")
    name, home = site.names.state_secret, site.names.namespace
    found = site.client.get(SECRET, name, home)
    meta = {
        "name": name,
        "namespace": home,
        # As a precondition: an apply creates what it does not find.
        "uid": metadata.uid(found),
        "annotations": {ROTATE_ANNOTATION: request},
    }
    site.client.apply(SECRET, {"metadata": meta})
    click.echo(f"Asked for a rotation at {request}; `certs show` tells how it goes.")


@certs.command()
@with_release
@click.option(
    "--connect",
    "address",
    metavar="HOST:PORT",
    help="Ask this address alone, such as a forwarded port.",
)
def verify(*, site: ReleaseCertificates, address: str | None) -> None:
    """Shake hands exactly as kube-apiserver does, with every replica.

    HTTP/1.1, the Service's name as server name, and the stored caBundle as the only
    trust.
    """
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


def _observe(
    site: ReleaseCertificates, one: ReplicaAddress | None = None
) -> tuple[Observation, tuple[ReplicaCertificate, ...]]:
    observer = Observer(client=site.client, names=site.names, clock=now)
    observation = observer.observe()
    replicas = (one,) if one else observer.replicas()
    return observation, TlsProber(site.server_name)(replicas, observation.bundle)


_ELSEWHERE: Final = {
    Issuer.CERT_MANAGER: "cert-manager issues this certificate: ask it for a new one, "
    "such as by `cmctl renew {}`.",
    Issuer.PROVIDED: "You provide this certificate: first let certificates.provided."
    "caBundle hold the new root beside the old one, then replace the content of "
    "Secret {}.",
}


def _leaf(site: ReleaseCertificates) -> Root | None:
    """Return the certificate that replicas mount, whoever put it there."""
    names = site.names
    body = _found(site.client, SECRET, names.pair_secret, names.namespace)
    return bundle.first(decode_pair(body.get("data")).leaf)


def _address(text: str) -> ReplicaAddress:
    host, _, port = text.rpartition(":")
    try:
        known = canonical_host(host.removeprefix("[").removesuffix("]"))
    except MalformedUriError:
        known = ""
    if not known or not port.isdecimal():
        raise click.BadParameter("it is not HOST:PORT", param_hint="--connect")
    return ReplicaAddress(known, int(port))
