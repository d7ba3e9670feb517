"""Options and profiles for every suite."""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

for _name, _examples in {"default": 1_000, "quick": 30}.items():
    settings.register_profile(
        _name,
        max_examples=_examples,
        # The machines are shared: how long an example takes says nothing of the code.
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("default")  # `--hypothesis-profile=quick` for fewer examples


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this project.

    Look at the diff after `--update-golden`. With `--helm` nothing is built, and what
    needs more than one Helm is left to a run without it.
    """
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew"
    )
    parser.addoption(
        "--settle",
        type=float,
        default=1,
        metavar="SECONDS",
        help="how long nothing may change where the chart was applied",
    )
    parser.addoption(
        "--every-preset", action="store_true", help="apply each of the chart's each way"
    )
    parser.addoption(
        "--uris",
        type=int,
        default=2_000,
        metavar="COUNT",
        help="in how many a canary is hidden, of which nobody may tell a piece",
    )
    parser.addoption("--helm", type=Path, help="render the chart with this Helm alone")


def pytest_configure() -> None:
    """Let what the tests start hear an interrupt, even if we are told to ignore it.

    A shell starts what runs in the background with the interrupt ignored, and children
    inherit that. They do not inherit a handler, even one that does nothing.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest first, so that nobody waits for them alone in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
