"""Bills of materials in CycloneDX, of the image and of the chart.

python .ci/sbom.py image --python FILE --debian STATUS --os-release FILE
    adds the packages of the Debian beneath, by dpkg's own list, to the bill of the
    Python environment
python .ci/sbom.py chart
    the chart, and the image that it runs

Both print. Equal inputs give equal bytes: no time and no random number is in them.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, Final

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT: Final = Path(__file__).parents[1]
CHART: Final = ROOT / "charts" / "tracking-injector"
_OS: Final = re.compile(r"^(ID|VERSION_ID)=\"?([^\"\n]+)\"?$", re.MULTILINE)


def debian_packages(status: str, release: str = "") -> Iterator[Component]:
    """The packages that dpkg has installed.

    Args:
        status: Its file `/var/lib/dpkg/status`.
        release: The file `/etc/os-release` beside it, for the distribution's name.
    """
    known = dict(_OS.findall(release))
    distro = f"{known.get('ID', 'debian')}-{known.get('VERSION_ID', '')}".rstrip("-")
    for paragraph in re.split(r"\n\n+", status.strip()):
        fields = HeaderParser().parsestr(paragraph)
        if "installed" not in fields.get("Status", "").split()[-1:]:
            continue
        name, version = fields["Package"], fields["Version"]
        qualifiers = {"arch": fields["Architecture"], "distro": distro}
        purl = PackageURL("deb", "debian", name, version, qualifiers)
        yield Component(
            name=name,
            version=version,
            purl=purl,
            bom_ref=purl.to_string(),
            type=ComponentType.LIBRARY,
        )


def with_debian(bill: Mapping[str, Any], status: str, release: str) -> dict[str, Any]:
    """The bill of a Python environment with the Debian beneath it."""
    added = json.loads(_text(Bom(components=debian_packages(status, release))))
    components = [*bill.get("components", ()), *added.get("components", ())]
    return {**bill, "components": sorted(components, key=lambda one: one["bom-ref"])}


def chart_bill(chart: Path) -> str:
    """The bill of the chart: itself, and the images that its values name."""
    import yaml  # noqa: PLC0415 - where the image is built there is none

    about = yaml.safe_load((chart / "Chart.yaml").read_text("utf-8"))
    image = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))["image"]
    bom = Bom()
    name, version = about["name"], about["version"]
    bom.metadata.component = Component(
        name=name,
        version=version,
        description=about["description"],
        type=ComponentType.APPLICATION,
        licenses=[LicenseExpression("Apache-2.0")],
        purl=PackageURL("helm", None, name, version),
        bom_ref=f"helm:{name}",
    )
    repository, digest = image["repository"], image["digest"]
    tag = image["tag"] or about["appVersion"]
    bom.components.add(
        Component(
            name=repository,
            version=digest or tag,
            type=ComponentType.CONTAINER,
            purl=PackageURL(
                "oci",
                None,
                repository.rpartition("/")[2],
                digest or None,
                {"repository_url": repository, "tag": tag},
            ),
            bom_ref=f"oci:{repository}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest[7:])]
            if digest
            else [],
            properties=[Property(name="tag", value=tag)],
        )
    )
    bom.register_dependency(bom.metadata.component, bom.components)
    return _text(bom)


def _text(bom: Bom) -> str:
    """As JSON, without what differs from one run to the next."""
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    written.pop("serialNumber", None)
    written.get("metadata", {}).pop("timestamp", None)
    return json.dumps(written, indent=2, sort_keys=True)


def main() -> int:
    """Print one bill."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_image = commands.add_parser("image")
    of_image.add_argument("--python", type=Path, required=True)
    of_image.add_argument("--debian", type=Path, required=True)
    of_image.add_argument("--os-release", type=Path, required=True)
    commands.add_parser("chart")
    given = parser.parse_args()
    if given.command == "chart":
        print(chart_bill(CHART))
        return 0
    bill = with_debian(
        json.loads(given.python.read_text("utf-8")),
        given.debian.read_text("utf-8"),
        given.os_release.read_text("utf-8"),
    )
    print(json.dumps(bill, indent=2, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
