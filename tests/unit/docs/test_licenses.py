"""What the image holds goes with our license, and what would not is named."""

import runpy
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "docs" / "reference" / "licenses.py"
LICENSES: dict[str, Any] = runpy.run_path(str(SCRIPT))


def about(**fields: str | list[str]) -> Message:
    """A package's metadata."""
    message = Message()
    message["Name"] = "a"
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    return message


def test_the_page_is_up_to_date_and_every_license_goes_with_ours() -> None:
    """`.ci/run reference` writes it anew; it fails on what does not go with ours."""
    page = SCRIPT.with_name("licenses.md").read_text("utf-8")

    assert page == LICENSES["page"]()
    assert page.count("\n| ") > 40


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "Apache-2.0 OR BSD-3-Clause"}, True),
        ({"License_Expression": "GPL-3.0-only OR MIT"}, True),
        ({"License_Expression": "GPL-3.0-only AND MIT"}, False),
        ({"License_Expression": "MPL-2.0 AND (Apache-2.0 OR MIT)"}, True),
        ({"License_Expression": "MPL-2.0 AND (GPL-2.0-only OR LGPL-2.1-only)"}, False),
        ({"License": "Apache 2.0"}, True),
        ({"License": "LGPL-3.0-or-later"}, False),
        ({"License_Expression": "Apache-2.0 WITH LLVM-exception"}, False),
        ({"Classifier": ["License :: OSI Approved :: BSD License", "Topic"]}, True),
    ],
)
def test_a_license_goes_with_ours_or_not(
    fields: dict[str, Any], expected: bool
) -> None:
    """Of several by choice one is enough; of several together, all have to."""
    found = LICENSES["license_of"](about(**fields))

    assert LICENSES["is_compatible"](found) is expected


@pytest.mark.parametrize(
    "fields", [{}, {"License": "see LICENSE"}, {"License_Expression": "Mine-1.0"}]
)
def test_a_license_that_nobody_knows_is_named(fields: dict[str, Any]) -> None:
    """By its package."""
    with pytest.raises(LICENSES["LicenseError"], match=r"^a"):
        LICENSES["license_of"](about(**fields))
