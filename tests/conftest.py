"""Options and profiles for every suite."""

import os
import signal
from pathlib import Path
from typing import Final

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


LOOPBACK: Final = "127.0.0.1,localhost,::1,[::1]"
"""As each library spells the last one."""


def pytest_configure() -> None:
    """Let no test, nor what it starts, depend on the shell that we were started from.

    An interrupt is heard even if we are told to ignore it: a shell starts what runs in
    the background that way, and children inherit that. They do not inherit a handler,
    even one that does nothing. No proxy is asked for what listens on this machine, and
    nobody writes as wide as some terminal is, or in its colors.
    """
    environ = os.environ  # noqa: TID251 - what is inherited
    for name in ("no_proxy", "NO_PROXY"):
        environ[name] = ",".join(filter(None, (environ.get(name), LOOPBACK)))
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR"):
        environ.pop(name, None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest first, so that nobody waits for them alone in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
