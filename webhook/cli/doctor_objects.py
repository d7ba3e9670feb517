"""What doctor keeps of objects: whom API servers call, and what pods of ours bear."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError
from webhook.cluster.interface import Json
from webhook.cluster.metadata import mapping
from webhook.cluster.resources import POD
from webhook.doctor.facts import CalledEntry
from webhook.egress.selector import Selector
from webhook.injection.names import DOMAIN

_HELM: Final = "meta.helm.sh/release-name"
_SPARK: Final = "sparkoperator.k8s.io"
"""How the names of spark-operator's webhooks end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTemplate:
    """What a Deployment's pods bear."""

    labels: Mapping[str, str]
    port: int
    host_network: bool


def pod_template(body: Json) -> PodTemplate:
    """Keep of a Deployment what its pods bear, and their port for API servers."""
    template = body["spec"]["template"]
    ports = template["spec"]["containers"][0].get("ports") or ()
    numbers = [one["containerPort"] for one in ports if one.get("name") == "https"]
    return PodTemplate(
        labels=metadata.labels(template),
        port=numbers[0] if numbers else 8443,
        host_network=bool(template["spec"].get("hostNetwork")),
    )


def called_entries(body: Json) -> tuple[CalledEntry, ...]:
    """Keep of a webhook configuration for which pods it is called, and how."""
    return tuple(_entry(one) for one in body.get("webhooks") or ())


def _entry(raw: Mapping[str, Any]) -> CalledEntry:
    service = (raw.get("clientConfig") or {}).get("service") or {}
    return CalledEntry(
        name=raw["name"],
        namespaces=Selector.parse(raw.get("namespaceSelector") or {}),
        objects=Selector.parse(raw.get("objectSelector") or {}),
        creates_pods=is_called_for_pods(raw),
        failure_policy=raw.get("failurePolicy") or "Fail",
        reinvocation=raw.get("reinvocationPolicy") or "Never",
        side_effects=raw.get("sideEffects") or "",
        path=service.get("path") or "/mutate",
        port=service.get("port") or 443,
    )


def is_called_for_pods(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry of a configuration is called when a pod is created."""
    return any(map(_creates_pods, entry.get("rules") or ()))


def _creates_pods(rule: Mapping[str, Any]) -> bool:
    def has(field: str, *wanted: str) -> bool:
        return bool({"*", *wanted} & set(rule.get(field) or ()))

    return (
        has("apiGroups", "")
        and has("apiVersions", "v1")
        and has("operations", "CREATE")
        and has("resources", "pods", "*/*")
    )


def ours(body: Json) -> str:
    """Return the name of a configuration that has an entry of ours, else nothing."""
    entries = body.get("webhooks") or ()
    ours = any(str(one.get("name")).endswith(f".{DOMAIN}") for one in entries)
    return metadata.key(body).name if ours else ""


def mutates_spark_pods(body: Json) -> bool:
    """Return whether a configuration is spark-operator's, and called for pods."""
    return any(
        str(one.get("name")).endswith(_SPARK) and is_called_for_pods(one)
        for one in body.get("webhooks") or ()
    )


def by_sparks_webhook(body: Json) -> tuple[str, ...]:
    """Return the fields of a SparkApplication that only spark-operator's webhook reads.

    Of them, those that make a difference to a program: variables and mounts.
    """
    spec = mapping(body.get("spec"))
    return tuple(
        f"{role}.{field}"
        for role in ("driver", "executor")
        for field in ("env", "envFrom", "volumeMounts")
        if mapping(spec.get(role)).get(field)
    )


def is_helms(body: Json) -> bool:
    """Return whether Helm itself installed an object."""
    return _HELM in metadata.annotations(body)


def service_selector(body: Json) -> Mapping[str, str]:
    """Return which pods a Service selects; empty for none."""
    found: Mapping[str, str] = (body.get("spec") or {}).get("selector") or {}
    return found


def is_own_right(error: ClusterError) -> bool:
    """Return whether whoever asks may not create pods, so that it says nothing."""
    return f'cannot create resource "{POD.plural}"' in str(error)


def refusal(error: ClusterError) -> str:
    """Return the API server's sentence, without the request in front of it."""
    return str(error).partition(": ")[2] or str(error)
