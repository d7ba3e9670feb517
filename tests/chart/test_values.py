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


def schema_keys(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of everything that the schema names and an operator can set."""
    for name, inner in schema["properties"].items():
        if inner.get("type") == "object" and "properties" in inner:
            yield from schema_keys(inner, f"{path}{name}.")
        else:
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


KEYS = set(schema_keys(SCHEMA)) - {"enabled"}
"""All but the parent chart's own."""


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

    # A parent chart may have more in it, for its other charts.
    assert open_objects == [SCHEMA["properties"]["global"]]


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


WRONG: dict[str, tuple[Any, str]] = {
    # value as on a command line: what is set, and what Helm says of it
    "webhook.replica": (2, "additional properties 'replica' not allowed"),
    "webhook.replicas": (-1, "minimum: got -1, want 0"),
    "companion.replicas": ("2", "got string, want integer"),
    "webhook.port": (65536, "maximum: got 65,536, want 65,535"),
    "webhook.healthPort": (0, "minimum: got 0, want 1"),
    "webhook.timeoutSeconds": (31, "maximum: got 31, want 30"),
    "webhook.hostNetwork": ("yes", "got string, want boolean"),
    "webhook.strategy": (
        {"typ": "Recreate"},
        "additional properties 'typ' not allowed",
    ),
    "webhook.topologySpreadConstraints": (
        [{"topologyKey": "zone"}],
        "missing properties 'maxSkew', 'whenUnsatisfiable'",
    ),
    "webhook.extraNamespaceExpressions": (
        [{"key": "a", "operator": "Equals"}],
        "value must be one of 'In', 'NotIn', 'Exists', 'DoesNotExist'",
    ),
    "companion.extraEnv": ([{"value": "a"}], "missing property 'name'"),
    "companion.extraVolumes": ([{"emptyDir": {}}], "missing property 'name'"),
    "companion.extraVolumeMounts": (
        [{"name": "a"}],
        "missing property 'mountPath'",
    ),
    "companion.serviceAccount": (
        {"name": "other"},
        "additional properties 'name' not allowed",
    ),
    "injection.precedence": (
        "overide",
        "value must be one of 'fallback', 'override'",
    ),
    "injection.onMissing": ("skip", "value must be one of 'wait', 'start'"),
    "injection.enforcedKeys": (["NOT-A-NAME"], "'NOT-A-NAME' does not match pattern"),
    "namespaces.allowed": (["Team_A"], "'Team_A' does not match pattern"),
    "namespaces.excluded": (["kube-*"], "'kube-*' does not match pattern"),
    "image.digest": ("sha256:1234", "'sha256:1234' does not match pattern"),
    "image.pullPolicy": ("Sometimes", "'IfNotPresent', 'Always', 'Never'"),
    "imagePullSecrets": (["registry"], "got string, want object"),
    "global.imageRegistry": (
        "https://registry.example.com",
        "does not match pattern",
    ),
    "commonLabels": ({"example.com/team": 1}, "got number, want string"),
    "tracking.uri": ("https://tracker.example.com/ ", "does not match pattern"),
    "tracking.profiles": (
        {"default": [{"secrets": "a"}]},
        "additional properties 'secrets' not allowed",
    ),
    "tracking.profiles.research": (
        {"preset": "mlflow"},
        "missing property 'sources'",
    ),
    "tracking.preset": ("mlfow", "value must be one of ''"),
    "tracking.aliases": ({"A-B": "C"}, "additional properties 'A-B' not allowed"),
    "tracking.caBundle.key": ("", "does not match pattern"),
    "tracking.existingSecret": ("Keys", "'Keys' does not match pattern"),
    "certificates.mode": ("self", "'companion', 'certManager', 'provided'"),
    "certificates.companion.days": (0, "minimum: got 0, want 1"),
    "egress.mode": ("on", "'off', 'observe', 'additive', 'isolate'"),
    "egress.hosts": (["https://s3.example.com"], "does not match pattern"),
    "egress.addressesPerName": (10_000, "maximum: got 10,000, want 8,192"),
    "networkPolicy.apiServerCidrs": (["10.0.0.1"], "'10.0.0.1' does not match pattern"),
    "metrics.serviceMonitor.interval": ("30", "'30' does not match pattern"),
    "log.level": ("debug", "value must be one of 'info', 'warning', 'error'"),
    "log.format": ("yaml", "value must be one of 'json', 'text'"),
    "pods.userId": (0, "minimum: got 0, want 1"),
}


def test_a_group_that_there_is_not_is_refused(chart: Chart) -> None:
    """A typing mistake in its name, which no message can place."""
    with pytest.raises(RefusedError, match="additional properties 'webook'"):
        chart.render({"webook": {"replicas": 2}})


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_is_refused_in_a_sentence(by_each_helm: Chart, key: str) -> None:
    """It names the key, and what is wrong with it."""
    value, sentence = WRONG[key]
    values: dict[str, Any] = {}
    inner = values
    *parents, name = key.split(".")
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[name] = value

    with pytest.raises(RefusedError) as refused:
        by_each_helm.render(values)

    said = str(refused.value)
    assert sentence in said
    # Of a wrong key Helm says no place, or another value's.
    assert name in said or "invalid propertyName" in said
