"""Resource types that the product reads or writes, as URLs spell them.

Pure: a `ResourceType` and an address in, a path out.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class ResourceType:
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
        """Return `apiVersion` as objects carry it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the URL path of an object, or of a collection where `name` is empty.

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


NAMESPACE: Final = ResourceType("", "v1", "Namespace", "namespaces", namespaced=False)
NODE: Final = ResourceType("", "v1", "Node", "nodes", namespaced=False)
SECRET: Final = ResourceType("", "v1", "Secret", "secrets")
CONFIG_MAP: Final = ResourceType("", "v1", "ConfigMap", "configmaps")
POD: Final = ResourceType("", "v1", "Pod", "pods")
SERVICE: Final = ResourceType("", "v1", "Service", "services")
EVENT: Final = ResourceType("", "v1", "Event", "events")
DEPLOYMENT: Final = ResourceType("apps", "v1", "Deployment", "deployments")
ENDPOINT_SLICE: Final = ResourceType(
    "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"
)
LEASE: Final = ResourceType("coordination.k8s.io", "v1", "Lease", "leases")
NETWORK_POLICY: Final = ResourceType(
    "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"
)
WEBHOOK_CONFIGURATION: Final = ResourceType(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    namespaced=False,
)
ADMISSION_POLICY: Final = ResourceType(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingAdmissionPolicy",
    "mutatingadmissionpolicies",
    namespaced=False,
)
ADMISSION_POLICY_BINDING: Final = ResourceType(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingAdmissionPolicyBinding",
    "mutatingadmissionpolicybindings",
    namespaced=False,
)
REPLICA_SET: Final = ResourceType("apps", "v1", "ReplicaSet", "replicasets")
STATEFUL_SET: Final = ResourceType("apps", "v1", "StatefulSet", "statefulsets")
RAY_CLUSTER: Final = ResourceType("ray.io", "v1", "RayCluster", "rayclusters")
RAY_JOB: Final = ResourceType("ray.io", "v1", "RayJob", "rayjobs")
RAY_CRON_JOB: Final = ResourceType("ray.io", "v1", "RayCronJob", "raycronjobs")
RAY_SERVICE: Final = ResourceType("ray.io", "v1", "RayService", "rayservices")
SPARK_APPLICATION: Final = ResourceType(
    "sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications"
)
SPARK_CONNECT: Final = ResourceType(
    "sparkoperator.k8s.io", "v1alpha1", "SparkConnect", "sparkconnects"
)
APACHE_APPLICATION: Final = ResourceType(
    "spark.apache.org", "v1", "SparkApplication", "sparkapplications"
)
APACHE_CLUSTER: Final = ResourceType(
    "spark.apache.org", "v1", "SparkCluster", "sparkclusters"
)
JOB: Final = ResourceType("batch", "v1", "Job", "jobs")
CLUSTER_ROLE: Final = ResourceType(
    "rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False
)
ACCESS_REVIEW: Final = ResourceType(
    "authorization.k8s.io",
    "v1",
    "SubjectAccessReview",
    "subjectaccessreviews",
    namespaced=False,
)
OWN_ACCESS_REVIEW: Final = ResourceType(
    "authorization.k8s.io",
    "v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    namespaced=False,
)
