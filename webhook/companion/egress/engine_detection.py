"""Detects engines that restrict egress with objects of their own.

Which APIs are served every client may ask. Their objects are listed where the right is
given; where it is not, that is reported, and nothing is guessed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from webhook.cluster import metadata
from webhook.cluster.errors import Forbidden, NotFound
from webhook.cluster.interface import (
    Discovery,
    Json,
    KubeClient,
    ListOptions,
    ObjectKey,
)
from webhook.cluster.resources import CONFIG_MAP, ResourceType
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.controller import Context, Result
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

KEY: Final = "cluster"
"""The only key: what is detected holds for the whole cluster."""
_AGAIN: Final = 1800.0
"""Seconds between two looks, as often as informers list anew."""


@dataclass(frozen=True, slots=True)
class DetectedEngines:
    """What was found.

    Attributes:
        enforced: whether a network plugin that enforces NetworkPolicy shows itself;
            `None` before the first look.
        engines: those whose API is served, each with what could not be looked at.
        restricting: engine and object that restrict egress, by namespace; under an
            empty name those that hold everywhere, or may.
    """

    enforced: bool | None = None
    engines: Mapping[Engine, tuple[str, ...]] = field(default_factory=dict)
    restricting: Mapping[str, tuple[tuple[Engine, str], ...]] = field(
        default_factory=dict
    )

    def findings(self, namespace: str) -> Iterator[Finding]:
        """Return one for each engine that restricts egress of a namespace."""
        here = self.restricting.get(namespace, ())
        found = (*self.restricting.get("", ()), *here)
        for engine in sorted({engine for engine, _ in found}):
            names = ", ".join(sorted(name for one, name in found if one is engine))
            message = (
                f"{names} may restrict egress; its owner adds what `tracking-injector"
                f" egress plan -n {namespace} --engine {engine}` prints"
            )
            yield Finding(EgressReason.OTHER_EGRESS_CONTROLS, engine, message)

    def cluster_findings(self) -> Iterator[Finding]:
        """Return what holds for the whole cluster."""
        if self.enforced is False:
            message = "no network plugin that enforces NetworkPolicy shows itself"
            yield Finding(EgressReason.ENFORCEMENT_UNKNOWN, "cluster", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineResult(Result):
    """What the last look that worked detected."""

    detected: DetectedEngines = DetectedEngines()


class EngineDetector:
    """The reconciler of the only key."""

    name = "engines"

    def __init__(
        self,
        context: Context,
        discovery: Discovery,
        queue: WorkQueue,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Queue the first look; nothing is asked yet.

        Args:
            context: what all controllers share.
            discovery: says which API groups are served.
            queue: of this controller.
            on_change: called when something else was detected than before.
        """
        self._client, self._discovery = context.client, discovery
        self._on_change = on_change
        self.detected = DetectedEngines()
        """As of the last look that worked."""
        queue.add(KEY)

    def reconcile(self, key: str, now: datetime) -> EngineResult:
        """Look, and again in half an hour."""
        del key, now
        detected = detect_engines(self._client, self._discovery)
        changed, self.detected = detected != self.detected, detected
        if changed:
            self._on_change()
        reason = EgressReason.EGRESS_READY
        if detected.restricting:
            reason = EgressReason.OTHER_EGRESS_CONTROLS
        elif not detected.enforced:
            reason = EgressReason.ENFORCEMENT_UNKNOWN
        return EngineResult(reason=reason, requeue_after=_AGAIN, detected=detected)

    def failure(self, key: str, error: Exception) -> EngineResult:
        """Keep what was detected before; it is looked for again after a backoff."""
        del key
        reason = EgressReason.ENFORCEMENT_UNKNOWN
        return EngineResult(reason=reason, error=error, detected=self.detected)


def detect_engines(client: KubeClient, discovery: Discovery) -> DetectedEngines:
    """Ask which APIs are served, and list what may be listed.

    Raises:
        ClusterError: the server does not say, for another reason than a missing right.
    """
    groups = discovery.groups()
    engines: dict[Engine, list[str]] = {engine: [] for engine in present(groups)}
    restricting: dict[str, list[tuple[Engine, str]]] = {}
    for control in CONTROLS:
        if control.group not in groups:
            continue
        try:
            for namespace, name in _restricting(client, control):
                restricting.setdefault(namespace, []).append((control.engine, name))
        except Forbidden:
            engines[control.engine].append(f"{control.plural}.{control.group}")
    if Engine.ISTIO in engines:
        unseen = _mesh(client, restricting)
        engines[Engine.ISTIO] += [unseen] if unseen else []
    return DetectedEngines(
        enforced=bool(groups & ENFORCERS),
        engines={engine: tuple(engines[engine]) for engine in sorted(engines)},
        restricting={name: tuple(found) for name, found in restricting.items()},
    )


def engines_among(bodies: Iterable[Json], namespace: str) -> DetectedEngines:
    """Detect engines among objects that are at hand, such as manifests.

    Args:
        bodies: objects of any kind.
        namespace: of those that name none.
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
        if _may_restrict(control, body):
            found = control.engine, f"{control.kind} {ObjectKey(home, key.name)}"
            restricting.setdefault(_where(control, home), []).append(found)
    return DetectedEngines(
        engines=engines,
        restricting={name: tuple(found) for name, found in restricting.items()},
    )


def _restricting(
    client: KubeClient, control: EngineControl
) -> Iterator[tuple[str, str]]:
    """Return namespace and name of each object of a kind that restricts."""
    kind = ResourceType(
        control.group,
        control.version,
        control.kind,
        control.plural,
        namespaced=control.namespaced,
    )
    try:
        listing = client.list(ListOptions(kind), partial(_may_restrict, control))
    except NotFound:
        return  # this version or kind is not served
    for key, (_, restricts) in sorted(listing.items.items()):
        if restricts:
            yield _where(control, key.namespace), f"{control.kind} {key}"


def _may_restrict(control: EngineControl, body: Json) -> bool:
    """Return whether an object restricts egress; one that cannot be read may."""
    try:
        return control.restricts(body)
    except (AttributeError, TypeError):
        return True


def _where(control: EngineControl, namespace: str) -> str:
    """Return where it holds: a Sidecar in Istio's namespace, in the whole mesh."""
    wide = control.engine is Engine.ISTIO and namespace == MESH[0]
    return "" if wide else namespace


def _mesh(
    client: KubeClient, restricting: dict[str, list[tuple[Engine, str]]]
) -> str | None:
    namespace, name = MESH
    try:
        mesh: Json = client.get(CONFIG_MAP, name, namespace)
    except Forbidden:
        return f"ConfigMap {namespace}/{name}"
    except NotFound:
        return None
    if is_registry_only(mesh):
        found = (Engine.ISTIO, f"REGISTRY_ONLY in ConfigMap {namespace}/{name}")
        restricting.setdefault("", []).append(found)
    return None
