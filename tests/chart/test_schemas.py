"""What the chart makes is what each supported release of Kubernetes takes.

kubeconform compares it with schemas made of what the releases say of themselves, in
their own `swagger.json`: nothing is fetched. An unknown field is an error.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import (
    EVERY_VALUES,
    FOREIGN,
    WITHOUT_WEBHOOK,
    Chart,
    Rendered,
)
from tests.lab.build import Toolbox

RELEASES = ("1.33", "1.34", "1.35", "1.36", "1.37")
LOCATION = "{{ .ResourceKind }}_{{ .Group }}_{{ .ResourceAPIVersion }}.json"
KINDS = "x-kubernetes-group-version-kind"


def definitions(swagger: Path) -> dict[str, Any]:
    """What a release says of each type, made strict."""
    found: dict[str, Any] = json.loads(swagger.read_text("utf-8"))["definitions"]
    for one in found.values():
        if "properties" in one:
            one.setdefault("additionalProperties", False)
        if one.get("format") == "int-or-string":
            one["type"] = ["integer", "string"]
    found["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {
        "type": ["number", "string"]
    }
    return found


def references(schema: Any) -> Iterator[str]:
    """Names of the types that a schema refers to."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for inner in schema.values():
            yield from references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from references(inner)


def closure(name: str, known: dict[str, Any]) -> dict[str, Any]:
    """A type and every one that it is made of."""
    found: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = known[one]
            waiting.extend(references(known[one]))
    return found


def write(folder: Path, kind: str, group: str, version: str, schema: Any) -> None:
    """Where kubeconform looks for it; the core's group is its version there."""
    name = f"{kind.lower()}_{group or version}_{version}.json"
    (folder / name).write_text(json.dumps(schema), "utf-8")


@pytest.fixture(scope="session", params=RELEASES)
def schemas(
    request: pytest.FixtureRequest,
    toolbox: Toolbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder of schemas: a release's own, and those of other operators' kinds."""
    folder = tmp_path_factory.mktemp("schemas")
    swagger = toolbox.share(f"openapi-{request.param}", "api/openapi-spec/swagger.json")
    known = definitions(swagger)
    for name, one in known.items():
        for kind in one.get(KINDS, ()):
            schema = {
                "$ref": f"#/definitions/{name}",
                "definitions": closure(name, known),
            }
            write(folder, kind["kind"], kind["group"], kind["version"], schema)
    for tool, path in FOREIGN:
        crd = yaml.safe_load(toolbox.share(tool, path).read_text("utf-8"))
        spec = crd["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            where = spec["names"]["kind"], spec["group"], version["name"]
            write(folder, *where, schema)
    return folder


def problems(toolbox: Toolbox, schemas: Path, rendered: Rendered) -> list[Any]:
    """What kubeconform finds wrong."""
    done = subprocess.run(
        [
            *(toolbox.program("kubeconform"), "-strict", "-output", "json"),
            *("-schema-location", f"{schemas}/{LOCATION}"),
        ],
        input=rendered.text,
        capture_output=True,
        text=True,
        check=False,
    )
    found: list[Any] = json.loads(done.stdout)["resources"]
    return [(one["kind"], one["name"], one["msg"]) for one in found]


def test_every_object_is_as_the_release_has_it(
    toolbox: Toolbox, chart: Chart, schemas: Path
) -> None:
    """With every values file, hooks and tests included."""
    policy = "mutatingadmissionpolicy_admissionregistration.k8s.io_v1.json"
    for file in EVERY_VALUES:
        if file == WITHOUT_WEBHOOK and not (schemas / policy).exists():
            continue  # it asks for Kubernetes 1.36, which serves such a policy
        rendered = chart.render(files=[file] if file else [])

        assert problems(toolbox, schemas, rendered) == []


def test_a_field_that_no_release_knows_is_found(
    toolbox: Toolbox, default: Rendered, schemas: Path
) -> None:
    """So the comparison can fail."""
    broken = Rendered(default.text.replace("reinvocationPolicy:", "againPolicy:"), ())

    (found,) = problems(toolbox, schemas, broken)

    assert ("MutatingWebhookConfiguration", True) == (
        found[0],
        "againPolicy" in found[2],
    )
