"""What is mistyped or left empty is refused by its name, before anything is made.

An API server refuses some of it too, halfway through an installation; most of it would
end as a pod that never starts.
"""

import re
from collections.abc import Iterable
from typing import Any

import pytest

from tests.chart.rendering import Chart, RefusedError, Rendered
from tests.chart.test_settings import environ
from tests.chart.test_values import KEYS, VALUES, value_of
from webhook.egress.destinations import parse_extra
from webhook.settings import CompanionSettings, Settings

MISTYPED: tuple[tuple[str, Any], ...] = (
    ("commonLabels", {"cost center": "42"}),
    ("commonLabels", {"example.com/team": "ML platform"}),
    ("commonLabels", {"example.com/a/b": "c"}),
    ("webhook.podLabels", {"team": "a" * 64}),
    ("webhook.nodeSelector", {"disk": "ssd drive"}),
    ("webhook.podAnnotations", {"not a key": "a"}),
    ("webhook.configurationAnnotations", {"a/": "b"}),
    ("companion.serviceAccount.annotations", {"eks.amazonaws.com role": "a"}),
    ("metrics.serviceMonitor.labels", {"release": "a b"}),
    ("webhook.resources", {"limit": {"memory": "1Gi"}}),
    ("webhook.resources", {"limits": {"memory": "1GB"}}),
    ("companion.resources", {"requests": {"cpu": "half"}}),
    ("companion.resources", {"requests": {"cpu": -1}}),
    ("image.repository", "ghcr.io/ml/injector:1.0"),
    ("image.repository", "https://ghcr.io/ml/injector"),
    ("image.repository", "ghcr.io/ML/injector"),
    ("image.tag", "sha256:abc"),
    ("image.tag", "1.0 "),
    ("pods.maxUnavailable", "0%"),
    ("pods.maxUnavailable", "150%"),
    ("pods.bindAddress", "localhost"),
    ("pods.bindAddress", "::"),
    ("egress.hosts", ["*.s3.amazonaws.com"]),
    ("egress.hosts", ["s3.example.com:99999"]),
    ("egress.hosts", ["10.0.0.0/129"]),
    ("egress.baseline.storage", ["s3.example.com:0"]),
    ("egress.clusterDomain", "cluster..local"),
    ("tracking.existingSecret", "tracking..keys"),
    ("networkPolicy.apiServerCidrs", ["10.0.0.0/99"]),
    ("networkPolicy.apiServerCidrs", ["fd00::/129"]),
    ("networkPolicy.metricsFrom", [{}]),
    ("networkPolicy.metricsFrom", [{"podselector": {}}]),
    ("metrics.serviceMonitor.interval", "5s1m"),
    ("webhook.extraNamespaceExpressions", [{"key": "a b", "operator": "Exists"}]),
)

UNUSUAL: tuple[tuple[str, Any], ...] = (
    ("commonLabels", {"a": "", "Example_1.b": "C_d.e", "x.example.com/y": "1"}),
    ("webhook.podAnnotations", {"example.com/text": "any text: at all\n"}),
    ("webhook.nodeSelector", {"node-role.kubernetes.io/infra": ""}),
    ("companion.resources", {"requests": {"cpu": 0.5, "memory": "1e9"}}),
    ("companion.resources", {"limits": {"ephemeral-storage": "1.5Gi", "cpu": 2}}),
    ("image.repository", "injector"),
    ("image.repository", "registry:5000/ml/tracking-injector__x"),
    ("image.repository", "123.dkr.ecr.eu-central-1.amazonaws.com/ml/injector"),
    ("image.repository", "[fd00::1]:5000/injector"),
    ("image.tag", "v1.2.3-rc.1_build"),
    ("pods.maxUnavailable", "100%"),
    ("pods.bindAddress", "[fd00::1]"),
    ("egress.hosts", ["S3.Example.com.", "a_b.example:1", "münchen.example:65535"]),
    ("egress.hosts", ["10.0.0.5/8:9000", "fd00::/64", "[fd00::/64]:80", "::1"]),
    ("networkPolicy.apiServerCidrs", ["0.0.0.0/0", "::/0", "fd00::1/128"]),
    ("networkPolicy.metricsFrom", [{"podSelector": {}, "namespaceSelector": {}}]),
    ("metrics.serviceMonitor.interval", "1m30s"),
    ("tracking.existingSecret", "tracking.keys-1"),
    ("webhook.extraNamespaceExpressions", [{"key": "a/b", "operator": "Exists"}]),
)

SECTIONS = {
    ".".join(parts[:end])
    for parts in (key.split(".") for key in KEYS)
    for end in range(1, len(parts))
}
EMPTY = {key for key in KEYS if value_of(VALUES, key) in ("", [], {}, None)}
FILLED = {
    *(key for key in KEYS - EMPTY if isinstance(value_of(VALUES, key), list | dict)),
    "pods.userId",  # whose `null` is documented
} - {"networkPolicy.apiServerPorts"}  # none would be all
NEEDED = KEYS - EMPTY - FILLED


def nested(key: str, value: Any, into: dict[str, Any] | None = None) -> dict[str, Any]:
    """Values that set one key."""
    values = inner = {} if into is None else into
    *parents, name = key.split(".")
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[name] = value
    return values


def without(keys: Iterable[str]) -> dict[str, Any]:
    """Values that take each of the keys away.

    A heading whose lines are all comments does, and so does `--reuse-values` of a
    release from before the key.
    """
    values: dict[str, Any] = {}
    for key in keys:
        nested(key, None, values)
    return values


@pytest.mark.parametrize(("key", "value"), MISTYPED)
def test_what_is_mistyped_is_refused(by_each_helm: Chart, key: str, value: Any) -> None:
    """By the key that it stands at."""
    with pytest.raises(RefusedError) as refused:
        by_each_helm.render(nested(key, value))

    said = str(refused.value)
    assert f"at '/{key.replace('.', '/')}" in said


@pytest.mark.parametrize(("key", "value"), UNUSUAL)
def test_what_is_unusual_and_right_is_taken(chart: Chart, key: str, value: Any) -> None:
    """By the chart, and by both processes."""
    rendered = chart.render(nested(key, value))

    companion = CompanionSettings.from_environ(environ(rendered, "companion"))
    assert Settings.from_environ(environ(rendered, "webhook"))
    assert all(parse_extra(host, "egress.hosts") for host in companion.egress_hosts)


def test_no_value_is_as_good_as_an_empty_one(chart: Chart, default: Rendered) -> None:
    """Where the default is empty; elsewhere a list or a map is then without entries."""
    assert default.manifests == chart.render(without(EMPTY)).manifests
    assert chart.render(without(FILLED)).manifests


@pytest.mark.parametrize(
    "keys",
    [NEEDED, *({s for s in SECTIONS if s.count(".") == depth} for depth in (0, 1))],
    ids=["values", "groups", "groups-in-groups"],
)
def test_what_has_to_be_there_is_missed_by_name(chart: Chart, keys: set[str]) -> None:
    """Numbers, choices and whole groups, instead of an error about the templates."""
    with pytest.raises(RefusedError) as refused:
        chart.render(without(keys))

    missing = {
        ".".join([*place.split("/")[1:], name])
        for place, names in re.findall(
            r"at '(.*)': missing propert(?:y|ies) (.*)", str(refused.value)
        )
        for name in re.findall(r"'(\w+)'", names)
    }
    assert keys == missing
