"""The world that most of these tests begin with."""

import pytest

from tests.unit.companion.egress.egress_world import DENY, EgressWorld


@pytest.fixture
def world() -> EgressWorld:
    """Return one with a labeled namespace that denies egress."""
    made = EgressWorld()
    made.label("team-a")
    made.policy(DENY)
    return made
