"""Which API groups show an engine, and which of their objects restrict egress.

An API that is served shows that an engine is there. Whether it restricts anything is
in its objects, which the companion may or may not be allowed to list.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from webhook.egress.reasons import EgressReason, Finding

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


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineControl:
    """One kind of object that can restrict egress.

    Attributes:
        engine: Whose object it is.
        group: Of the API that shows the engine.
        kind: As the object says it.
        plural: As URLs have it.
        restricts: Whether an object of the kind restricts egress.
        namespaced: Whether it holds for its own namespace only.
    """

    engine: Engine
    group: str
    kind: str
    plural: str
    restricts: Callable[[Json], bool]
    namespaced: bool = True

    def may_restrict(self, body: Json) -> bool:
        """Return whether an object restricts egress; one that cannot be read may."""
        try:
            return self.restricts(body)
        except (AttributeError, TypeError):
            return True

    def scope(self, namespace: str) -> str:
        """Return where an object holds: a namespace, or everywhere when empty.

        A Sidecar in Istio's own namespace holds in the whole mesh.
        """
        wide = self.engine is Engine.ISTIO and namespace == MESH[0]
        return namespace if self.namespaced and not wide else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedEngines:
    """The engines that were found.

    Attributes:
        enforced: Whether a network plugin that enforces NetworkPolicy shows itself;
            `None` before the first look.
        unread: API groups of engines none of whose objects is read here.
        engines: Those whose API is served, each with what could not be looked at.
        restricting: Engine and object that restrict egress, by namespace; under an
            empty name those that hold everywhere, or may.
    """

    enforced: bool | None = None
    unread: tuple[str, ...] = ()
    engines: Mapping[Engine, tuple[str, ...]] = field(default_factory=dict)
    restricting: Mapping[str, tuple[tuple[Engine, str], ...]] = field(
        default_factory=dict
    )

    @classmethod
    def among(cls, bodies: Iterable[Json], namespace: str) -> "DetectedEngines":
        """Return what objects of any kind show, such as those of manifests.

        Args:
            bodies: The objects.
            namespace: Of those that name none.
        """
        by_kind = {(c.group, c.kind): c for c in CONTROLS}
        engines: dict[Engine, tuple[str, ...]] = {}
        restricting: dict[str, list[tuple[Engine, str]]] = {}
        for body in bodies:
            group = str(body.get("apiVersion", "")).rpartition("/")[0]
            control = by_kind.get((group, body.get("kind", "")))
            if control is None:
                continue
            engines[control.engine] = ()
            meta = body.get("metadata") or {}
            home = meta.get("namespace") or namespace if control.namespaced else ""
            if control.may_restrict(body):
                where = f"{home}/{meta.get('name')}" if home else meta.get("name")
                found = control.engine, f"{control.kind} {where}"
                restricting.setdefault(control.scope(home), []).append(found)
        return cls(
            engines=engines,
            restricting={name: tuple(found) for name, found in restricting.items()},
        )

    def findings(self, namespace: str) -> Iterator[Finding]:
        """Yield one for each engine that restricts egress of a namespace."""
        here = self.restricting.get(namespace, ())
        found = (*self.restricting.get("", ()), *here)
        for engine in sorted({engine for engine, _ in found}):
            names = ", ".join(sorted(name for one, name in found if one is engine))
            message = (
                f"{names} may restrict egress; its owner adds what `tracking-injector"
                f" egress plan -n {namespace} --engine {engine}` prints"
            )
            yield Finding(EgressReason.OTHER_EGRESS_CONTROLS, engine, message)


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


UNREAD: Final = frozenset(
    {
        "kubeovn.io",
        "crd.nsx.vmware.com",
        "kuma.io",
        "consul.hashicorp.com",
        "isovalent.com",
    }
)
"""Groups of engines that can restrict egress by objects that are not read here."""


def is_registry_only(mesh: Json) -> bool:
    """Return whether Istio's ConfigMap closes the mesh but for its ServiceEntries."""
    return "REGISTRY_ONLY" in str((mesh.get("data") or {}).get("mesh", ""))


def present(groups: Iterable[str]) -> frozenset[Engine]:
    """Return the engines whose API is served."""
    return frozenset(c.engine for c in served_controls(groups))


def served_controls(groups: Iterable[str]) -> tuple[EngineControl, ...]:
    """Return what is looked at where some API groups are served.

    Where Calico serves both of its own, they hold the same objects.
    """
    served = set(groups)
    if _CALICO in served:
        served.discard(_CALICO_V3)
    return tuple(control for control in CONTROLS if control.group in served)


def _spec(body: Json) -> Json:
    return body.get("spec") or {}


def _cilium(body: Json) -> bool:
    """Return whether any rule of the object closes; each does unless it says not to."""
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


_SIG: Final = "policy.networking.k8s.io"
_AWS: Final = "networking.k8s.aws"
_CALICO: Final = "crd.projectcalico.org"
_CALICO_V3: Final = "projectcalico.org"
_ANTREA: Final = "crd.antrea.io"
_ISTIO: Final = "networking.istio.io"
_CNP: Final = Engine.CLUSTER_NETWORK_POLICY


def _controls() -> Iterator[EngineControl]:
    rows: tuple[tuple[Engine, str, str, Callable[[Json], bool], bool], ...] = (
        # engine, group, kind, what restricts, in its own namespace only
        (Engine.CILIUM, "cilium.io", "CiliumNetworkPolicy", _cilium, True),
        (
            Engine.CILIUM,
            "cilium.io",
            "CiliumClusterwideNetworkPolicy",
            _cilium,
            False,
        ),
        (Engine.CALICO, _CALICO, "NetworkPolicy", _calico, True),
        (Engine.CALICO, _CALICO, "GlobalNetworkPolicy", _calico, False),
        (Engine.CALICO, _CALICO_V3, "NetworkPolicy", _calico, True),
        (Engine.CALICO, _CALICO_V3, "GlobalNetworkPolicy", _calico, False),
        (Engine.ANTREA, _ANTREA, "NetworkPolicy", _any_egress, True),
        (Engine.ANTREA, _ANTREA, "ClusterNetworkPolicy", _any_egress, False),
        (Engine.OVN, "k8s.ovn.org", "EgressFirewall", _denies, True),
        (Engine.AWS, _AWS, "ApplicationNetworkPolicy", _isolates, True),
        (Engine.AWS, _AWS, "ClusterNetworkPolicy", _denies, False),
        (Engine.ISTIO, _ISTIO, "Sidecar", _sidecar, True),
        (_CNP, _SIG, "ClusterNetworkPolicy", _denies, False),
        (_CNP, _SIG, "AdminNetworkPolicy", _denies, False),
        (_CNP, _SIG, "BaselineAdminNetworkPolicy", _denies, False),
    )
    for engine, group, kind, restricts, namespaced in rows:
        plural = kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")
        yield EngineControl(
            engine=engine,
            group=group,
            kind=kind,
            plural=plural,
            restricts=restricts,
            namespaced=namespaced,
        )


CONTROLS: Final = tuple(_controls())
"""Everything that is looked at, in whichever versions the server has."""
