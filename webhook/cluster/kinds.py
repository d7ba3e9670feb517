"""The resource types we read or write, as the API server's URLs spell them.

Pure: a `Kind` and an address in, a path out.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type in one version.

    Attributes:
        group: API group; empty for the core group.
        version: such as `v1`.
        name: the kind, such as `Secret`.
        plural: the kind in URLs, such as `secrets`.
        namespaced: whether its objects live in namespaces.
    """

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apiVersion` as objects carry it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL path of one object, or of a collection where `name` is empty.

        An empty namespace addresses a namespaced kind across all namespaces.
        """
        parts = ["apis", self.group] if self.group else ["api"]
        parts.append(self.version)
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        return "/" + "/".join(parts)


NAMESPACE: Final = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
SECRET: Final = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP: Final = Kind("", "v1", "ConfigMap", "configmaps")
POD: Final = Kind("", "v1", "Pod", "pods")
SERVICE: Final = Kind("", "v1", "Service", "services")
EVENT: Final = Kind("", "v1", "Event", "events")
ENDPOINT_SLICE: Final = Kind(
    "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"
)
LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")
NETWORK_POLICY: Final = Kind(
    "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"
)
WEBHOOK_CONFIGURATION: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    namespaced=False,
)
RAY_CLUSTER: Final = Kind("ray.io", "v1", "RayCluster", "rayclusters")
