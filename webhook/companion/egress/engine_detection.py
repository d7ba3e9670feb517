"""Detects engines that restrict egress with objects of their own.

Which APIs are served every client may ask. Their objects are listed where the right is
given; where it is not, that is reported, and nothing is guessed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from webhook.cluster.errors import ClusterError, Forbidden, NotFound
from webhook.cluster.interface import Json, KubeClient, ListOptions
from webhook.cluster.resources import CONFIG_MAP, ResourceType
from webhook.cluster.workqueue import WorkQueue
from webhook.companion.controller import Context, Result
from webhook.egress.engines.detect import (
    ENFORCERS,
    MESH,
    UNREAD,
    DetectedEngines,
    Engine,
    EngineControl,
    is_registry_only,
    present,
    served_controls,
)
from webhook.egress.reasons import EgressReason, Finding

KEY: Final = "cluster"
"""The only key: what is detected holds for the whole cluster."""
_AGAIN: Final = 1800.0
"""Seconds between two looks, as often as informers list anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineResult(Result):
    """What is known of other engines.

    Attributes:
        detected: by the last look that worked.
    """

    detected: DetectedEngines

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what holds for the whole cluster."""
        unknown = {}
        if self.detected.enforced is False:
            message = "no network plugin that enforces NetworkPolicy shows itself"
            unknown["cluster"] = message
        for group in self.detected.unread:
            message = (
                f"{group} is served; whether its objects restrict egress is not read"
            )
            unknown[group] = message
        return tuple(
            Finding(EgressReason.ENFORCEMENT_UNKNOWN, subject, message)
            for subject, message in unknown.items()
        )


class EngineDetector:
    """The reconciler of the only key."""

    name = "engines"

    def __init__(
        self,
        context: Context,
        queue: WorkQueue,
    ) -> None:
        """Queue the first look; nothing is asked yet.

        Args:
            context: what all controllers share.
            queue: of this controller.
        """
        self._client = context.client
        self._on_change: list[Callable[[], None]] = []
        self.detected = DetectedEngines()
        """As of the last look that worked."""
        queue.add(KEY)

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Call back when something else is detected than before."""
        self._on_change.append(on_change)

    def reconcile(self, key: str, now: datetime) -> EngineResult:
        """Look, and again in half an hour."""
        del key, now
        detected, error = _look(self._client)
        changed, self.detected = detected != self.detected, detected
        for on_change in self._on_change if changed else ():
            on_change()
        reason = EgressReason.EGRESS_READY
        if error is not None or detected.enforced is False:
            reason = EgressReason.ENFORCEMENT_UNKNOWN
        elif detected.restricting:
            reason = EgressReason.OTHER_EGRESS_CONTROLS
        return EngineResult(
            reason=reason, requeue_after=_AGAIN, error=error, detected=detected
        )

    def failure(self, key: str, error: Exception) -> EngineResult:
        """Keep what was detected before; it is looked for again after a backoff."""
        del key
        reason = EgressReason.ENFORCEMENT_UNKNOWN
        return EngineResult(reason=reason, error=error, detected=self.detected)


def detect_engines(client: KubeClient) -> DetectedEngines:
    """Ask which APIs are served, and list what may be listed.

    Raises:
        ClusterError: the server does not say, for another reason than a missing right.
    """
    detected, error = _look(client)
    if error is not None:
        raise error
    return detected


def _look(client: KubeClient) -> tuple[DetectedEngines, ClusterError | None]:
    """Return what is seen, and the first error: a kind that fails hides no other."""
    error: ClusterError | None = None
    groups = client.groups()
    engines: dict[Engine, list[str]] = {engine: [] for engine in present(groups)}
    restricting: dict[str, list[tuple[Engine, str]]] = {}
    for control in served_controls(groups):
        try:
            for namespace, name in _restricting(client, control, groups):
                restricting.setdefault(namespace, []).append((control.engine, name))
        except ClusterError as caught:
            engines[control.engine].append(f"{control.plural}.{control.group}")
            if not isinstance(caught, Forbidden):
                error = error or caught
    if Engine.ISTIO in engines:
        unseen = _mesh(client, restricting)
        engines[Engine.ISTIO] += [unseen] if unseen else []
    detected = DetectedEngines(
        enforced=bool(groups.keys() & ENFORCERS),
        unread=tuple(sorted(groups.keys() & UNREAD)),
        engines={engine: tuple(engines[engine]) for engine in sorted(engines)},
        restricting={name: tuple(found) for name, found in restricting.items()},
    )
    return detected, error


def _restricting(
    client: KubeClient, control: EngineControl, groups: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    """Return namespace and name of each object of a kind that restricts."""
    for version in groups[control.group]:
        kind = ResourceType(
            control.group,
            version,
            control.kind,
            control.plural,
            namespaced=control.namespaced,
        )
        try:
            listing = client.list(ListOptions(kind), control.may_restrict)
        except NotFound:
            continue  # not in this version
        for key, (_, restricts) in sorted(listing.items.items()):
            if restricts:
                yield control.scope(key.namespace), f"{control.kind} {key}"
        return


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
