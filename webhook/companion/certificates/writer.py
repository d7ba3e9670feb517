"""Writes a rotation's steps, each only onto the object as it was read."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from certs.codec import encode_pair, encode_state
from certs.model import Generation
from certs.plan import RotationStep, Stage, WriteBundle, WritePair
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
        if isinstance(step, WriteBundle):
            return self._write_bundle(step.pem, seen.configuration)
        if isinstance(step, WritePair):
            return self._write_data(seen.pair_secret, encode_pair(step.generation))
        state = step.state
        if isinstance(step, Stage):
            if seen.state_secret is None:
                return False
            state = replace(state, next=self.issue(self.policy, seen.now))
        return self._write_data(seen.state_secret, encode_state(state))

    def about(self, step: RotationStep, seen: Observation) -> ObjectReference:
        """Return the object that a step writes."""
        if isinstance(step, WriteBundle):
            return self.names.about_configuration(seen.configuration)
        if isinstance(step, WritePair):
            return self.names.about_secret(self.names.pair_secret, seen.pair_secret)
        return self.names.about_secret(self.names.state_secret, seen.state_secret)

    def _write_data(self, secret: Json | None, data: dict[str, str]) -> bool:
        if secret is None:
            return False
        self.client.apply(SECRET, {"metadata": _preconditions(secret), "data": data})
        return True

    def _write_bundle(self, pem: bytes, configuration: Json | None) -> bool:
        if configuration is None:
            return False
        text = base64.b64encode(pem).decode()
        entries = [
            {"name": entry["name"], "clientConfig": {"caBundle": text}}
            for entry in configuration["webhooks"]
        ]
        body = {"metadata": _preconditions(configuration), "webhooks": entries}
        self.client.apply(WEBHOOK_CONFIGURATION, body)
        return True


def _preconditions(body: Json) -> dict[str, Any]:
    """Return the address and version: the write holds only for the object as read."""
    address = metadata.key(body)
    meta = {"name": address.name, "resourceVersion": metadata.resource_version(body)}
    return meta | ({"namespace": address.namespace} if address.namespace else {})
