"""Names, labels and selectors of everything the chart makes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import (
    CHART,
    EVERY_VALUES,
    RELEASE,
    Chart,
    Manifest,
    Rendered,
)
from webhook import __version__
from webhook.injection.names import DOMAIN, MIRROR_SECRET

COMPANION = f"{RELEASE}-companion"
ODD_NAMES = {"o-name": "on", "a-team": "007", "a-release": "1234567", "a-home": "0042"}
"""Ordinary names, and such as YAML takes for something else."""

CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


def test_the_main_objects_carry_the_releases_name(default: Rendered) -> None:
    """An operator finds them without asking."""
    assert {RELEASE, COMPANION} == default.names("Deployment")
    assert {RELEASE, f"{RELEASE}-metrics"} == default.names("Service")
    assert {RELEASE} == default.names("MutatingWebhookConfiguration")


def test_every_object_says_what_it_is_and_where_it_goes(rendered: Rendered) -> None:
    """Recommended labels, and a namespace on whatever lives in one."""
    for one in rendered.manifests:
        labels = one["metadata"]["labels"]

        assert "tracking-injector" == labels["app.kubernetes.io/name"]
        assert RELEASE == labels["app.kubernetes.io/instance"]
        assert (one["kind"] in CLUSTER_SCOPED) is ("namespace" not in one["metadata"])


def test_no_two_objects_share_a_name(rendered: Rendered) -> None:
    """Helm would keep one of them."""
    names = [
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
        for one in rendered.manifests
    ]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "file", EVERY_VALUES, ids=lambda path: path.stem if path else "default"
)
def test_a_name_that_yaml_takes_for_something_else_stays_a_name(
    chart: Chart, file: Path | None
) -> None:
    """Tenants' namespaces are numbers somewhere, and previews are named by commits."""
    plain, odd = (
        chart.render(
            {
                "fullnameOverride": name,
                "namespaces": {"allowed": [team]},
                "tests": {"namespace": team},
                "pods": {"priorityClassName": team},
            },
            files=[file] if file else [],
            release=release,
            namespace=home,
        )
        for name, team, release, home in (ODD_NAMES, ODD_NAMES.values())
    )

    assert list(odd.manifests) == renamed(list(plain.manifests))


def renamed(value: Any) -> Any:
    """The same with the odd names, in strings only."""
    match value:
        case dict():
            return {renamed(key): renamed(one) for key, one in value.items()}
        case list():
            return [renamed(one) for one in value]
        case str():
            return re.sub("|".join(ODD_NAMES), lambda word: ODD_NAMES[word[0]], value)
        case _:
            return value


def test_selectors_find_their_pods_and_no_others(serving: Rendered) -> None:
    """Services and budgets select one component's pods, whatever version."""
    pods = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in serving.all("Deployment")
    }
    selectors = {
        one["metadata"]["name"]: one["spec"]["selector"]["matchLabels"]
        for one in serving.all("PodDisruptionBudget") + serving.all("Deployment")
    }
    service = serving.all("Service")[0]
    selectors[f"service {service['metadata']['name']}"] = service["spec"]["selector"]

    for name, selector in selectors.items():
        found = [
            pod for pod, labels in pods.items() if selector.items() <= labels.items()
        ]

        assert [name.removeprefix("service ")] == found
        assert not any("version" in label or "chart" in label for label in selector)


def test_every_pod_of_ours_may_call_whom_it_calls(chart: Chart) -> None:
    """Also in a namespace that denies everything: a hook that cannot call is stuck."""
    rendered = chart.render(
        {"networkPolicy": {"enabled": True}, "tests": {"namespace": "ray-jobs"}}
    )
    selected = {
        one["metadata"]["name"]: sorted(
            pod["metadata"]["labels"]["app.kubernetes.io/component"]
            for pod in rendered.pods()
            if selects(one["spec"]["podSelector"], pod["metadata"]["labels"])
        )
        for one in rendered.all("NetworkPolicy")
    }

    assert {
        RELEASE: ["webhook"],
        COMPANION: ["companion", "test", "test", "uninstall"],
    } == selected


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector of ours, by labels or by `In`, selects a pod."""
    return selector["matchLabels"].items() <= labels.items() and all(
        labels[one["key"]] in one["values"]
        for one in selector.get("matchExpressions", [])
    )


def test_names_of_ours_are_spelled_as_in_the_code() -> None:
    """The chart cannot import them, so they are compared."""
    helpers = (CHART / "templates" / "_helpers.tpl").read_text("utf-8")
    defined = dict(
        re.findall(r'define "tracking-injector\.(\w+)" -\}\}\n(.+)\n', helpers)
    )

    assert defined["domain"] == DOMAIN
    assert defined["mirror"] == MIRROR_SECRET


def test_chart_image_and_program_share_one_version() -> None:
    """They are released together."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))

    assert {__version__} == {chart["version"], chart["appVersion"]}
