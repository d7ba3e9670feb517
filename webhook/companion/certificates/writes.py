"""A rotation's steps as writes, each only onto the object as it was read."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from certs.codec import encode_pair, encode_state
from certs.model import Generation
from certs.plan import RotationStep, Stage, WriteBundle, WritePair
from webhook.cluster import metadata
from webhook.cluster.interface import Json
from webhook.cluster.resources import SECRET, WEBHOOK_CONFIGURATION, ResourceType
from webhook.companion.certificates.observe import Observation


def target_of(
    step: RotationStep, seen: Observation
) -> tuple[ResourceType, Json | None]:
    """Return the object that a step writes; None when it is not there."""
    if isinstance(step, WriteBundle):
        return WEBHOOK_CONFIGURATION, seen.configuration
    return SECRET, (
        seen.pair_secret if isinstance(step, WritePair) else seen.state_secret
    )


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
                for entry in target["webhooks"]
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
