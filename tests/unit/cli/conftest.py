"""An installation that is in order, of which most commands tell."""

import pytest

from tests.fakes.installation import FakeInstallation
from tests.unit.companion.observation.test_troubles import found


@pytest.fixture
def site() -> FakeInstallation:
    """It runs, and its companion has published a report."""
    site = FakeInstallation()
    site.publish(found())
    return site
