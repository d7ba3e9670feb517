"""What commands print for programs is what the published schemas say."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest
from click.testing import CliRunner

from tests.fakes.installation import HOME, NAME, NOW, FakeInstallation
from tests.unit.cli import test_fleet
from tests.unit.cli.test_status import missing, reached, run
from tests.unit.companion.observation.test_troubles import found
from webhook.cli.main import cli
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import DEPLOYMENT, LEASE

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def check(name: str, document: Any) -> None:
    """Hold a document to the published schema of that name."""
    schema = json.loads((REFERENCE / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.fixture(name="site", params=[False, True], ids=["healthy", "broken"])
def _site(request: pytest.FixtureRequest) -> FakeInstallation:
    site = FakeInstallation()
    site.publish(found())
    if request.param:
        missing(site)
        site.cluster.forbid(lambda call: call.kind == LEASE)
        site.cluster.drop(DEPLOYMENT, ObjectKey(HOME, NAME))
    return site


def test_status_prints_what_its_schema_says(site: FakeInstallation) -> None:
    """Healthy and broken; a field less is noticed."""
    document = json.loads(run(site, "-o", "json").output)
    check("status", document)

    del document["inOrder"]
    with pytest.raises(jsonschema.ValidationError):
        check("status", document)


def test_the_report_is_what_its_schema_says(site: FakeInstallation) -> None:
    """The ConfigMap's own text."""
    check("report", json.loads(run(site, "-o", "json").output)["report"])
    check("report", found())


def test_the_fleet_is_what_its_schema_says(tmp_path: Path) -> None:
    """With one that has no access."""
    sites = {"here": test_fleet.site(), "gone": None}
    result = test_fleet.run(tmp_path, sites, "-o", "json")
    check("fleet", json.loads(result.output))


def test_version_prints_what_its_schema_says(site: FakeInstallation) -> None:
    """Whether the Deployment is there or not."""
    with reached(site), patch("webhook.cli.version.now", lambda: NOW):
        result = CliRunner().invoke(cli, ["version", "-o", "json"])
    check("version", json.loads(result.output))
