"""Writes a rotation's steps, each only onto the object as it was read."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from certs.codec import encode_pair, encode_state
from certs.model import Generation
from certs.plan import KeepState, RotationStep, Stage, WriteBundle, WritePair
from certs.policy import CertificatePolicy
from webhook.cluster import metadata
from webhook.cluster.events import ObjectReference
from webhook.cluster.interface import Json, KubeClient
from webhook.cluster.resources import SECRET, WEBHOOK_CONFIGURATION
from webhook.companion.certificates.objects import ObjectNames
from webhook.companion.certificates.observe import Observation

Issue = Callable[[CertificatePolicy, datetime], Generation]
"""Makes a new generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateWriter:
    """Writes steps.

    Attributes:
        client: writes objects.
        names: which ones.
        policy: names and durations of a new generation.
        issue: makes it.
    """

    client: KubeClient
    names: ObjectNames
    policy: CertificatePolicy
    issue: Issue

    def write(self, step: RotationStep, seen: Observation) -> bool:
        """Make one write; return False when its object is not there to be written.

        Raises:
            Conflict: the object is not as it was read any more.
            ClusterError: the API server could not or would not do it.
        """
        target = _target(step, seen)
        if target is None:
            return False
        address = _preconditions(target)
        if isinstance(step, WriteBundle):
            entries = _entries(target, step.pem)
            body = {"metadata": address, "webhooks": entries}
            self.client.apply(WEBHOOK_CONFIGURATION, body)
        else:
            body = {"metadata": address, "data": self._data(step, seen)}
            self.client.apply(SECRET, body)
        return True

    def about(self, step: RotationStep, seen: Observation) -> ObjectReference:
        """Return the object that a step writes."""
        target = _target(step, seen)
        if isinstance(step, WriteBundle):
            return self.names.about_configuration(target)
        if isinstance(step, WritePair):
            return self.names.about_secret(self.names.pair_secret, target)
        return self.names.about_secret(self.names.state_secret, target)

    def _data(
        self, step: WritePair | KeepState | Stage, seen: Observation
    ) -> dict[str, str]:
        if isinstance(step, WritePair):
            return encode_pair(step.generation)
        if isinstance(step, Stage):
            following = self.issue(self.policy, seen.now)
            return encode_state(replace(step.state, next=following))
        return encode_state(step.state)


def _target(step: RotationStep, seen: Observation) -> Json | None:
    if isinstance(step, WriteBundle):
        return seen.configuration
    return seen.pair_secret if isinstance(step, WritePair) else seen.state_secret


def _entries(configuration: Json, pem: bytes) -> list[Json]:
    """Return each webhook entry with this bundle, and nothing else of it."""
    text = base64.b64encode(pem).decode()
    return [
        {"name": entry["name"], "clientConfig": {"caBundle": text}}
        for entry in configuration["webhooks"]
    ]


def _preconditions(body: Json) -> dict[str, Any]:
    """Return the address and version: the write holds only for the object as read."""
    address = metadata.key(body)
    meta = {"name": address.name, "resourceVersion": metadata.resource_version(body)}
    return meta | ({"namespace": address.namespace} if address.namespace else {})
