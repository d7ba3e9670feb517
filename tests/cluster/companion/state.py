"""What an operator changes, and what must then hold."""

import base64
import json
import uuid

from tests.cluster.release import (
    CANARY,
    LABEL,
    Release,
)


def all_hold(release: Release, names: list[str], key: str) -> bool:
    """Whether every mirror equals its sources, with this key."""
    return all(release.holds(name, key) for name in names)


def now_key(release: Release) -> str:
    """The key that the source has now."""
    path = f"/api/v1/namespaces/{release.namespace}/secrets/keys"
    encoded = release.admin.get(path)["data"]["TRACKING_API_KEY"]
    return base64.b64decode(encoded).decode()


def rotate(release: Release) -> str:
    """An operator changes the key; the canary stays part of it."""
    value = f"{CANARY}-{uuid.uuid4().hex[:6]}"
    release.key(value)
    return value


def create_after(release: Release, namespace: str) -> bool:
    """Whether a whole second has passed since the namespace was labeled."""
    made = release.admin.create(
        f"/api/v1/namespaces/{namespace}/configmaps",
        {"metadata": {"generateName": "clock-"}},
    )
    body = release.admin.get(f"/api/v1/namespaces/{namespace}")
    labeled = [
        entry["time"]
        for entry in body["metadata"]["managedFields"]
        if LABEL in json.dumps(entry["fieldsV1"])
    ]
    return bool(made["metadata"]["creationTimestamp"] > max(labeled))
