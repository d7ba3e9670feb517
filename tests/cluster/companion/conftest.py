"""A control plane for each module: a release sees every namespace."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.companion.state import all_hold, now_key
from tests.cluster.release import MIRROR, Release, Running, companion
from tests.lab.control_plane import ControlPlane

FOREIGN = "foreign"


@pytest.fixture(name="plane", scope="module")
def _plane(own_plane: ControlPlane) -> ControlPlane:
    """One of its own: a release sees every namespace."""
    return own_plane


@pytest.fixture(name="release", scope="module")
def _release(plane: ControlPlane) -> Release:
    return Release(plane)


@pytest.fixture(name="running")
def _running(release: Release) -> Iterator[Running]:
    with companion(release) as running:
        yield running


@pytest.fixture(name="name")
def _name() -> str:
    return f"ray-{uuid.uuid4().hex[:8]}"


@pytest.fixture(name="foreign", scope="module")
def _foreign(release: Release) -> dict[str, Any]:
    release.plane.namespace(FOREIGN)
    body = {"metadata": {"name": MIRROR}, "data": {"THEIRS": "eA=="}}
    made = release.admin.create(f"/api/v1/namespaces/{FOREIGN}/secrets", body)
    release.label(FOREIGN)
    return made


@pytest.fixture(name="names")
def _names(release: Release, foreign: dict[str, Any]) -> Iterator[list[str]]:
    """Three labeled namespaces; what must hold after every fault is stated here."""
    names = [release.compute(f"n-{uuid.uuid4().hex[:8]}") for _ in range(3)]
    yield names
    path = f"/api/v1/namespaces/{FOREIGN}/secrets/{MIRROR}"
    assert release.admin.get(path) == foreign
    assert release.leaks() == []
    assert all_hold(release, names, now_key(release))
    for name in names:
        release.label(name, None)
