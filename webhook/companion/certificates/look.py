"""Reads the objects of this concern, in the order that makes decisions safe."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from certs.codec import decode_pair, decode_state
from certs.state import ClientTrust, ObservedState, ServingSecret, State
from certs.validate import CertificateVerdict, load
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError, NotFound
from webhook.cluster.interface import Json, KubeClient, ListOptions
from webhook.cluster.resources import ENDPOINT_SLICE, SECRET, WEBHOOK_CONFIGURATION
from webhook.companion.certificates.handshake import Address
from webhook.companion.certificates.words import (
    ROTATE_ANNOTATION,
    Clocks,
    Complaint,
    Place,
    Problem,
)
from webhook.injection.names import CONTENT_LABEL, MANAGED_BY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Look:
    """The objects as read, and what they mean.

    Attributes:
        configuration: None when it is absent or unreadable.
        state_secret: None when it is absent or not ours to write.
        pair_secret: None when it is absent, unreadable or not ours to write.
        state: What the state Secret holds.
        seen: The observation to plan on.
        now: The wall clock, UTC, read after everything else: the time to plan by.
        server_time: The API server's, by its latest answer; None when it is unknown.
        complaints: What is in the way.
    """

    configuration: Json | None
    state_secret: Json | None
    pair_secret: Json | None
    state: State
    seen: ObservedState
    now: datetime
    server_time: datetime | None
    complaints: tuple[Complaint, ...]


@dataclass(slots=True)
class Looker:
    """Looks, and remembers since when it has seen which version."""

    resources: KubeClient
    place: Place
    clocks: Clocks
    _since: dict[str, tuple[str, float]] = field(default_factory=dict)

    def look(self) -> Look:
        """One look, without asking the replicas.

        Raises:
            ClusterError: The state could not be read, so nothing can be decided.
            NewerFormatError: A newer version keeps the state.
        """
        complaints: list[Complaint] = []
        # In this order; see `certs.state.ObservedState`.
        configuration = self._configuration(complaints)
        pair_secret = self._pair_secret(complaints)
        state_secret = self._state_secret(complaints)
        state = decode_state((state_secret or {}).get("data"))
        if state.current is None and pair_secret is not None:
            # The pair will be adopted as the state: it has to be the newer of the two.
            pair_secret = self._pair_secret(complaints)
        asked = metadata.annotations(state_secret or {}).get(ROTATE_ANNOTATION, "")
        return Look(
            configuration,
            state_secret,
            pair_secret,
            state,
            ObservedState(
                trust=self._trust(configuration),
                pair=self._pair(pair_secret),
                request=asked,
            ),
            self.clocks.wall(),
            self.resources.server_time(),
            tuple(complaints),
        )

    def replicas(self) -> tuple[Address, ...] | None:
        """Every replica that may be called; None when the list is unknown."""
        selection = ListOptions(
            ENDPOINT_SLICE,
            self.place.namespace,
            labels=f"kubernetes.io/service-name={self.place.service}",
        )
        try:
            slices = self.resources.list(selection, addresses)
        except ClusterError:
            return None
        found = {one for _, many in slices.items.values() for one in many}
        return tuple(sorted(found))

    def _configuration(self, complaints: list[Complaint]) -> Json | None:
        name = self.place.configuration
        try:
            return self.resources.get(WEBHOOK_CONFIGURATION, name)
        except NotFound:
            detail = f"there is no MutatingWebhookConfiguration {name}"
            complaints.append(Complaint(Problem.CONFIGURATION_MISSING, detail))
        except ClusterError as error:
            complaints.append(Complaint(Problem.API, str(error)))
        return None

    def _state_secret(self, complaints: list[Complaint]) -> Json | None:
        name = self.place.state_secret
        try:
            body = self.resources.get(SECRET, name, self.place.namespace)
        except NotFound:
            complaints.append(_missing(Problem.STATE_MISSING, self.place, name))
            return None
        if not _ours(body):
            complaints.append(_foreign(Problem.STATE_FOREIGN, self.place, name))
            return None
        return body

    def _pair_secret(self, complaints: list[Complaint]) -> Json | None:
        name = self.place.pair_secret
        try:
            body = self.resources.get(SECRET, name, self.place.namespace)
        except NotFound:
            complaints.append(_missing(Problem.PAIR_MISSING, self.place, name))
            return None
        except ClusterError as error:
            complaints.append(Complaint(Problem.API, str(error)))
            return None
        if not _ours(body):
            complaints.append(_foreign(Problem.PAIR_FOREIGN, self.place, name))
            return None
        return body

    def _trust(self, configuration: Json | None) -> ClientTrust | None:
        if configuration is None:
            return None
        meta = metadata.of(configuration)
        # `generation` counts changes of the content alone: labels do not end a dwell.
        version = f"{meta.get('uid')}/{meta.get('generation')}"
        return ClientTrust(
            version=version,
            bundles=bundles(configuration),
            held=self._held("trust", version),
        )

    def _pair(self, secret: Json | None) -> ServingSecret | None:
        if secret is None:
            return None
        found = load(decode_pair(secret.get("data")))
        version = f"{metadata.uid(secret)}/{metadata.resource_version(secret)}"
        return ServingSecret(
            version=version,
            generation=None if isinstance(found, CertificateVerdict) else found,
            held=self._held("pair", version),
        )

    def _held(self, what: str, version: str) -> timedelta | None:
        if self.clocks.steady is None:
            return None
        now = self.clocks.steady()
        known, since = self._since.get(what, ("", now))
        if known != version:
            since = now
        self._since[what] = version, since
        return timedelta(seconds=now - since)


def bundles(configuration: Json) -> tuple[bytes, ...]:
    """The `caBundle` of each entry as PEM; empty where there is none."""
    return tuple(
        _blob((entry.get("clientConfig") or {}).get("caBundle"))
        for entry in configuration.get("webhooks") or ()
    )


def addresses(endpoint_slice: Json) -> tuple[Address, ...]:
    """The endpoints of a slice that a Service may send calls to.

    Terminating endpoints that still serve count: API servers keep connections to them.
    """
    ports = [port["port"] for port in endpoint_slice.get("ports") or () if port]
    return tuple(
        Address(host, port)
        for endpoint in endpoint_slice.get("endpoints") or ()
        if _called(endpoint.get("conditions") or {})
        for host in endpoint.get("addresses") or ()
        for port in ports
    )


def _called(conditions: Mapping[str, bool | None]) -> bool:
    # Absent or null means ready: `discovery.k8s.io/v1`, EndpointConditions.
    return conditions.get("ready") is not False or conditions.get("serving") is True


def _ours(secret: Json) -> bool:
    return metadata.labels(secret).get(CONTENT_LABEL) == MANAGED_BY


def _missing(problem: Problem, place: Place, name: str) -> Complaint:
    return Complaint(
        problem,
        f"Secret {place.namespace}/{name} is gone; the companion may not create "
        "Secrets: helm upgrade brings it back, empty",
    )


def _foreign(problem: Problem, place: Place, name: str) -> Complaint:
    return Complaint(
        problem,
        f"Secret {place.namespace}/{name} lacks the label "
        f"{CONTENT_LABEL}={MANAGED_BY} and is left alone",
    )


def _blob(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "")
    except binascii.Error:
        return b""
