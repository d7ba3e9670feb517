"""Observes the webhook's certificates, in the order that makes decisions safe."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from certs.codec import decode_pair, decode_state, encode_pair, encode_state
from certs.model import Generation
from certs.plan import RotationStep, Stage, WriteBundle, WritePair
from certs.state import ClientTrust, ObservedState, ServingSecret, State
from certs.validate import load
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, NotFound, Unavailable
from webhook.cluster.interface import Json, KubeClient, ListOptions
from webhook.cluster.resources import (
    ENDPOINT_SLICE,
    SECRET,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.companion.certificates.objects import ObjectNames
from webhook.companion.certificates.probe import ReplicaAddress
from webhook.companion.certificates.reasons import RotationReason
from webhook.companion.certificates.result import Condition, condition_of
from webhook.injection.names import CONTENT_LABEL, MANAGED_BY, ROTATE_ANNOTATION

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The objects as read, and what they mean.

    Attributes:
        configuration: None when it is absent or unreadable.
        state_secret: None when it is absent or not ours to write.
        pair_secret: None when it is absent, unreadable or not ours to write.
        state: what the state Secret holds.
        observed: what to plan on.
        now: the wall clock, UTC, read after everything else: the time to plan by.
        server_time: the API server's, by its latest answer; None when it is unknown.
        conditions: what is in the way.
    """

    configuration: Json | None
    state_secret: Json | None
    pair_secret: Json | None
    state: State
    observed: ObservedState
    now: datetime
    server_time: datetime | None
    conditions: tuple[Condition, ...]

    @property
    def bundle(self) -> bytes:
        """Return the bundle that API servers have, as PEM; empty for none."""
        trust = self.observed.trust
        return trust.bundles[0] if trust and trust.bundles else b""

    def target(self, step: RotationStep) -> tuple[ResourceType, Json | None]:
        """Return the object that a step writes; None when it is not there."""
        if isinstance(step, WriteBundle):
            return WEBHOOK_CONFIGURATION, self.configuration
        pair = isinstance(step, WritePair)
        return SECRET, self.pair_secret if pair else self.state_secret


@dataclass(slots=True, kw_only=True)
class Observer:
    """Reads the objects, and remembers since when it has seen which version.

    Attributes:
        client: reads objects.
        names: which ones.
        clock: UTC now.
        monotonic: seconds that never go back; None for a process that reconciles once
            and exits, so that it cannot vouch for a dwell.
    """

    client: KubeClient
    names: ObjectNames
    clock: Callable[[], datetime]
    monotonic: Callable[[], float] | None = None
    _since: dict[str, tuple[str, float]] = field(default_factory=dict)

    def observe(self) -> Observation:
        """Read the objects, without probing the replicas.

        Raises:
            ClusterError: the state could not be read, so nothing can be planned.
            NewerFormatError: a newer version wrote the state.
        """
        conditions: list[Condition] = []
        # In this order; see `certs.state.ObservedState`.
        configuration = self._configuration(conditions)
        pair_secret = self._pair_secret(conditions)
        state_secret = self._state_secret(conditions)
        state = decode_state((state_secret or {}).get("data"))
        if state.current is None and pair_secret is not None:
            # The pair will be adopted as the state: it has to be the newer of the two.
            pair_secret = self._pair_secret(conditions)
        request = metadata.annotations(state_secret or {}).get(ROTATE_ANNOTATION)
        return Observation(
            configuration=configuration,
            state_secret=state_secret,
            pair_secret=pair_secret,
            state=state,
            observed=ObservedState(
                trust=self._trust(configuration),
                pair=self._pair(pair_secret),
                request=request if isinstance(request, str) else "",
            ),
            now=self.clock(),
            server_time=self.client.server_time(),
            conditions=tuple(conditions),
        )

    def replicas(self) -> tuple[ReplicaAddress, ...]:
        """Return every replica that API servers may call.

        Raises:
            ClusterError: they cannot be listed, or one cannot be read.
        """
        selection = ListOptions(
            ENDPOINT_SLICE,
            namespace=self.names.namespace,
            labels=f"kubernetes.io/service-name={self.names.service}",
        )
        slices = self.client.list(selection, replica_addresses)
        return tuple(sorted({one for _, many in slices.items.values() for one in many}))

    def _configuration(self, conditions: list[Condition]) -> Json | None:
        name = self.names.configuration
        about = self.names.about(WEBHOOK_CONFIGURATION, name)
        body: Json | None = None
        detail = f"there is no MutatingWebhookConfiguration {name}"
        try:
            body = self.client.get(WEBHOOK_CONFIGURATION, name)
        except NotFound:
            pass
        except ClusterError as error:
            conditions.append(condition_of(error, about))
            return None
        else:
            found = _entries(body)
            if found and len(found) == len(body["webhooks"]):
                return body
            detail = f"MutatingWebhookConfiguration {name} has no entries"
            if found:
                detail = f"MutatingWebhookConfiguration {name} has an unreadable entry"
            body = body if found else None
        reason = RotationReason.CONFIGURATION_MISSING
        conditions.append(Condition(reason=reason, detail=detail, about=about))
        return body

    def _state_secret(self, conditions: list[Condition]) -> Json | None:
        reasons = RotationReason.STATE_MISSING, RotationReason.STATE_FOREIGN
        return self._secret(self.names.state_secret, reasons, conditions)

    def _pair_secret(self, conditions: list[Condition]) -> Json | None:
        name = self.names.pair_secret
        reasons = RotationReason.PAIR_MISSING, RotationReason.PAIR_FOREIGN
        try:
            return self._secret(name, reasons, conditions)
        except ClusterError as error:
            conditions.append(condition_of(error, self.names.about(SECRET, name)))
            return None

    def _secret(
        self,
        name: str,
        reasons: tuple[RotationReason, RotationReason],
        conditions: list[Condition],
    ) -> Json | None:
        """Return a Secret that is ours; else add the reason: missing, or foreign."""
        body: Json | None = None
        missing, foreign = reasons
        where = f"Secret {self.names.namespace}/{name}"
        try:
            body = self.client.get(SECRET, name, self.names.namespace)
        except NotFound:
            reason = missing
            detail = (
                f"{where} is gone; the companion may not create Secrets: helm upgrade "
                "brings it back, empty"
            )
        else:
            if metadata.labels(body).get(CONTENT_LABEL) == MANAGED_BY:
                return body
            reason = foreign
            label = f"{CONTENT_LABEL}={MANAGED_BY}"
            detail = f"{where} lacks the label {label} and is left alone"
        about = self.names.about(SECRET, name, body)
        conditions.append(Condition(reason=reason, detail=detail, about=about))
        return None

    def _trust(self, configuration: Json | None) -> ClientTrust | None:
        if configuration is None:
            return None
        meta = metadata.of(configuration)
        # `generation` counts changes of the content alone: labels do not end a dwell.
        version = f"{meta.get('uid')}/{meta.get('generation')}"
        return ClientTrust(
            version=version,
            bundles=ca_bundles(configuration),
            held=self._held("trust", version),
        )

    def _pair(self, secret: Json | None) -> ServingSecret | None:
        if secret is None:
            return None
        found = load(decode_pair(secret.get("data")))
        version = f"{metadata.uid(secret)}/{metadata.resource_version(secret)}"
        return ServingSecret(
            version=version,
            generation=found if isinstance(found, Generation) else None,
            held=self._held("pair", version),
        )

    def _held(self, what: str, version: str) -> timedelta | None:
        if self.monotonic is None:
            return None
        now = self.monotonic()
        known, since = self._since.get(what, ("", now))
        if known != version:
            since = now
        self._since[what] = version, since
        return timedelta(seconds=now - since)


def ca_bundles(configuration: Json) -> tuple[bytes, ...]:
    """Return the `caBundle` of each entry as PEM; empty where there is none."""
    configs = (entry.get("clientConfig") for entry in _entries(configuration))
    return tuple(
        _decoded(config.get("caBundle")) if isinstance(config, dict) else b""
        for config in configs
    )


def _entries(configuration: Json) -> list[Json]:
    """Return the entries that can be read and, since they have a name, written."""
    found = configuration.get("webhooks")
    return [
        entry
        for entry in (found if isinstance(found, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    ]


def replica_addresses(endpoint_slice: Json) -> tuple[ReplicaAddress, ...]:
    """Return the endpoints of a slice that a Service may send calls to.

    Terminating endpoints that still serve count: API servers keep connections to them.

    Raises:
        Unavailable: it cannot be read, so a replica in it cannot be attested.
    """
    try:
        # A port without a number permits any: there is none to connect to.
        ports = [
            _a(int, port["port"])
            for port in _a(list, endpoint_slice.get("ports") or [])
            if port and _a(dict, port).get("port") is not None
        ]
        return tuple(
            ReplicaAddress(_a(str, host), port)
            for endpoint in _a(list, endpoint_slice.get("endpoints") or [])
            if _may_be_called(_a(dict, _a(dict, endpoint).get("conditions") or {}))
            for host in _a(list, endpoint.get("addresses") or [])
            for port in ports
        )
    except TypeError:
        name = metadata.key(endpoint_slice)
        raise Unavailable(f"EndpointSlice {name} cannot be read") from None


def _a(kind: type[T], value: object) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError
    return value


def _may_be_called(conditions: Mapping[str, bool | None]) -> bool:
    # Absent or null means ready: `discovery.k8s.io/v1`, EndpointConditions.
    return conditions.get("ready") is not False or conditions.get("serving") is True


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text or "")
    except (TypeError, ValueError):
        return b""


def body_of(step: RotationStep, target: Json, issue: Callable[[], Generation]) -> Json:
    """Return what to apply.

    Args:
        step: what is due.
        target: the object as read.
        issue: makes a new generation.
    """
    body: dict[str, Any] = {"metadata": _preconditions(target)}
    if isinstance(step, WriteBundle):
        text = base64.b64encode(step.pem).decode()
        return body | {
            "webhooks": [
                {"name": entry["name"], "clientConfig": {"caBundle": text}}
                for entry in _entries(target)
            ]
        }
    if isinstance(step, WritePair):
        return body | {"data": encode_pair(step.generation)}
    state = step.state
    if isinstance(step, Stage):
        state = replace(state, next=issue())
    return body | {"data": encode_state(state)}


def _preconditions(body: Json) -> dict[str, Any]:
    """Return the address and version: the write holds only for the object as read."""
    address = metadata.key(body)
    meta = {"name": address.name, "resourceVersion": metadata.resource_version(body)}
    return meta | ({"namespace": address.namespace} if address.namespace else {})
