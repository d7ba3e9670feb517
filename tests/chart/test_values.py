"""Values, schema, the file with all options and the documentation agree."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, Chart, RefusedError

SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
ALL_OPTIONS = yaml.safe_load(
    (CHART / "ci" / "all-options-values.yaml").read_text("utf-8")
)

IGNORED = {"global"}
"""Helm hands it to every chart."""


def schema_keys(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of everything that the schema names and an operator can set."""
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            yield from schema_keys(inner, f"{path}{name}.")
        elif path + name not in IGNORED:
            yield path + name


def value_of(values: Any, path: str) -> Any:
    """What is set at a path.

    Raises:
        KeyError: If nothing is.
    """
    for name in path.split("."):
        values = values[name]
    return values


def value_keys(values: dict[str, Any], known: set[str], path: str = "") -> set[str]:
    """Paths set in a values file, down to where the schema leaves a map free."""
    found: set[str] = set()
    for name, inner in values.items():
        here = path + name
        if here in known or not isinstance(inner, dict):
            found.add(here)
        else:
            found |= value_keys(inner, known, f"{here}.")
    return found


KEYS = set(schema_keys(SCHEMA))


def objects_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of the schema that describes named fields."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for inner in schema.values():
            yield from objects_of(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from objects_of(inner)


def test_values_and_schema_name_the_same_keys() -> None:
    """Every key has a default, and every default is checked."""
    assert value_keys(VALUES, KEYS) == KEYS


def test_the_file_with_all_options_sets_every_key() -> None:
    """So that what is tested with it is tested for every option."""
    assert value_keys(ALL_OPTIONS, KEYS) == KEYS


def test_the_file_with_all_options_differs_from_every_default() -> None:
    """A key that is set to its default tests nothing."""
    same = {k for k in KEYS if value_of(ALL_OPTIONS, k) == value_of(VALUES, k)}

    # The first cannot be switched on beside hostNetwork, the others not beside a
    # ConfigMap; another file in ci/ and `test_settings.py` do.
    ca = {"tracking.caBundle.pem", "tracking.caBundle.existingSecret"}
    assert {"networkPolicy.enabled", *ca} == same


def test_the_schema_lets_no_unknown_key_pass() -> None:
    """A typing mistake never passes for a default."""
    open_objects = [
        one
        for one in objects_of(SCHEMA)
        if one.get("additionalProperties") is not False
    ]

    assert open_objects == []


def test_every_value_is_documented() -> None:
    """A comment that begins with `# --` stands right above each key."""
    lines = (CHART / "values.yaml").read_text("utf-8").splitlines()
    documented: set[str] = set()
    path: list[str] = []
    comment = False
    for line in lines:
        if line.strip().startswith("#"):
            comment |= line.strip().startswith("# --")
        elif match := re.match(r"( *)(\w+):", line):
            path = [*path[: len(match[1]) // 2], match[2]]
            if comment:
                documented.add(".".join(path))
            comment = False

    assert documented == KEYS


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_is_checked(chart: Chart, key: str) -> None:
    """An object of an odd shape is refused everywhere."""
    *parents, name = key.split(".")
    values: dict[str, Any] = {}
    inner = values
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[name] = 0.5

    with pytest.raises(RefusedError, match=rf"{name}"):
        chart.render(values)


@pytest.mark.parametrize(
    "values",
    [
        {"webook": {"replicas": 2}},
        {"webhook": {"replica": 2}},
        {"webhook": {"replicas": 0}},
        {"webhook": {"port": 65536}},
        {"webhook": {"timeoutSeconds": 31}},
        {"injection": {"precedence": "overide"}},
        {"injection": {"enforcedKeys": ["NOT-A-NAME"]}},
        {"namespaces": {"allowed": ["Team_A"]}},
        {"namespaces": {"excluded": ["kube-*"]}},
        {"image": {"digest": "sha256:1234"}},
        {"tracking": {"uri": "https://tracker.example.com/ "}},
        {"tracking": {"profiles": {"default": []}}},
        {"tracking": {"profiles": {"default": [{"secrets": "a"}]}}},
        {"tracking": {"profiles": {"default": {"preset": "mlflow"}}}},
        {"tracking": {"uri": "https://a.example", "preset": "mlfow"}},
        {"tracking": {"uri": "https://a.example", "aliases": {"A-B": "C"}}},
        {"networkPolicy": {"apiServerCidrs": ["10.0.0.1"]}},
        {"pods": {"userId": 0}},
    ],
    ids=json.dumps,
)
def test_a_wrong_value_is_refused(
    chart: Chart, values: dict[str, dict[str, Any]]
) -> None:
    """The message names the key."""
    ((group, inner),) = values.items()

    with pytest.raises(RefusedError, match=rf"{next(iter(inner))}|{group}"):
        chart.render(values)
