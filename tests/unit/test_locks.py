"""The lock files, as pip reads them."""

from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = Path(__file__).parents[2] / "requirements"


def locked(name: str) -> dict[str, set[str]]:
    """Extras by package of one lock file."""
    lines = (LOCKS / name).read_text("utf-8").splitlines()
    pins = [Requirement(one.rstrip(" \\")) for one in lines if "==" in one]
    return {canonicalize_name(pin.name): pin.extras for pin in pins}


def test_a_package_is_locked_with_the_extras_that_others_ask_for() -> None:
    """Else pip takes the newest version for the extra, and refuses what it took."""
    pins = locked("dev.txt")
    asked = [
        Requirement(text)
        for distribution in distributions()
        if canonicalize_name(distribution.metadata["Name"]) in pins
        for text in distribution.requires or ()
    ]
    missing = [
        str(one)
        for one in asked
        if one.marker is None or one.marker.evaluate({"extra": ""})
        if not one.extras <= pins.get(canonicalize_name(one.name), one.extras)
    ]

    assert [] == missing
