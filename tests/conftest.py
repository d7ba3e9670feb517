"""Options and profiles for every suite."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    max_examples=1_000,
    # The machines are shared: how long an example takes says nothing of the code.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that writes golden files anew; look at the diff afterwards."""
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew"
    )
