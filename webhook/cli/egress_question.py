"""What the `egress` commands are asked about: a place, keys, and what names resolve to.

From manifests everything has to be given; on a cluster the mirror has the keys, and
the companion's memory has the addresses.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any

import click

from webhook.cli.document import BadInputError
from webhook.cli.egress_scene import Scene, from_cluster, from_manifests
from webhook.cli.kubeconfig import cluster_options, connect, process_environ
from webhook.cli.source_files import given_sources
from webhook.cluster.errors import ClusterError, NotFound
from webhook.cluster.interface import KubeClient, ListOptions
from webhook.cluster.resources import CONFIG_MAP, SECRET
from webhook.companion.egress.names import FIELD
from webhook.egress.destinations import DerivedDestinations, derive, parse_extra
from webhook.egress.dns_cache import DnsLimits, addresses, load
from webhook.egress.engines.render import EgressNeed
from webhook.egress.ingress import ClientNamespace, blocked_destinations
from webhook.egress.network_policy import Address
from webhook.egress.reasons import Finding
from webhook.egress.rules import EgressRules, names_to_look_up, rules_for
from webhook.injection.names import MIRROR_SECRET
from webhook.settings import CompanionSettings

Known = Mapping[str, tuple[Address, ...]]


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
    known: Known
    nameservers: tuple[Address, ...]
    hosts: tuple[str, ...]

    def reach(self, namespace: str) -> tuple[tuple[Finding, ...], EgressRules]:
        """What is found about a namespace, and what its pods should reach."""
        need = self._derive(namespace)
        found = self._reach(namespace, need, self.known)
        caller = ClientNamespace(namespace, self.scene.labels.get(namespace, {}))
        closed = blocked_destinations(
            need.destinations, caller, self.scene.catalog, self.scene.by_namespace()
        )
        others = tuple(self.scene.others.findings(namespace))
        return need.findings + found.findings + closed + others, found

    def need(self, namespace: str) -> EgressNeed:
        """The same as another engine has to be told it."""
        need, catalog = self._derive(namespace), self.scene.catalog
        named = {
            (host, place.port)
            for place in need.destinations
            for host in names_to_look_up([place], namespace, catalog)
        }
        fixed = self._reach(namespace, need, {})
        whole = self._reach(namespace, need, self.known)
        return EgressNeed(namespace, tuple(sorted(named)), fixed.rules, whole.rules)

    def _derive(self, namespace: str) -> DerivedDestinations:
        try:
            extra = [parse_extra(host, "--host") for host in self.hosts]
        except ValueError as error:
            raise BadInputError(f"{error}.") from error
        return derive(self.keys(namespace), extra)

    def _reach(
        self, namespace: str, need: DerivedDestinations, known: Known
    ) -> EgressRules:
        servers, catalog = self.nameservers, self.scene.catalog
        return rules_for(need.destinations, namespace, catalog, known, servers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to look.

    Attributes:
        mirror: The keys that a namespace's pods have.
        known: What the companion remembers of names.
    """

    scene: Scene
    namespace: str
    mirror: Callable[[str], Mapping[str, str]]
    known: Known


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
                place = Place(
                    scene=scene, namespace=namespace, mirror=_no_keys, known={}
                )
            else:
                access = connect(
                    process_environ(), kubeconfig=kubeconfig, context=context
                )
                place = Place(
                    scene=from_cluster(access.resources, access.resources),
                    namespace=namespace,
                    mirror=_mirrors(access.resources),
                    known=_remembered(access.resources),
                )
            command(place=place, **others)
        except ClusterError as error:
            raise click.ClickException(str(error)) from error

    return placed


def with_question(command: Callable[..., None]) -> Callable[..., None]:
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
        help="What a name resolves to, instead of what the companion remembers. May be"
        " given again.",
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
            known={**place.known, **_known(pairs)},
            nameservers=given or place.scene.nameservers(),
            hosts=hosts,
        )
        command(question=question, **others)

    return asked


def _given(files: tuple[IO[bytes], ...]) -> Mapping[str, str]:
    sources, findings = given_sources((), (), files)
    for finding in findings:
        click.echo(str(finding), err=True)
    return sources.secrets.get(MIRROR_SECRET) or {}


def _only(keys: Mapping[str, str]) -> Callable[[str], Mapping[str, str]]:
    return lambda _: keys


def _no_keys(namespace: str) -> Mapping[str, str]:
    raise BadInputError(f"Give --secret: no manifest says what {namespace} has.")


def _mirrors(resources: KubeClient) -> Callable[[str], Mapping[str, str]]:
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


def _remembered(resources: KubeClient) -> Known:
    """What companions of this cluster have looked up, where it can be read."""
    defaults = CompanionSettings()
    selection = ListOptions(CONFIG_MAP, name=defaults.dns_cache_configmap)
    known: dict[str, tuple[Address, ...]] = {}
    try:
        listing = resources.list(selection, lambda body: body.get("data") or {})
        for _, data in listing.items.values():
            for name, raw in json.loads(data.get(FIELD, "{}")).items():
                known[name] = addresses(load(raw), DnsLimits())
    except (ClusterError, ValueError, AttributeError):
        return known
    return known


def _known(pairs: tuple[str, ...]) -> Known:
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
