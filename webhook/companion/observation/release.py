"""Finds the releases of a cluster by the labels that the chart puts on its objects."""

from dataclasses import dataclass, field
from typing import Any, Final

from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Forbidden
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import CONFIG_MAP, WEBHOOK_CONFIGURATION
from webhook.companion.observation.unknown import Unknown
from webhook.injection.names import MANAGED_BY

NAME_LABEL: Final = "app.kubernetes.io/name=tracking-injector"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
_REPORTS: Final = f"{NAME_LABEL},{COMPONENT_LABEL}=companion"
_CONFIGURATIONS: Final = f"{NAME_LABEL},{COMPONENT_LABEL}=webhook"
_INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
_STATUS: Final = "-status"
_LONGEST_LABEL: Final = 63


@dataclass(frozen=True, slots=True, order=True)
class ReleaseName:
    """Where a release is, and what its objects are called.

    Attributes:
        namespace: the release's namespace.
        name: of its webhook, from which all other names are made: the release's own,
            unless overridden.
        instance: what Helm calls it; empty where only the name was given.
    """

    namespace: str
    name: str
    instance: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return it as `--release` takes it."""
        return f"{self.namespace}/{self.name}"

    @property
    def label(self) -> str:
        """Return what its mirrors and policies say of it; empty where not known."""
        if not self.instance:
            return ""
        return f"{self.namespace}.{self.instance}"[:_LONGEST_LABEL].rstrip(".-")

    @property
    def companion(self) -> ObjectKey:
        """Return the address of the companion's Deployment and Lease."""
        return ObjectKey(self.namespace, f"{self.name}-companion")

    @property
    def report(self) -> ObjectKey:
        """Return the address of the ConfigMap with the report."""
        return ObjectKey(self.namespace, self.name + _STATUS)

    @property
    def webhook(self) -> ObjectKey:
        """Return the address of the webhook's Deployment and Service."""
        return ObjectKey(self.namespace, self.name)


def find_releases(
    client: KubeClient, namespace: str = ""
) -> tuple[ReleaseName, ...] | Unknown:
    """Return every release, or why they could not be looked for.

    The reports are looked for first, since a webhook configuration may be gone; then
    the configurations, which say where their Service is.

    Args:
        client: reads the cluster.
        namespace: only releases there; empty means anywhere.
    """
    reports = ListOptions(CONFIG_MAP, namespace=namespace, labels=_REPORTS)
    try:
        return _sorted(
            _reported(body) for body in _listed(client, reports) if _is_report(body)
        )
    except Forbidden as error:
        refused = Unknown.of(error, verb="list", what=_what("configmaps", namespace))
    except ClusterError as error:
        return Unknown.of(error, verb="list", what=_what("configmaps", namespace))
    try:
        found = _listed(
            client, ListOptions(WEBHOOK_CONFIGURATION, labels=_CONFIGURATIONS)
        )
    except Forbidden:
        found = _by_name(client)
        if not found:
            return refused
    except ClusterError:
        return refused
    named = (_configured(body) for body in found)
    return _sorted(one for one in named if one and namespace in ("", one.namespace))


def _by_name(client: KubeClient) -> list[Json]:
    """Return the configuration of the chart's usual name: to get it takes less."""
    try:
        return [client.get(WEBHOOK_CONFIGURATION, MANAGED_BY)]
    except ClusterError:
        return []


def _listed(client: KubeClient, options: ListOptions) -> list[Json]:
    return [body for _, body in client.list(options, dict).items.values()]


def _sorted(found: Any) -> tuple[ReleaseName, ...]:
    return tuple(sorted(set(found)))


def _what(plural: str, namespace: str) -> str:
    return f"{plural} in {namespace or 'all namespaces'}"


def _is_report(body: Json) -> bool:
    return metadata.key(body).name.endswith(_STATUS)


def _reported(body: Json) -> ReleaseName:
    key = metadata.key(body)
    return ReleaseName(key.namespace, key.name.removesuffix(_STATUS), _instance(body))


def _instance(body: Json) -> str:
    return metadata.labels(body).get(_INSTANCE_LABEL, "")


def _configured(body: Json) -> ReleaseName | None:
    """Return the release that a webhook configuration calls."""
    for entry in body.get("webhooks") or ():
        service = (entry.get("clientConfig") or {}).get("service") or {}
        if service.get("namespace") and service.get("name"):
            return ReleaseName(service["namespace"], service["name"], _instance(body))
    return None
