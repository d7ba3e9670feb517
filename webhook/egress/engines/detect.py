"""Which API groups show an engine, and which of their objects restrict egress.

An API that is served shows that an engine is there. Whether it restricts anything is
in its objects, which the companion may or may not be allowed to list.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

Json = Mapping[str, Any]


class Engine(StrEnum):
    """An engine; the value names it in status, metrics and on the command line."""

    CILIUM = "cilium"
    CALICO = "calico"
    ANTREA = "antrea"
    OVN = "ovn"
    AWS = "aws"
    ISTIO = "istio"
    CLUSTER_NETWORK_POLICY = "cluster-network-policy"


@dataclass(frozen=True, slots=True)
class EngineControl:
    """One kind of object that can restrict egress.

    Attributes:
        group: Of the API that shows the engine.
        version: Which of its versions is read.
        kind: As the object says it.
        plural: As URLs have it.
        restricts: Whether an object of the kind restricts egress.
        namespaced: Whether it holds for its own namespace only.
    """

    engine: Engine
    group: str
    version: str
    kind: str
    plural: str
    restricts: Callable[[Json], bool]
    namespaced: bool = True


MESH: Final = ("istio-system", "istio")
"""Namespace and name of the ConfigMap with Istio's settings for the whole mesh."""

ENFORCERS: Final = frozenset(
    {
        "cilium.io",
        "crd.projectcalico.org",
        "projectcalico.org",
        "crd.antrea.io",
        "k8s.ovn.org",
        "kubeovn.io",
        "networking.k8s.aws",
        "vpcresources.k8s.aws",
    }
)
"""Groups of network plugins that enforce Kubernetes' NetworkPolicy."""


def is_registry_only(mesh: Json) -> bool:
    """Whether Istio's ConfigMap closes the mesh to what no ServiceEntry names."""
    return "REGISTRY_ONLY" in str((mesh.get("data") or {}).get("mesh", ""))


def present(groups: Iterable[str]) -> frozenset[Engine]:
    """The engines whose API is served."""
    served = frozenset(groups)
    return frozenset(c.engine for c in CONTROLS if c.group in served)


def _spec(body: Json) -> Json:
    return body.get("spec") or {}


def _cilium(body: Json) -> bool:
    """One object may hold several rules; any of them closes unless it says not to."""
    for spec in [_spec(body), *(body.get("specs") or ())]:
        closes = (spec.get("enableDefaultDeny") or {}).get("egress")
        if "egressDeny" in spec or closes or ("egress" in spec and closes is not False):
            return True
    return False


def _calico(body: Json) -> bool:
    spec = _spec(body)
    return "Egress" in (spec.get("types") or ()) or bool(spec.get("egress"))


def _any_egress(body: Json) -> bool:
    return bool(_spec(body).get("egress"))


def _denies(body: Json) -> bool:
    rules = _spec(body).get("egress") or ()
    return any("Deny" in (r.get("type"), r.get("action")) for r in rules)


def _isolates(body: Json) -> bool:
    return "Egress" in (_spec(body).get("policyTypes") or ())


def _sidecar(body: Json) -> bool:
    outbound = _spec(body).get("outboundTrafficPolicy") or {}
    return outbound.get("mode") == "REGISTRY_ONLY"


def _wide(
    engine: Engine, group: str, version: str, kind: str, plural: str
) -> EngineControl:
    """A cluster-wide policy in the form that SIG Network gave it."""
    return EngineControl(
        engine, group, version, kind, plural, _denies, namespaced=False
    )


_SIG: Final = "policy.networking.k8s.io"
_AWS: Final = "networking.k8s.aws"
_CALICO: Final = "crd.projectcalico.org"
_ANTREA: Final = "crd.antrea.io"

CONTROLS: Final = (
    EngineControl(
        Engine.CILIUM,
        "cilium.io",
        "v2",
        "CiliumNetworkPolicy",
        "ciliumnetworkpolicies",
        _cilium,
    ),
    EngineControl(
        Engine.CILIUM,
        "cilium.io",
        "v2",
        "CiliumClusterwideNetworkPolicy",
        "ciliumclusterwidenetworkpolicies",
        _cilium,
        namespaced=False,
    ),
    EngineControl(
        Engine.CALICO, _CALICO, "v1", "NetworkPolicy", "networkpolicies", _calico
    ),
    EngineControl(
        Engine.CALICO,
        _CALICO,
        "v1",
        "GlobalNetworkPolicy",
        "globalnetworkpolicies",
        _calico,
        namespaced=False,
    ),
    EngineControl(
        Engine.ANTREA,
        _ANTREA,
        "v1beta1",
        "NetworkPolicy",
        "networkpolicies",
        _any_egress,
    ),
    EngineControl(
        Engine.ANTREA,
        _ANTREA,
        "v1beta1",
        "ClusterNetworkPolicy",
        "clusternetworkpolicies",
        _any_egress,
        namespaced=False,
    ),
    EngineControl(
        Engine.OVN, "k8s.ovn.org", "v1", "EgressFirewall", "egressfirewalls", _denies
    ),
    EngineControl(
        Engine.AWS,
        _AWS,
        "v1alpha1",
        "ApplicationNetworkPolicy",
        "applicationnetworkpolicies",
        _isolates,
    ),
    _wide(
        Engine.AWS, _AWS, "v1alpha1", "ClusterNetworkPolicy", "clusternetworkpolicies"
    ),
    EngineControl(
        Engine.ISTIO, "networking.istio.io", "v1", "Sidecar", "sidecars", _sidecar
    ),
    _wide(
        Engine.CLUSTER_NETWORK_POLICY,
        _SIG,
        "v1alpha2",
        "ClusterNetworkPolicy",
        "clusternetworkpolicies",
    ),
    _wide(
        Engine.CLUSTER_NETWORK_POLICY,
        _SIG,
        "v1alpha1",
        "AdminNetworkPolicy",
        "adminnetworkpolicies",
    ),
    _wide(
        Engine.CLUSTER_NETWORK_POLICY,
        _SIG,
        "v1alpha1",
        "BaselineAdminNetworkPolicy",
        "baselineadminnetworkpolicies",
    ),
)
"""Everything that is looked at; a version that is not served counts as no object."""
