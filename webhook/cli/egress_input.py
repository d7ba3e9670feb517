"""What the `egress` commands plan from: a cluster, or manifests.

On a cluster the companion's status has the settings, its ConfigMap of addresses what
names resolve to, and a namespace's mirror its keys. From manifests all of that is
given by flags.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any

import click

from webhook.cli.document import BadInputError
from webhook.cli.egress_objects import KINDS, ObjectReader
from webhook.cli.errors import CommandError
from webhook.cli.manifests import objects, read
from webhook.cli.output import say
from webhook.cli.release import releases
from webhook.cluster.errors import ClusterError, NotFound
from webhook.cluster.interface import KubeClient, ListOptions
from webhook.cluster.resources import (
    CONFIG_MAP,
    SECRET,
    ResourceType,
)
from webhook.companion.egress.engine_detection import detect_engines
from webhook.companion.observation.release import ReleaseName
from webhook.companion.observation.unknown import Unknown
from webhook.companion.projections import (
    ComputeNamespace,
)
from webhook.companion.report import FIELD
from webhook.egress.addresses import Address, Network
from webhook.egress.destinations import Destination, derive, load_former
from webhook.egress.dns_cache import CachedName, addresses, findings, load_cache
from webhook.egress.engines.detect import DetectedEngines
from webhook.egress.engines.render import EgressNeed
from webhook.egress.network_policy import Pod
from webhook.egress.options import EgressOptions
from webhook.egress.plan import EgressWorld, NamespaceInput
from webhook.egress.rules import NAMESPACE_NAME_LABEL, EgressRules, rules_for
from webhook.egress.services import ServiceIndex
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL, MIRROR_SECRET
from webhook.mirror.decide import NamespaceFilter

Json = dict[str, Any]
Keys = Callable[[str], Mapping[str, str] | None]
"""The tracking keys of a namespace; None while it has none from the companion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line says instead of the cluster.

    Attributes:
        settings: Fields of `EgressOptions` to put in the place of the published ones.
        hosts: Destinations besides those of the settings.
        known: Addresses by host name.
        keys: The tracking keys of every namespace, instead of the mirrors'.
        release: Namespace, or namespace and name, of the release to ask.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    hosts: tuple[Destination, ...] = ()
    known: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    keys: Mapping[str, str] | None = None
    release: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressInput:
    """What a plan is made from, for any namespace.

    Attributes:
        world: What the companion would know of the cluster.
        options: The settings in effect.
        namespaces: Every namespace there is.
        keys: The tracking keys of a namespace.
        former: Servers that a profile's keys named until lately.
        home: The namespace of a pod that is named without one.
        list_pods: Reads all pods; only a check needs them.
    """

    world: EgressWorld
    options: EgressOptions
    namespaces: Mapping[str, ComputeNamespace]
    keys: Keys
    list_pods: Callable[[], Sequence[Pod]]
    former: Mapping[str, tuple[Destination, ...]] = field(default_factory=dict)
    home: str = "default"

    @property
    def _index(self) -> ServiceIndex:
        index = self.world.index
        return replace(index, nodes=index.nodes or frozenset())

    def compute(self) -> list[str]:
        """Return the namespaces that the companion plans for; all where none is."""
        scope = NamespaceFilter(self.options.allowed, self.options.excluded)
        labeled = [
            name
            for name, one in self.namespaces.items()
            if one.labels.get(INJECT_LABEL) == INJECT_ENABLED
        ]
        everywhere = {*self.namespaces, *self.world.policies}
        return sorted(
            name
            for name in labeled or everywhere
            if scope.exclusion(name) is None
            and not (name in self.namespaces and self.namespaces[name].terminating)
        )

    def of(self, namespace: str) -> NamespaceInput:
        """Return what is known of one namespace."""
        there, keys = self.namespaces.get(namespace), self.keys(namespace)
        derived = None if keys is None else derive(keys, self.options.extra)
        return NamespaceInput(
            name=namespace,
            labels=there.labels if there else {NAMESPACE_NAME_LABEL: namespace},
            egress_label=there.egress if there else None,
            destinations=derived.destinations if derived else None,
            former=self.former.get(there.profile, ()) if there else (),
            findings=derived.findings if derived else (),
        )

    def rules(self, namespace: NamespaceInput) -> EgressRules:
        """Return how its tracking server is reached, whatever the mode.

        Endpoints' addresses, which a plan permits where nodes may not be seen, are a
        precaution: nobody has to permit them.
        """
        places, servers = namespace.destinations or (), self.options.nameservers
        index, known = self._index, self.world.addresses
        return rules_for(places, namespace.name, index, known, servers)

    def hosts(self, network: Network) -> list[str]:
        """Return what a range of addresses stands for, as far as it is known."""
        index = self.world.index
        told = {
            name
            for name, known in self.world.addresses.items()
            if any(address in network for address in known)
        }
        told |= {"nameserver" for a in self.options.nameservers if a in network}
        told |= {
            f"Service {one.namespace}/{one.name}"
            for address, one in index.owners.items()
            if address in network
        }
        return sorted(told)

    def need(self, name: str) -> EgressNeed:
        """Return what another engine has to be told about a namespace."""
        namespace, index = self.of(name), self._index
        places, servers = namespace.destinations or (), self.options.nameservers
        named = {
            (host, place.port)
            for place in places
            for host in rules_for((place,), name, index, {}, servers).names
        }
        return EgressNeed(
            namespace=name,
            named=tuple(sorted(named)),
            fixed=rules_for(places, name, index, {}, servers).rules,
            rules=self.rules(namespace).rules,
        )


def from_manifests(
    files: Iterable[IO[bytes]], namespace: str, flags: Flags
) -> EgressInput:
    """Read manifests; objects that have no part in it are passed over.

    Args:
        files: YAML or JSON.
        namespace: Of what names none.
        flags: Settings, keys and addresses, none of which a manifest has.

    Raises:
        BadInputError: A file is no manifest, or an object cannot be read.
    """
    found: dict[ResourceType, list[Json]] = {kind: [] for kind in KINDS.values()}
    rest: list[Json] = []
    for one in (o for f in files for document in read(f) for o in objects(document)):
        kind = next((k for key, k in KINDS.items() if one.is_a(*key)), None)
        if kind is not None and one.version not in ("", kind.version):
            message = f"is not read here; {kind.group or 'v1'}/{kind.version} is"
            raise one.field.at("apiVersion").error(message)
        body = one.field.map()
        body["metadata"] = one.field.at("metadata").map_or_empty()
        if kind is not None:
            body["metadata"]["name"] = one.name
        if kind is not None and kind.namespaced:
            home = one.field.at("metadata").at("namespace").text()
            body["metadata"]["namespace"] = home or namespace
        (found[kind] if kind else rest).append(body)
    reader = ObjectReader(list_=lambda kind: found[kind], strict=True)
    pods = reader.pods()
    options, engines = EgressOptions(), DetectedEngines.among(rest, namespace)
    domain = flags.settings.get("domain", options.domain)
    world = reader.world(domain, flags.known, {}, engines)
    return EgressInput(
        world=world,
        options=_effective(options, flags, world),
        namespaces=reader.namespaces(),
        keys=lambda name: _given(name, flags.keys),
        list_pods=lambda: pods,
    )


def from_cluster(client: KubeClient, flags: Flags) -> EgressInput:
    """Read what the companion reads, and what it published.

    Raises:
        ClusterError: It cannot be read.
    """
    release = _release(client, flags.release)
    report = _report(client, release) if release else {}
    options, profiles = _published(report), report.get("profiles")

    def listed(kind: ResourceType) -> list[Json]:
        items = client.list(ListOptions(kind), dict).items
        return [body for _, (_, body) in sorted(items.items())]

    reader = ObjectReader(list_=listed, strict=False)
    spaces = reader.namespaces()

    def keys(namespace: str) -> Mapping[str, str] | None:
        if flags.keys is not None:
            return flags.keys
        profile = spaces[namespace].profile if namespace in spaces else None
        if profiles and profile and profile not in profiles:
            return None  # the companion has nothing to give it
        return mirrored_keys(client, namespace)

    cached, former = _remembered(client, release, options) if release else ({}, {})
    known = {n: addresses(one, options.limits) for n, one in cached.items()}
    world = reader.world(
        flags.settings.get("domain", options.domain),
        known | dict(flags.known),
        {n: findings(n, one, options.limits) for n, one in cached.items()},
        detect_engines(client),
    )
    return EgressInput(
        world=world,
        options=_effective(options, flags, world),
        namespaces=spaces,
        keys=keys,
        former=former,
        list_pods=reader.pods,
    )


def _effective(
    options: EgressOptions, flags: Flags, world: EgressWorld
) -> EgressOptions:
    """Return the settings with flags in their place, and the DNS where none says."""
    extra = (*options.extra, *flags.hosts)
    servers = options.nameservers or world.index.nameservers
    return replace(options, **{"nameservers": servers, **flags.settings}, extra=extra)


def _given(namespace: str, keys: Mapping[str, str] | None) -> Mapping[str, str]:
    if keys is None:
        raise BadInputError(f"Give --secret: no manifest says what {namespace} has.")
    return keys


def _release(client: KubeClient, asked: str) -> ReleaseName | None:
    """Return the release to ask; None where there is none and none was asked for."""
    found = releases(client, asked)
    if isinstance(found, Unknown):
        raise CommandError(f"{found.sentence} Say --release NAMESPACE/NAME.")
    if asked and not found:
        raise CommandError(f"No release in {asked}: is the chart installed?")
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise CommandError(f"Releases are {names}; say --release NAMESPACE/NAME.")
    return found[0] if found else None


def _report(client: KubeClient, release: ReleaseName) -> Json:
    try:
        body = client.get(CONFIG_MAP, release.report.name, release.namespace)
        found: Json = json.loads((body.get("data") or {}).get(FIELD) or "{}")
    except (NotFound, ValueError):
        return {}
    return found


def _published(report: Json) -> EgressOptions:
    settings = (report.get("settings") or {}).get("egress")
    if settings is None:
        message = "No companion publishes its settings: defaults and flags hold."
        say(message, err=True)
        return EgressOptions()
    try:
        return EgressOptions.from_json(settings)
    except ValueError as error:
        message = f"{error}: use the command of the installed version."
        raise click.ClickException(message) from error


def _remembered(
    client: KubeClient, release: ReleaseName, options: EgressOptions
) -> tuple[Mapping[str, CachedName], Mapping[str, tuple[Destination, ...]]]:
    """Return the names that the companion has looked up, and servers of late.

    Where that cannot be read, there are none.
    """
    try:
        body = client.get(CONFIG_MAP, options.dns_cache, release.namespace)
        return load_cache(body), load_former(body)
    except (ClusterError, ValueError) as error:
        say(f"Addresses of names are not known: {error}.", err=True)
        return {}, {}


def mirrored_keys(client: KubeClient, namespace: str) -> Mapping[str, str] | None:
    """Return the keys and values of a namespace's mirror; None without one.

    Raises:
        ClusterError: it cannot be read.
    """
    try:
        body = client.get(SECRET, MIRROR_SECRET, namespace)
    except NotFound:
        return None
    return {
        key: base64.b64decode(text).decode("utf-8", "replace")
        for key, text in (body.get("data") or {}).items()
    }
