"""Fixtures: one installation for every test of rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.rotation.installation import Installation, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.build import Toolbox


@pytest.fixture(name="installed", scope="package")
def _installed(
    toolbox: Toolbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Three webhooks and a companion, on an API server of their own."""
    with running(toolbox, tmp_path_factory) as installed:
        yield installed
