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
from tests.unit.doctor.test_check import CHECKS, Broken
from webhook.cli.doctor_view import Examination, as_json
from webhook.cli.main import cli
from webhook.cluster.interface import ObjectKey
from webhook.cluster.resources import DEPLOYMENT, LEASE
from webhook.doctor.check import examine

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE, SAMPLES = DOCS / "reference", DOCS / "samples"


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


@pytest.mark.parametrize("values", [[], ["--show-values"]], ids=["plain", "values"])
def test_explain_prints_what_its_schema_says(values: list[str]) -> None:
    """Of what exists and what does not, with values and without."""
    pods = SAMPLES / "pod.yaml", SAMPLES / "ray-cluster.yaml"
    words = [word for path in pods for word in ("-f", str(path))]
    result = CliRunner().invoke(cli, ["explain", *words, *values, "-o", "json"])
    document = json.loads(result.output)
    check("explain", document)

    assert len(document) >= 2
    assert all("value" in one for one in variables(document)) is bool(values)
    del document[0]["reason"]
    with pytest.raises(jsonschema.ValidationError):
        check("explain", document)


def variables(document: Any) -> list[Any]:
    """Every variable of every container."""
    return [
        one
        for pod in document
        for container in pod["containers"]
        for one in container["variables"]
    ]


def test_doctor_before_an_install_prints_what_its_schema_says(
    site: FakeInstallation,
) -> None:
    """The real command, in a cluster with a release and in one without."""
    with reached(site):
        result = CliRunner().invoke(cli, ["doctor", "--pre", "-o", "json"])
    document = json.loads(result.output)
    check("doctor", document)

    assert len(document["clusters"][0]["checks"]) > 10


def test_doctor_prints_what_its_schema_says() -> None:
    """In order, with every kind of outcome, and where nothing could be examined."""
    facts = Broken(frozenset({"A", "C"}))
    examinations = [
        Examination(
            context="here", about="a/b", diagnoses=tuple(examine(CHECKS, facts))
        ),
        Examination(context="gone", about="not examined", error="No access."),
    ]
    document = json.loads(as_json(examinations, every=False))
    check("doctor", document)

    assert document["clusters"][0]["firstCause"]["code"] == "A"
    del document["clusters"][0]["inOrder"]
    with pytest.raises(jsonschema.ValidationError):
        check("doctor", document)
