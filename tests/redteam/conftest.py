"""Fixtures of the tiers whose tests the red team's resemble."""

from tests.cluster.conftest import own_plane, toolbox
from tests.server.conftest import _folder, _pair, _server

__all__ = ["_folder", "_pair", "_server", "own_plane", "toolbox"]
