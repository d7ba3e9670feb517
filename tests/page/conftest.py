"""Fixtures: the browser, and a control plane for the companion that it looks at."""

import shutil

import pytest

from tests.cluster.conftest import own_plane, toolbox

__all__ = ["own_plane", "toolbox"]


@pytest.fixture(name="chromium", scope="session")
def _chromium() -> str:
    found = shutil.which("chromium")
    assert found, "missing: chromium (Debian's package of that name)"
    return found
