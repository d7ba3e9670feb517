"""Looks for engines that restrict egress with objects of their own.

Which APIs are served everybody may ask. Their objects are listed where the right is
given; where it is not, that is said, and nothing is guessed. It is looked again as
often as everything is listed anew, which no idle cluster notices.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, Forbidden, NotFound
from webhook.cluster.interface import (
    Discovery,
    Json,
    KubeClient,
    ListOptions,
    ObjectKey,
)
from webhook.cluster.resources import CONFIG_MAP, ResourceType
from webhook.egress.engines.detect import (
    CONTROLS,
    ENFORCERS,
    MESH,
    Engine,
    EngineControl,
    is_registry_only,
    present,
)
from webhook.egress.reasons import EgressReason, Finding

_AGAIN: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Others:
    """What was found.

    Attributes:
        enforced: Whether a network plugin that enforces NetworkPolicy shows itself;
            `None` before the first look.
        engines: Those whose API is served, each with what could not be looked at.
        restricting: Engine and object that restrict egress, by namespace; under an
            empty name those that hold everywhere, or may.
    """

    enforced: bool | None = None
    engines: Mapping[Engine, tuple[str, ...]] = field(default_factory=dict)
    restricting: Mapping[str, tuple[tuple[Engine, str], ...]] = field(
        default_factory=dict
    )

    def findings(self, namespace: str) -> Iterator[Finding]:
        """One for each engine that restricts egress of a namespace."""
        here = self.restricting.get(namespace, ())
        found = (*self.restricting.get("", ()), *here)
        for engine in sorted({engine for engine, _ in found}):
            names = ", ".join(sorted(name for one, name in found if one is engine))
            message = (
                f"{names} may restrict egress; its owner adds what `tracking-injector"
                f" egress plan -n {namespace} --engine {engine}` prints"
            )
            yield Finding(EgressReason.OTHER_EGRESS_CONTROLS, engine, message)


class Elsewhere:
    """Looks, and remembers what it saw."""

    def __init__(self, resources: KubeClient, discovery: Discovery) -> None:
        """Takes the port; nothing is asked yet."""
        self._resources, self._discovery = resources, discovery
        self._looked: datetime | None = None
        self.others = Others()
        """As of the last look."""

    def look(self, now: datetime) -> bool:
        """Looks if it is time; a failure leaves what was seen before.

        Returns:
            Whether something is other than before.
        """
        if self._looked is not None and now - self._looked < _AGAIN:
            return False
        before, self._looked = self.others, now
        # Whatever else asks the same server tells when it is away.
        with suppress(ClusterError):
            self.others = look(self._resources, self._discovery)
        return self.others != before


def look(resources: KubeClient, discovery: Discovery) -> Others:
    """Asks which APIs are served, and lists what may be listed.

    Raises:
        ClusterError: The server does not even say what it serves.
    """
    groups = discovery.groups()
    engines: dict[Engine, list[str]] = {engine: [] for engine in present(groups)}
    restricting: dict[str, list[tuple[Engine, str]]] = {}
    for control in CONTROLS:
        if control.group not in groups:
            continue
        try:
            for namespace, name in _restricting(resources, control):
                restricting.setdefault(namespace, []).append((control.engine, name))
        except Forbidden:
            engines[control.engine].append(f"{control.plural}.{control.group}")
    if Engine.ISTIO in engines:
        unseen = _mesh(resources, restricting)
        engines[Engine.ISTIO] += [unseen] if unseen else []
    return Others(
        enforced=bool(groups & ENFORCERS),
        engines={engine: tuple(engines[engine]) for engine in sorted(engines)},
        restricting={name: tuple(found) for name, found in restricting.items()},
    )


def others_among(bodies: Iterable[Json], namespace: str) -> Others:
    """The same of objects that are at hand, such as manifests.

    Args:
        bodies: Objects of any kind.
        namespace: Of those that name none.
    """
    by_kind = {(f"{c.group}/{c.version}", c.kind): c for c in CONTROLS}
    engines: dict[Engine, tuple[str, ...]] = {}
    restricting: dict[str, list[tuple[Engine, str]]] = {}
    for body in bodies:
        control = by_kind.get((body.get("apiVersion", ""), body.get("kind", "")))
        if control is None:
            continue
        engines[control.engine] = ()
        key = metadata.key(body)
        home = (key.namespace or namespace) if control.namespaced else ""
        if control.restricts(body):
            found = control.engine, f"{control.kind} {ObjectKey(home, key.name)}"
            restricting.setdefault(_where(control, home), []).append(found)
    return Others(
        engines=engines,
        restricting={name: tuple(found) for name, found in restricting.items()},
    )


def _restricting(
    resources: KubeClient, control: EngineControl
) -> Iterator[tuple[str, str]]:
    """Namespace and name of each object of a kind that restricts."""
    kind = ResourceType(
        control.group,
        control.version,
        control.kind,
        control.plural,
        namespaced=control.namespaced,
    )
    try:
        listing = resources.list(ListOptions(kind), control.restricts)
    except NotFound:
        return  # this version or kind is not served
    for key, (_, restricts) in sorted(listing.items.items()):
        if restricts:
            yield _where(control, key.namespace), f"{control.kind} {key}"


def _where(control: EngineControl, namespace: str) -> str:
    """Where an object holds: a Sidecar in Istio's namespace, in the whole mesh."""
    wide = control.engine is Engine.ISTIO and namespace == MESH[0]
    return "" if wide else namespace


def _mesh(
    resources: KubeClient, restricting: dict[str, list[tuple[Engine, str]]]
) -> str | None:
    namespace, name = MESH
    try:
        mesh: Json = resources.get(CONFIG_MAP, name, namespace)
    except Forbidden:
        return f"ConfigMap {namespace}/{name}"
    except NotFound:
        return None
    if is_registry_only(mesh):
        found = (Engine.ISTIO, f"REGISTRY_ONLY in ConfigMap {namespace}/{name}")
        restricting.setdefault("", []).append(found)
    return None
