"""The bills of materials hold what is there, are valid, and the same each time."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tests.unit.test_bases import ROOT, script

sbom: Any = script("sbom")

STATUS: Final = """Package: libc6
Status: install ok installed
Priority: optional
Architecture: amd64
Multi-Arch: same
Version: 2.41-12+deb13u1
Description: GNU C Library
 Several
 lines.

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: perl-base
Essential: yes
Status: install ok installed
Architecture: amd64
Version: 5.40.1-6
"""
OS: Final = 'NAME="Debian GNU/Linux"\nVERSION_ID="13"\nID=debian\n'
PYTHON: Final[dict[str, Any]] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "version": 1,
    "components": [
        {
            "bom-ref": "flask==3.1",
            "name": "flask",
            "purl": "pkg:pypi/flask@3.1",
            "type": "library",
            "version": "3.1",
        }
    ],
}


def validated(text: str) -> dict[str, Any]:
    """The bill, which is valid by CycloneDX's own schema."""
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert problem is None, problem
    bill: dict[str, Any] = json.loads(text)
    return bill


def test_the_images_bill_holds_python_and_debian() -> None:
    """What is installed, by package URL; what is only configured is not there."""
    text = json.dumps(sbom.with_debian(PYTHON, STATUS, OS))
    purls = [one["purl"] for one in validated(text)["components"]]

    assert purls == [
        "pkg:pypi/flask@3.1",
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64&distro=debian-13",
        "pkg:deb/debian/perl-base@5.40.1-6?arch=amd64&distro=debian-13",
    ]


def test_the_charts_bill_names_the_image_that_it_runs() -> None:
    """By repository and tag."""
    bill = validated(sbom.chart_bill(ROOT / "charts" / "tracking-injector"))
    (image,) = bill["components"]

    assert bill["metadata"]["component"]["name"] == "tracking-injector"
    purl = PackageURL.from_string(image["purl"])
    assert purl.type == "oci"
    assert isinstance(purl.qualifiers, dict)
    assert purl.qualifiers["repository_url"].endswith("/tracking-injector")
    assert image["version"] == bill["metadata"]["component"]["version"]


def test_a_digest_in_the_values_is_the_images(tmp_path: Path) -> None:
    """A chart that is bound to a digest says so in its bill."""
    digest = "sha256:" + "0a" * 32
    (tmp_path / "Chart.yaml").write_text(
        "{name: a, version: 1.2.3, appVersion: 1.2.3, description: d}"
    )
    (tmp_path / "values.yaml").write_text(
        f"image: {{repository: r.example/a, tag: '', digest: '{digest}'}}"
    )
    (image,) = validated(sbom.chart_bill(tmp_path))["components"]

    assert image["version"] == digest
    assert image["hashes"] == [{"alg": "SHA-256", "content": "0a" * 32}]


@pytest.mark.parametrize("what", ["chart", "image"])
def test_equal_inputs_give_equal_bytes(what: str) -> None:
    """No time, and no number by chance."""
    chart = ROOT / "charts" / "tracking-injector"
    made = [
        sbom.chart_bill(chart)
        if what == "chart"
        else json.dumps(sbom.with_debian(PYTHON, STATUS, OS))
        for _ in range(2)
    ]

    assert made[0] == made[1]
