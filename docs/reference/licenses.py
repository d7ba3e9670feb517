"""The licenses of what the image holds, and whether they go with ours.

Its packages come from `requirements/run.txt`, each license from the package's own
metadata. `.ci/run reference` writes the page.
"""

from importlib.metadata import PackageMetadata, metadata
from pathlib import Path
from typing import Final

from license_expression import ExpressionError, LicenseExpression, get_spdx_licensing
from packaging.requirements import Requirement

LOCK: Final = Path(__file__).parents[2] / "requirements" / "run.txt"
COMPATIBLE: Final = {
    "0BSD": "permissive",
    "Apache-2.0": "ours",
    "BSD-2-Clause": "permissive",
    "BSD-3-Clause": "permissive",
    "ISC": "permissive",
    "MIT": "permissive",
    "MIT-0": "permissive",
    "MPL-2.0": "of its own files alone, which are passed on as they are",
    "PSF-2.0": "permissive",
}
"""Licenses whose work an Apache-2.0 product may hold unchanged, and what they ask."""

_SPDX: Final = get_spdx_licensing()
_SPELLED: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}
"""As older metadata says it; of BSD's kinds, the one that asks the most."""
_CLASSIFIER: Final = "License :: OSI Approved :: "


class LicenseError(Exception):
    """A package whose license is not known or does not go with ours; for people."""


def packages(lock: Path = LOCK) -> list[Requirement]:
    """What the lock pins, by name."""
    lines = lock.read_text("utf-8").splitlines()
    pins = (Requirement(one.rstrip(" \\")) for one in lines if "==" in one)
    return sorted(pins, key=lambda pin: pin.name)


def license_of(about: PackageMetadata) -> LicenseExpression:
    """A package's license as SPDX writes it.

    Raises:
        LicenseError: Its metadata names none, or one that SPDX does not know.
    """
    classifiers = _all(about, "Classifier")
    known = [one.removeprefix(_CLASSIFIER) for one in classifiers if _CLASSIFIER in one]
    given = *_all(about, "License-Expression"), *_all(about, "License")
    said = given[0] if given else " AND ".join(known)
    try:
        found = _SPDX.parse(_SPELLED.get(said, said), validate=True)
    except ExpressionError as error:
        message = f"{about['Name']}: {said!r} is no license that SPDX knows"
        raise LicenseError(message) from error
    if found is None:
        raise LicenseError(f"{about['Name']} names no license")
    return found


def _all(about: PackageMetadata, name: str) -> list[str]:
    return [one for one in about.get_all(name) or () if one]


def is_compatible(found: LicenseExpression) -> bool:
    """Whether our product may hold it: of several by choice, one is enough."""
    operator = getattr(found, "operator", "").strip()
    if operator == "OR":
        return any(map(is_compatible, found.args))
    if operator == "AND":
        return all(map(is_compatible, found.args))
    return str(found) in COMPATIBLE


def checked() -> dict[str, str]:
    """Each package's license, by its name and version.

    Raises:
        LicenseError: One does not go with ours.
    """
    found = {}
    for pin in packages():
        own = license_of(metadata(pin.name))
        if not is_compatible(own):
            raise LicenseError(f"{pin.name}: {own} does not go with Apache-2.0")
        found[f"{pin.name} {str(pin.specifier)[2:]}"] = str(own)
    return found


def page() -> str:
    """The page of the reference."""
    rows = [f"| {package} | {own} |" for package, own in checked().items()]
    asked = [f"| {name} | {what} |" for name, what in COMPATIBLE.items()]
    return f"""# Licenses

The product is Apache-2.0. Its image holds these Python packages, unchanged. The Debian
beneath keeps its packages' licenses in `/usr/share/doc`, and all of both are in the
image's [bill of materials](../explanation/supply-chain.md).

| package | license |
|---|---|
{chr(10).join(rows)}

## What may be in it

A package of any other license fails the tests.

| license | what it asks |
|---|---|
{chr(10).join(asked)}
"""


if __name__ == "__main__":
    Path(__file__).with_name("licenses.md").write_text(page(), "utf-8")
