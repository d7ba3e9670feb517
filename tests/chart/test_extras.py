"""What operators add to what the chart makes: registries, labels, pods' extras."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, KUBERNETES, Chart, RefusedError, Rendered

EXTRA = {"name": "extra", "emptyDir": {}}
MOUNT = {"name": "extra", "mountPath": "/extra"}
VARIABLE = {"name": "TZ", "value": "Europe/Berlin"}
ZONES = {
    "maxSkew": 1,
    "topologyKey": "topology.kubernetes.io/zone",
    "whenUnsatisfiable": "DoNotSchedule",
}


def images(rendered: Rendered) -> set[str]:
    """The images of every pod."""
    return {
        container["image"]
        for pod in rendered.pods()
        for container in pod["spec"]["containers"]
    }


@pytest.mark.parametrize(
    ("repository", "registry", "image"),
    [
        ("ghcr.io/ml/injector", "", "ghcr.io/ml/injector:1"),
        (
            "ghcr.io/ml/injector",
            "mirror.example.com",
            "mirror.example.com/ml/injector:1",
        ),
        ("localhost/injector", "m.example.com/gh", "m.example.com/gh/injector:1"),
        ("registry:5000/injector", "m.example.com", "m.example.com/injector:1"),
        # No registry of its own: Docker's, whose path stays whole.
        ("ml/injector", "m.example.com", "m.example.com/ml/injector:1"),
    ],
)
def test_a_registry_stands_in_for_the_images_own(
    chart: Chart, repository: str, registry: str, image: str
) -> None:
    """In every pod, hooks and tests included."""
    rendered = chart.render(
        {
            "global": {"imageRegistry": registry},
            "image": {"repository": repository, "tag": "1"},
        }
    )

    assert {image} == images(rendered)


def test_labels_in_common_are_on_every_object_and_pod(chart: Chart) -> None:
    """And in no selector, which could not change with them."""
    label = {"example.com/cost-center": "42"}
    values = {
        "commonLabels": label,
        "metrics": {
            name: {"enabled": True} for name in ("serviceMonitor", "dashboard")
        },
        "tests": {"namespace": "ray-jobs"},
    }
    rendered = chart.render(values)
    pods = [one["metadata"]["labels"] for one in rendered.pods()]

    assert all(
        label.items() <= one["metadata"]["labels"].items() for one in rendered.manifests
    )
    assert all(label.items() <= labels.items() for labels in pods)
    assert not any(
        label.keys() & one["spec"]["selector"]["matchLabels"].keys()
        for one in rendered.all("Deployment") + rendered.all("PodDisruptionBudget")
    )


@pytest.mark.parametrize(
    "place",
    ["webhook.podLabels", "metrics.serviceMonitor.labels", "metrics.dashboard.labels"],
)
def test_a_label_of_one_object_wins_over_one_in_common(
    chart: Chart, place: str
) -> None:
    """It is there once: a key twice is no YAML."""
    values: dict[str, Any] = {"commonLabels": {"release": "common"}}
    inner = values
    *parents, name = place.split(".")
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[name] = {"release": "own"}
    inner |= {"enabled": True} if parents[0] == "metrics" else {}
    rendered = chart.render(values)
    labels = [one["metadata"]["labels"] for one in rendered.manifests]
    labels += [one["metadata"]["labels"] for one in rendered.pods()]

    assert ["own"] == [one["release"] for one in labels if one["release"] != "common"]
    assert 1 == rendered.text.count("release: own\n")


@pytest.mark.parametrize("component", ["webhook", "companion"])
def test_a_deployment_takes_what_a_platform_asks_for(
    chart: Chart, component: str
) -> None:
    """Its own strategy and spread replace ours; the rest is added to ours."""
    plain = chart.render().deployment(component)["spec"]["template"]["spec"]
    rendered = chart.render(
        {
            component: {
                "strategy": {"type": "Recreate"},
                "topologySpreadConstraints": [ZONES],
                "extraEnv": [VARIABLE],
                "extraVolumes": [EXTRA],
                "extraVolumeMounts": [MOUNT],
                "serviceAccount": {"annotations": {"example.com/role": "one"}},
            }
        }
    )
    deployment = rendered.deployment(component)
    pod = deployment["spec"]["template"]["spec"]
    (container,), (before,) = pod["containers"], plain["containers"]
    account = rendered.one("ServiceAccount", pod["serviceAccountName"])

    assert {"type": "Recreate"} == deployment["spec"]["strategy"]
    assert [ZONES] == pod["topologySpreadConstraints"]
    assert [*before["env"], VARIABLE] == container["env"]
    assert [*before["volumeMounts"], MOUNT] == container["volumeMounts"]
    assert [*plain["volumes"], EXTRA] == pod["volumes"]
    assert {"example.com/role": "one"} == account["metadata"]["annotations"]


def test_no_spread_at_all_can_be_asked_for(chart: Chart) -> None:
    """By an empty list; `null` is ours."""
    pod = chart.render({"companion": {"topologySpreadConstraints": []}}).deployment(
        "companion"
    )["spec"]["template"]["spec"]

    assert "topologySpreadConstraints" not in pod


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A chart of a platform, which has ours among its dependencies."""
    shutil.copytree(CHART, tmp_path / "charts" / CHART.name)
    ours = {"name": CHART.name, "version": ">=0", "condition": f"{CHART.name}.enabled"}
    metadata = {"apiVersion": "v2", "name": "platform", "version": "1.0.0"}
    text = yaml.safe_dump(metadata | {"dependencies": [ours]})
    (tmp_path / "Chart.yaml").write_text(text, "utf-8")
    return tmp_path


@pytest.mark.parametrize("enabled", [True, False])
def test_a_parent_chart_may_leave_it_out(
    by_each_helm: Chart, parent: Path, enabled: bool
) -> None:
    """By the condition that parents have; what it shares with others is no mistake."""
    values = {
        CHART.name: {"enabled": enabled, "fullnameOverride": "injector"},
        "global": {"imageRegistry": "mirror.example.com", "storageClass": "fast"},
    }
    said = by_each_helm.run(
        *("template", "platform", parent, "--kube-version", KUBERNETES),
        *("--values", "-"),
        stdin=json.dumps(values),
    )

    assert enabled is ('name: "injector"' in said)
    assert enabled is ('image: "mirror.example.com/' in said)


def test_without_a_parent_it_cannot_be_left_out(by_each_helm: Chart) -> None:
    """Or somebody would wait for an installation of nothing."""
    with pytest.raises(RefusedError, match="at '/enabled': value must be true"):
        by_each_helm.render({"enabled": False})
